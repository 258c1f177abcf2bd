"""What keeps sandboxes apart, and from the cluster."""

import base64
import json
import os
import time

from cluster import IMAGE, WORK, enforce_policies, eventually, k, objects, pod_of, pods_of
from server import Server
from webhook import Webhook


def a_sandbox_that_reaches_the_api_server_does_not_begin():
    with Server("open") as server:
        said = server.failure("true")
        assert "reachable" in said and "network policy" in said, said
    eventually("its Pod is gone", lambda: not pods_of("open"))
    enforce_policies()


def two_users_run_commands_and_see_only_their_own_files():
    with Server("ada") as ada, Server("bob/b") as bob:
        begun = time.monotonic()
        first = ada.shell("id -u; pwd; umask; ls -ld . | cut -c1-10; env | grep -c KUBERNETES; cat /etc/resolv.conf")
        print(f"   first call of a user: {time.monotonic() - begun:.1f} s")
        assert first["outcome"] == "exited" and first["exit_code"] == 0, first
        uid, cwd, umask, mode, variables, *resolver = first["stdout"].split("\n")
        assert int(uid) >= 65536 and cwd == "/workspace" and umask == "0022", first
        assert mode == "drwxr-xr-x" and variables == "0", first
        assert "nameserver 127.0.0.1" in resolver, first
        assert not ada.call("write_file", path="a/note.txt", content="ada's").get("isError")
        assert "ada's" in json.dumps(ada.call("read_file", path="a/note.txt"))
        assert "note.txt" in json.dumps(ada.call("list_files", path="a"))
        theirs = bob.shell("id -u; ls -A /workspace; find / -name note.txt 2>/dev/null")
        assert theirs["stdout"].split("\n")[0] != uid and "note.txt" not in theirs["stdout"], theirs
        assert "note.txt" not in json.dumps(bob.call("list_files", path="/"))
        begun = time.monotonic()
        for _ in range(20):
            ada.shell("true")
        print(f"   a warm call: {(time.monotonic() - begun) * 50:.1f} ms")
    claims = [claim["metadata"]["annotations"] for claim in objects("persistentvolumeclaims")]
    claims = {claim["io.casemate.user"]: claim for claim in claims}
    for user in ("ada", "bob/b"):
        writer = json.loads(claims[user]["io.casemate.writer"])
        assert all(writer[key] for key in ("uid", "node", "boot", "machine")), writer


def a_large_file_goes_through_the_stream_and_comes_back_whole():
    with Server("ada") as ada:
        text = base64.b64encode(os.urandom(1 << 20)).decode()
        written = ada.call("write_file", path="large", content=text)
        assert not written.get("isError"), written
        sum_of = ada.shell("wc -c <large; tail -c 20 large")
        size, tail = sum_of["stdout"].strip().split("\n")
        assert int(size) == len(text) and tail == text[-20:], sum_of


def the_walls_of_a_pod_hold():
    script = """
    grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status
    echo x >/root-file; echo x >/root/.casemate-end; ls /root
    ls /var/run/secrets; cat /proc/1/environ
    ulimit -u; ulimit -c; ulimit -n
    timeout 2 bash -c '</dev/tcp/10.240.0.1/6443' && echo reached
    """
    with Server("ada") as ada:
        done = ada.shell(script)
        said = done["stdout"] + done["stderr"]
        assert "NoNewPrivs:\t1" in said and "Seccomp:\t2" in said and "CapBnd:\t0000000000000000" in said, said
        for word in ("Read-only file system", "Permission denied", "256\n0\n4096"):
            assert word in said, said
        assert "reached" not in said and "kubernetes.io" not in said, said


def a_pod_that_a_webhook_changes_is_refused_by_field():
    mutations = {
        "spec.containers.proxy": [{"op": "add", "path": "/spec/containers/-", "value": {
            "name": "proxy", "image": IMAGE, "securityContext": {
                "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"}}}}],
        "spec.containers.sandbox.env.LD_PRELOAD": [
            {"op": "add", "path": "/spec/containers/0/env/-", "value": {"name": "LD_PRELOAD", "value": "/a"}}],
        "spec.hostAliases": [{"op": "add", "path": "/spec/hostAliases", "value": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}],
        "spec.shareProcessNamespace": [{"op": "add", "path": "/spec/shareProcessNamespace", "value": True}],
        "spec.containers.sandbox.resources.limits.memory": [
            {"op": "remove", "path": "/spec/containers/0/resources/limits/memory"}],
        "spec.automountServiceAccountToken": [
            {"op": "replace", "path": "/spec/automountServiceAccountToken", "value": True}],
        "metadata.annotations.k8s.v1.cni.cncf.io/networks": [
            {"op": "add", "path": "/metadata/annotations/k8s.v1.cni.cncf.io~1networks", "value": "other"}],
        "spec.volumes.host": [{"op": "add", "path": "/spec/volumes/-", "value": {"name": "host", "emptyDir": {}}}],
    }
    with Webhook() as webhook, Server("mallory") as server:
        for field, patch in mutations.items():
            webhook.patch = patch
            said = server.failure("true")
            assert "weaker than asked" in said and field in said, (field, said)
            eventually("its Pod is gone", lambda: not pods_of("mallory"))
        webhook.patch = []
        assert server.shell("echo fine")["stdout"] == "fine\n"


def a_container_that_is_added_later_ends_the_sandbox():
    with Server("eve") as server:
        server.shell("true")
        before = pod_of("eve")["metadata"]
        body = {"spec": {"ephemeralContainers": [{
            "name": "debug", "image": IMAGE, "command": ["sleep", "1000"], "securityContext": {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]}}
        (WORK / "patch.json").write_text(json.dumps(body))
        k("patch", "pod", before["name"], "--subresource=ephemeralcontainers", "--patch-file", str(WORK / "patch.json"))
        gone = lambda: all(pod["metadata"]["uid"] != before["uid"] for pod in pods_of("eve"))
        eventually("the changed Pod is gone", gone)
        assert server.shell("echo again")["stdout"] == "again\n"
        assert pod_of("eve")["metadata"]["uid"] != before["uid"]
