"""Figures: a first call against a bare Pod, warm calls against Docker, and transfers. Each pair in one run."""

import base64
import http.client
import json
import os
import ssl
import statistics
import tempfile
import time
import urllib.parse

from cluster import IMAGE, SPACE, run
from http_server import HttpServer
from server import Server

ROUNDS = 5
CALLS = 100
TRANSFER_MIB = 64


def figures():
    try:
        measure()
    finally:
        ours = f"label=io.casemate.instance={ON_DOCKER['instance']}"
        for listed, removed in ((("ps", "--all"), ("rm", "--force", "--volumes")), (("volume", "ls"), ("volume", "rm"))):
            names = run("docker", *listed, "--quiet", "--filter", ours).split()
            if names:
                run("docker", *removed, *names)


def measure():
    bare, first = [], []
    api = Api()
    for number in range(ROUNDS):
        bare.append(api.bare_pod(f"bare-{number}"))
        with Server(f"figure{number}") as server:
            begun = time.monotonic()
            server.shell("true")
            first.append(time.monotonic() - begun)
    with Server("figure0") as here, Server("figure0", **ON_DOCKER) as docker:
        times = {"on Kubernetes": [], "on Docker": []}
        for name, server in (("on Kubernetes", here), ("on Docker", docker)) * 3:
            server.shell("true")
            for _ in range(CALLS):
                begun = time.monotonic()
                server.shell("true")
                times[name].append(time.monotonic() - begun)
        warm = {name: statistics.median(taken) for name, taken in times.items()}
    transfers = {"on Kubernetes": transfer(), "on Docker": transfer(**ON_DOCKER)}
    show("a bare Pod, create to Ready", bare)
    show("the first call of a new user", first)
    for name, seconds in warm.items():
        print(f"   a warm `shell_exec true` {name}: {1000 * seconds:.2f} ms (median of {3 * CALLS})")
    for name, (up, down) in transfers.items():
        print(f"   a file of {TRANSFER_MIB} MiB {name}: stored at {TRANSFER_MIB / up:.0f} MiB/s, read at {TRANSFER_MIB / down:.0f} MiB/s")


ON_DOCKER = {"engine": "docker", "kubernetes_namespace": None, "kubernetes_key_file": None,
             "kubernetes_storage_class": None, "image": "casemate-tools:latest", "quota": None,
             "instance": f"figures-{os.getpid()}"}


def show(what, seconds):
    print(f"   {what}: {1000 * statistics.median(seconds):.0f} ms (median of {len(seconds)}; "
          f"{1000 * min(seconds):.0f} to {1000 * max(seconds):.0f})")


def transfer(**more):
    """Seconds to store a large file over HTTP, and to have it back."""
    data = os.urandom(TRANSFER_MIB << 20)
    with HttpServer(**more) as server:
        server.shell("figure0", "true")
        begun = time.monotonic()
        server.transfer("figure0", data)
        up = time.monotonic() - begun
        begun = time.monotonic()
        assert server.transfer("figure0") == data
        return up, time.monotonic() - begun


class Api:
    """Requests to the API server without kubectl, whose start takes longer than a request."""

    def __init__(self):
        config = json.loads(run("kubectl", "config", "view", "--raw", "--minify", "--output", "json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.host = urllib.parse.urlparse(cluster["server"]).netloc
        self.context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]) + b"\n")
            pair.flush()
            self.context.load_cert_chain(pair.name)

    def request(self, method, path, body=None):
        connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=120)
        headers = {"Content-Type": "application/json"}
        connection.request(method, f"/api/v1/namespaces/{SPACE}/pods{path}", body and json.dumps(body), headers)
        response = connection.getresponse()
        assert response.status < 300, response.read()
        return response

    def bare_pod(self, name):
        """Seconds from the request until it is Ready, with a claim of its own as a workspace."""
        pod = {"metadata": {"name": name, "labels": {"bare": name}}, "spec": {
            "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65536, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "bare", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "1000"],
                            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                            "volumeMounts": [{"name": "workspace", "mountPath": "/workspace"}]}],
            "volumes": [{"name": "workspace", "ephemeral": {"volumeClaimTemplate": {"spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "shared",
                "resources": {"requests": {"storage": "1Gi"}}}}}}]}}
        begun = time.monotonic()
        watch = self.request("GET", f"?watch=true&labelSelector=bare%3D{name}&timeoutSeconds=100")
        self.request("POST", "", pod).read()
        for line in watch:
            conditions = json.loads(line)["object"].get("status", {}).get("conditions", [])
            if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
                taken = time.monotonic() - begun
                self.request("DELETE", f"/{name}").read()
                return taken
        raise AssertionError("the bare Pod is not Ready")
