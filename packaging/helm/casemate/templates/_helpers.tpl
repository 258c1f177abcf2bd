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
