"""What a server does on a real cluster. Runs in one: see scripts/test-kubernetes.

CASEMATE is the program, PREPARED the image that all nodes have. Each test is a function; its name says what holds.
"""

import base64
import concurrent.futures
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = HERE.parent.parent / "scripts/cluster-lab"
SPACE = f"sandboxes-{os.getpid()}"
PROGRAM = os.environ["CASEMATE"]
IMAGE = os.environ["PREPARED"]
WORK = Path(tempfile.mkdtemp())

# How long a state may take to come: a lost node is noticed after 20 s, on a busy machine later.
PATIENCE = 180


def run(*command, stdin=None, check=True):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.stderr}")
    return done.stdout


def k(*arguments, stdin=None, check=True):
    return run("kubectl", "--namespace", SPACE, *arguments, stdin=stdin, check=check)


def apply(*objects):
    k("apply", "--filename", "-", stdin="\n---\n".join(json.dumps(one) for one in objects))


def objects(kind):
    return json.loads(k("get", kind, "--output", "json"))["items"]


def lab(*arguments):
    run(str(LAB), *arguments)


def eventually(what, condition, within=PATIENCE):
    end = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {within} s"
        time.sleep(0.2)


class Server:
    """A server over stdio, as a client starts it."""

    def __init__(self, user, **settings):
        variables = {
            "CASEMATE_ENGINE": "kubernetes",
            "CASEMATE_KUBERNETES_NAMESPACE": SPACE,
            "CASEMATE_KUBERNETES_KEY_FILE": str(WORK / "secret"),
            "CASEMATE_KUBERNETES_STORAGE_CLASS": "shared",
            "CASEMATE_IMAGE": IMAGE,
            "CASEMATE_USER": user,
            "CASEMATE_MEMORY": "256m",
            "CASEMATE_QUOTA": "1g",
            "CASEMATE_LOG": "debug,hyper=info,h2=info,rustls=info,tower=info",
            "CASEMATE_WARM": "off",
        }
        variables.update({f"CASEMATE_{name.upper()}": value for name, value in settings.items()})
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.log = open(WORK / f"{user.replace('/', '_')}-{time.monotonic_ns()}.log", "w")
        self.process = subprocess.Popen(
            [PROGRAM, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**keep, "KUBECONFIG": str(WORK / "kubeconfig"), **variables},
        )
        self.number = 0
        self.lock = threading.Lock()
        self.answers = {}
        self.came = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.request("initialize", protocolVersion="2025-11-25", capabilities={},
                     clientInfo={"name": "test", "version": "1"})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self.came:
                self.answers[answer.get("id")] = answer
                self.came.notify_all()

    def send(self, message):
        with self.lock:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def request(self, method, **params):
        with self.lock:
            self.number += 1
            number = self.number
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        with self.came:
            assert self.came.wait_for(lambda: number in self.answers, 240), f"no answer to {method}"
            answer = self.answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    def call(self, tool, **arguments):
        return self.request("tools/call", name=tool, arguments=arguments)

    def shell(self, command, **arguments):
        result = self.call("shell_exec", command=command, **arguments)
        structured = result.get("structuredContent")
        assert structured is not None, result
        return structured

    def failure(self, command):
        result = self.call("shell_exec", command=command)
        assert result.get("isError"), result
        return result["content"][0]["text"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.log.close()

    def kill(self):
        self.process.kill()
        self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()


def pods_of(user):
    mine = lambda pod: pod["metadata"]["annotations"].get("io.casemate.user") == user
    return [pod for pod in objects("pods") if mine(pod)]


def phase_of(user):
    return [pod["status"].get("phase") for pod in pods_of(user)]


def pod_of(user):
    found = pods_of(user)
    assert len(found) == 1, [pod["metadata"]["name"] for pod in found]
    return found[0]


def remove(user):
    """The Pod, as an operator would."""
    for pod in pods_of(user):
        k("delete", "pod", pod["metadata"]["name"], "--wait=false")


# --- The cluster --------------------------------------------------------------------------------


def set_up():
    """A namespace at the strictest level of Pod Security, and an account with the chart's Role."""
    (WORK / "secret").write_text(os.urandom(32).hex())
    run("kubectl", "create", "namespace", SPACE)
    run("kubectl", "label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=restricted")
    rules = (HERE.parent.parent / "packaging/helm/casemate/rules.yaml").read_text()
    indented = "\n".join("  " + line for line in rules.splitlines())
    role = f"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: casemate }}\nrules:\n{indented}\n"
    k("apply", "--filename", "-", stdin=role)
    k("create", "serviceaccount", "casemate")
    k("create", "rolebinding", "casemate", "--role=casemate", f"--serviceaccount={SPACE}:casemate")
    run("kubectl", "create", "clusterrole", SPACE, "--verb=get", "--resource=nodes")
    run("kubectl", "create", "clusterrolebinding", SPACE, f"--clusterrole={SPACE}", f"--serviceaccount={SPACE}:casemate")
    eventually("the default account", lambda: k("get", "serviceaccount", "default", check=False))
    token = k("create", "token", "casemate", "--duration=10h").strip()
    config = json.loads(run("kubectl", "config", "view", "--raw", "--minify", "--output", "json"))
    config["users"] = [{"name": "casemate", "user": {"token": token}}]
    config["contexts"] = [{"name": "casemate", "context": {
        "cluster": config["clusters"][0]["name"], "user": "casemate", "namespace": SPACE}}]
    config["current-context"] = "casemate"
    (WORK / "kubeconfig").write_text(json.dumps(config))


def enforce_policies():
    """No policy is enforced in the lab: this denies all Pods of a node what they begin."""
    for node in nodes():
        for chain, match in (("FORWARD", ["-s", "10.241.0.0/16"]), ("INPUT", ["-s", "10.241.0.0/16"])):
            lab("enter", node, "iptables", "-w", "-I", chain, "1", *match,
                "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP")


def nodes():
    return [node["metadata"]["name"] for node in objects("nodes")]


# --- What holds ---------------------------------------------------------------------------------


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
        assert writer["uid"] and writer["node"] and writer["boot"], writer


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


def two_servers_at_once_make_one_pod_and_share_it():
    servers = [Server("shared") for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda server: server.shell("echo $$ >>log; cat /proc/1/cpuset"), servers))
    assert all(one["outcome"] == "exited" and one["exit_code"] == 0 for one in done), done
    assert len({one["stdout"] for one in done}) == 1, done
    pod_of("shared")
    servers[0].kill()
    assert servers[1].shell("wc -l <log")["stdout"].strip() == "3"
    for server in servers[1:]:
        server.end()


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


def a_command_runs_on_while_the_api_server_is_away_and_its_result_is_told():
    with Server("ada") as ada, concurrent.futures.ThreadPoolExecutor() as pool:
        ada.shell("true")
        running = pool.submit(ada.shell, "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 1; done", timeout_seconds=120)
        time.sleep(2)
        lab("api", "stop")
        try:
            time.sleep(4)
            assert not running.done()
        finally:
            lab("api", "start")
        done = running.result(180)
        assert done["outcome"] == "exited" and done["stdout"].split() == [str(i) for i in range(1, 11)], done


def what_the_cluster_cannot_give_is_said_in_its_own_words():
    with Server("large", memory="900g") as server:
        said = server.failure("true")
        assert "no node" in said and "Insufficient memory" in said, said
    with Server("imageless", image="registry.test/none:1") as server:
        said = server.failure("true")
        assert "image_missing" in said or "no image registry.test/none:1" in said, said
    with Server("unprepared", image="casemate-tools:latest") as server:
        said = server.failure("true")
        assert "casemate-init is not in it" in said, said
    with Server("groupless", kubernetes_storage_class="shared-without-fsgroup") as server:
        said = server.failure("true")
        assert "does not follow fsGroup" in said, said
    with Server("short-lived", mode="ephemeral") as server:
        said = server.failure("true")
        assert "mode ephemeral is not there on Kubernetes yet" in said, said
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}}
    apply(quota)
    eventually("the quota is counted", lambda: "hard" in objects("resourcequotas")[0].get("status", {}))
    try:
        with Server("overquota") as server:
            said = server.failure("true")
            assert "exceeded quota: few" in said, said
    finally:
        k("delete", "resourcequota", "few")
    # A server that ends does not wait for the end of a Pod: the next one that counts frees it.
    with Server("sweeper") as server:
        server.shell("true")
        for user in ("large", "imageless", "unprepared", "groupless", "overquota"):
            eventually("nothing is left", lambda user=user: not pods_of(user))


def a_pod_that_is_deleted_by_force_is_followed_only_by_one_that_is_alone():
    with Server("forced") as server:
        server.shell("true")
        begin_to_count(server)
        before = pod_of("forced")["metadata"]
        k("delete", "pod", before["name"], "--force", "--grace-period=0", "--wait=false")
        others = lambda: [pod["metadata"]["uid"] for pod in pods_of("forced")] not in ([before["uid"]], [])
        eventually("another sandbox", lambda: attempt(server, "true") and others())
        begin_to_count(server)
        time.sleep(3)
        alone(server)


def a_node_that_is_cut_off_keeps_its_workspace_to_itself():
    with Server("cut") as server:
        server.shell("true")
        begin_to_count(server)
        pod = pod_of("cut")
        node, name = pod["spec"]["nodeName"], pod["metadata"]["name"]
        lab("link", "cut", node)
        try:
            eventually("the node is noticed as lost", lambda: not is_ready(node))
            with Server("cut") as other:
                said = other.failure("true")
                assert "engine_unavailable" in said and node in said, said
            k("delete", "pod", name, "--force", "--grace-period=0", "--wait=false")
            with Server("cut") as other:
                said = other.failure("true")
                assert "engine_unavailable" in said and node in said, said
            # Somebody takes the finalizer away too: now the name is free, and only the record is left.
            k("patch", "pod", name, "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')
            eventually("its object is gone", lambda: not pods_of("cut"))
            with Server("cut") as other:
                said = other.failure("true")
                assert "engine_unavailable" in said and node in said, said
                assert not pods_of("cut")
        finally:
            lab("link", "heal", node)
        eventually("the node is back", lambda: is_ready(node))
        # Its Pod's object is gone, so nobody sees it end: an operator speaks, or the node boots.
        with Server("cut") as other:
            said = other.failure("true")
            assert "removed by force" in said and "casemate release" in said, said
        eventually("the kubelet ends what has no object", lambda: not counting_on(node))
        release("cut")
        with Server("cut") as other:
            assert other.shell("true")["outcome"] == "exited"
            begin_to_count(other)
            time.sleep(2)
            alone(other)


def a_node_that_boots_again_frees_the_workspaces_that_it_had():
    with Server("boot") as server:
        server.shell("echo kept >note")
        node = pod_of("boot")["spec"]["nodeName"]
        lab("node", "stop", node)
        eventually("the node is noticed as lost", lambda: not is_ready(node))
        with Server("boot") as other:
            said = other.failure("true")
            assert "engine_unavailable" in said and node in said, said
        lab("node", "start", node)
        eventually("the node is back", lambda: is_ready(node))
        enforce_policies()
        with Server("boot") as other:
            found = eventually("the workspace is free", lambda: attempt(other, "cat note"))
            assert found["stdout"] == "kept\n", found


def is_ready(node):
    found = json.loads(run("kubectl", "get", "node", node, "--output", "json"))
    conditions = found["status"]["conditions"]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def attempt(server, command):
    result = server.call("shell_exec", command=command)
    structured = result.get("structuredContent") or {}
    return structured if structured.get("outcome") == "exited" else None


def begin_to_count(server):
    """A process that writes who it is, ten times a second, until its sandbox ends."""
    loop = "me=$RANDOM$RANDOM; while :; do echo $me $(date +%s%N) >>/workspace/writers; sleep 0.1; done"
    done = attempt(server, f"nohup bash -c '{loop}' >/dev/null 2>&1 & echo begun")
    return done


def alone(server):
    """Not one line by one writer between two of another."""
    lines = server.shell("cut -d' ' -f1 /workspace/writers | uniq")["stdout"].split()
    assert len(lines) == len(set(lines)) and len(lines) >= 2, lines


def counting_on(node):
    found = run(str(LAB), "enter", node, "bash", "-c", "pgrep -f '[/]workspace/writers' || true")
    return found.strip()


def release(user):
    variables = {"CASEMATE_ENGINE": "kubernetes", "CASEMATE_KUBERNETES_NAMESPACE": SPACE,
                 "CASEMATE_KUBERNETES_KEY_FILE": str(WORK / "secret"), "KUBECONFIG": str(WORK / "kubeconfig"),
                 "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root")}
    done = subprocess.run([PROGRAM, "release", user], env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


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


TESTS = [
    a_sandbox_that_reaches_the_api_server_does_not_begin,
    two_users_run_commands_and_see_only_their_own_files,
    a_large_file_goes_through_the_stream_and_comes_back_whole,
    the_walls_of_a_pod_hold,
    two_servers_at_once_make_one_pod_and_share_it,
    a_pod_that_a_webhook_changes_is_refused_by_field,
    a_container_that_is_added_later_ends_the_sandbox,
    a_command_runs_on_while_the_api_server_is_away_and_its_result_is_told,
    what_the_cluster_cannot_give_is_said_in_its_own_words,
    a_pod_that_is_deleted_by_force_is_followed_only_by_one_that_is_alone,
    a_node_that_boots_again_frees_the_workspaces_that_it_had,
    a_node_that_is_cut_off_keeps_its_workspace_to_itself,
]


def main():
    wanted = sys.argv[1:]
    set_up()
    if wanted and TESTS[0].__name__ not in wanted:
        enforce_policies()
    failed = []
    for test in TESTS:
        if wanted and test.__name__ not in wanted:
            continue
        begun = time.monotonic()
        try:
            test()
            print(f"ok {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception as error:  # each test is told of, and the others run
            failed.append(test.__name__)
            print(f"FAILED {test.__name__} ({time.monotonic() - begun:.1f} s): {error!r}", flush=True)
            print(k("get", "pods,pvc", "--output", "wide", check=False), flush=True)
    print(f"{len(failed)} failed; logs of the servers: {WORK}" if failed else "all hold", flush=True)
    sys.exit(1 if failed else 0)


main()
