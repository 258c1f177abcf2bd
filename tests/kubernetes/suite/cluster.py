"""The cluster, as a test asks and changes it. Runs in one: see scripts/test-kubernetes."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LAB = ROOT / "scripts/cluster-lab"
SPACE = f"sandboxes-{os.getpid()}"
IMAGE = os.environ["PREPARED"]
WORK = Path(tempfile.mkdtemp())

# How long a state may take to come: a lost node is noticed after 20 s, on a busy machine later.
PATIENCE = 180

# The lab gives its Pods these addresses.
PODS = "10.241.0.0/16"


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


def pods_of(user):
    mine = lambda pod: pod["metadata"]["annotations"].get("io.casemate.user") == user
    return [pod for pod in objects("pods") if mine(pod)]


def pod_of(user):
    found = pods_of(user)
    assert len(found) == 1, [pod["metadata"]["name"] for pod in found]
    return found[0]


def set_up():
    """A namespace at the strictest level of Pod Security, and an account with the chart's Role."""
    (WORK / "secret").write_text(os.urandom(32).hex())
    run("kubectl", "create", "namespace", SPACE)
    run("kubectl", "label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=restricted")
    rules = (ROOT / "packaging/helm/casemate/rules.yaml").read_text()
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
        for chain, match in (("FORWARD", ["-s", PODS]), ("INPUT", ["-s", PODS])):
            lab("enter", node, "iptables", "-w", "-I", chain, "1", *match,
                "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP")


def nodes():
    return [node["metadata"]["name"] for node in objects("nodes")]


def is_ready(node):
    found = json.loads(run("kubectl", "get", "node", node, "--output", "json"))
    conditions = found["status"]["conditions"]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
