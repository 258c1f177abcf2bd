"""Each permission of the chart's Role is needed."""

import json
import re
import subprocess
from pathlib import Path

from cluster import ROOT, eventually, k, pod_of, pods_of
from server import PROGRAM, Server, settings

# A stream is opened with `get` up to Kubernetes 1.34, and with `create` too from 1.35.
OF_LATER_VERSIONS = {("pods/exec", "create")}


def each_permission_is_needed():
    scenario("allowed")
    superfluous = []
    try:
        for resource, verb in permissions():
            set_rules(without(resource, verb))
            try:
                scenario(f"without-{verb}-{resource.replace('/', '-')}")
                superfluous.append((resource, verb))
            except AssertionError:
                pass
    finally:
        set_rules(rules())
    assert set(superfluous) <= OF_LATER_VERSIONS, superfluous
    scenario("allowed-again")


def scenario(user):
    """A user who comes, whose Pod is deleted by somebody, who comes again, and who is removed."""
    with Server(user) as server:
        assert server.shell("echo kept >note")["outcome"] == "exited"
        before = pod_of(user)["metadata"]
        k("delete", "pod", before["name"], "--wait=false")
        is_gone = lambda: all(pod["metadata"]["uid"] != before["uid"] for pod in pods_of(user))
        eventually("the Pod is freed", is_gone, 20)
        # Without it the server lists all Pods again and again.
        assert "the watch of Pods broke" not in Path(server.log.name).read_text(), "there is no watch"
        assert server.shell("cat note")["stdout"] == "kept\n"
    casemate("hold", user)
    casemate("hold", "--release", user)
    casemate("rm", "--volume", "--force", user)


def casemate(*arguments):
    done = subprocess.run([PROGRAM, *arguments], env=settings(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def rules():
    """The rules of the chart's Role, which is written with lists in one line."""
    text = (ROOT / "packaging/helm/casemate/rules.yaml").read_text()
    words = lambda line: [word for word in re.findall(r"[a-z0-9./]*", line.split("[")[1].split("]")[0]) if word]
    found = []
    for line in text.splitlines():
        if "apiGroups:" in line:
            found.append({"apiGroups": words(line) or [""]})
        elif "resources:" in line:
            found[-1]["resources"] = words(line)
        elif "verbs:" in line:
            found[-1]["verbs"] = words(line)
    return found


def permissions():
    return [(resource, verb) for rule in rules() for resource in rule["resources"] for verb in rule["verbs"]]


def without(resource, verb):
    changed = rules()
    for rule in changed:
        if resource in rule["resources"]:
            rule["verbs"].remove(verb)
    return changed


def set_rules(changed):
    k("patch", "role", "casemate", "--type=merge", "--patch", json.dumps({"rules": changed}))
