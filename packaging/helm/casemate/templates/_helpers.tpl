{{- define "casemate.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "casemate.labels" -}}
app.kubernetes.io/name: casemate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "casemate.selector" -}}
app.kubernetes.io/name: casemate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- /* The names of the service, by which other Pods and the kubelet's probes call. */ -}}
{{- define "casemate.hosts" -}}
{{- $name := include "casemate.name" . -}}
{{- $full := printf "%s.%s" $name .Release.Namespace -}}
{{- printf "%s,%s,%s.svc,%s.svc.cluster.local" $name $full $full $full -}}
{{- end -}}

{{- /* The settings file of the servers. Text of tables comes last, as TOML wants it. */ -}}
{{- define "casemate.toml" -}}
engine = "kubernetes"
kubernetes_namespace = {{ .Release.Namespace | quote }}
kubernetes_key_file = "/secret/secret"
{{- with .Values.sandboxes }}
{{- range $key, $value := dict "storage_class" .storageClass "runtime_class" .runtimeClass "node_selector" .nodeSelector "tolerations" .tolerations "image_pull_secrets" .imagePullSecrets "unreachable" .unreachable }}
{{- if $value }}
kubernetes_{{ $key }} = {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}
allowed_hosts = {{ prepend (.Values.allowedHosts | default list) (include "casemate.hosts" .) | join "," | quote }}
{{- if eq (toString .Values.settings.auth) "tokens" }}
tokens_file = "/secret/tokens.toml"
{{- end }}
{{- if .Values.audit.existingClaim }}
audit = "/audit"
{{- end }}
{{- if .Values.metrics.port }}
admin = "0.0.0.0:{{ .Values.metrics.port }}"
{{- end }}
{{- range $key, $value := .Values.settings }}
{{- if kindIs "map" $value }}
{{- fail (printf "settings.%s is a table: write it as TOML in the value `tables`" $key) }}
{{- end }}
{{ $key }} = {{ $value | toJson }}
{{- end }}
{{- with .Values.tables }}

{{ trim . }}
{{- end }}
{{- end -}}
