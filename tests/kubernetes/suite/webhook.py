"""A webhook that changes Pods, as service meshes and policies do."""

import base64
import http.server
import json
import ssl
import threading
import time

from cluster import WORK, apply, run


class Webhook:
    """A mutating admission webhook that makes `patch` of each Pod."""

    def __enter__(self):
        self.patch = []
        key, certificate = WORK / "webhook.key", WORK / "webhook.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=webhook",
            "-addext", "subjectAltName=IP:10.240.0.1", "-keyout", str(key), "-out", str(certificate))
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                response = {"uid": review["request"]["uid"], "allowed": True}
                if webhook.patch and review["request"]["operation"] == "CREATE":
                    response["patchType"] = "JSONPatch"
                    response["patch"] = base64.b64encode(json.dumps(webhook.patch).encode()).decode()
                body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("10.240.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        apply({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "changes"},
            "webhooks": [{
                "name": "changes.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Fail", "timeoutSeconds": 10,
                "clientConfig": {"url": f"https://10.240.0.1:{self.server.server_port}/",
                                 "caBundle": base64.b64encode(certificate.read_bytes()).decode()},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }],
        })
        # The API server learns of it by a watch.
        time.sleep(2)
        return self

    def __exit__(self, *_):
        run("kubectl", "delete", "mutatingwebhookconfiguration", "changes")
        self.server.shutdown()
