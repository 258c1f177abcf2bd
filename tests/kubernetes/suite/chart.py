"""The chart, on a real API server, and servers in Pods of its Deployment."""

import errno
import http.client
import json
import os
import subprocess
import threading
import time

from cluster import ROOT, SPACE, WORK, apply, eventually, k, lab, nodes, objects, pod_of, run
from http_server import shell, token

CHART = str(ROOT / "packaging/helm/casemate")
RELEASE = "chart"
REPOSITORY, TAG = os.environ["SERVER_IMAGE"].rsplit(":", 1)
VALUES = {
    "image": {"repository": REPOSITORY, "tag": TAG, "pullPolicy": "Never"},
    "sandboxes": {"storageClass": "shared"},
    "settings": {"image": os.environ["PREPARED"], "memory": "256m", "quota": "1g", "warm": "off", "auth": "tokens",
                 # Users of the other servers of this run are another instance's.
                 "instance": "chart", "log": "casemate=debug"},
    "tables": '[[users]]\nuser = "carol"\nissuer = "application"\nmemory = "300m"\n',
    "audit": {"existingClaim": "audit"},
    "metrics": {"port": 9464},
}
AUDIT = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "audit"},
         "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "shared",
                  "resources": {"requests": {"storage": "1Gi"}}}}
# For the memory that a sandbox has, and what each of its files of the cgroup is called.
LIMIT = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"


def the_chart_is_linted_and_admitted_at_pod_security_restricted():
    (WORK / "values.json").write_text(json.dumps(VALUES))
    linted = run("helm", "lint", "--strict", "--namespace", SPACE, "--values", str(WORK / "values.json"), CHART)
    assert "0 chart(s) failed" in linted, linted
    rendered = run("helm", "template", RELEASE, CHART, "--namespace", SPACE, "--kube-version", "1.34",
                   "--values", str(WORK / "values.json"))
    table = json.dumps({"settings": {"egress": {"allow": ["example.com"]}}})
    (WORK / "table.json").write_text(table)
    render = ["helm", "template", RELEASE, CHART, "--kube-version", "1.34", "--values", str(WORK / "table.json")]
    refused = subprocess.run(render, capture_output=True, text=True, timeout=60)
    assert "settings.egress is a table: write it as TOML in the value `tables`" in refused.stderr, refused
    # Without Pods of its own: the API server checks a Deployment's template, and warns by its level.
    applied = run("kubectl", "apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "--filename", "-",
                  "--namespace", SPACE, stdin=rendered)
    assert applied.count("serverside-applied") == rendered.count("\nkind: "), applied


def servers_in_pods_serve_users_and_an_upgrade_costs_no_call():
    secret = token()
    k("create", "secret", "generic", "casemate", f"--from-file=secret={WORK / 'secret'}",
      f"--from-file=tokens.toml={WORK / 'tokens.toml'}")
    (WORK / "values.json").write_text(json.dumps(VALUES))
    apply(AUDIT)
    run("helm", "install", RELEASE, CHART, "--namespace", SPACE, "--values", str(WORK / "values.json"))
    try:
        addresses = eventually("two servers are ready", lambda: two_ready())
        for address in addresses:
            answer = call(address, secret, "carol", "echo here; cat /proc/1/cpuset >>pods; sort -u pods | wc -l")
            assert answer["stdout"] == "here\n1\n", answer
        pod_of("carol")
        assert call(addresses[0], secret, "carol", LIMIT)["stdout"] == f"{300 << 20}\n", "the table of carol"
        upgrade(secret, addresses)
        the_audit_and_the_metrics_are_there(two_ready())
    except Exception:
        logs = k("logs", "--selector", "app.kubernetes.io/component=server", "--prefix", "--tail=-1", check=False)
        (WORK / "chart.log").write_text(logs)
        raise
    finally:
        run("helm", "uninstall", RELEASE, "--namespace", SPACE, "--wait", "--timeout", "3m")


def the_audit_and_the_metrics_are_there(addresses):
    connection = http.client.HTTPConnection(addresses[0], 9464, timeout=10)
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    assert "\ncasemate_audit_up 1\n" in metrics, metrics
    # By a server of today, the files of all, also of those that have ended.
    server = next(pod["metadata"]["name"] for pod in objects("pods") if pod["status"].get("podIP") == addresses[0])
    verified = k("exec", server, "--", "/casemate", "audit", "verify", "/audit")
    print(f"   {verified.splitlines()[-1]}")


def upgrade(secret, before):
    """All servers are replaced while calls run. A call that a server has begun gets its answer from it."""
    known, failures, count, ended = list(before), [], [0], threading.Event()

    def work(user):
        while not ended.is_set():
            for address in list(known):
                try:
                    answer = call(address, secret, user, "sleep 0.3; echo done")
                    assert answer["stdout"] == "done\n", answer
                    count[0] += 1
                except Exception as error:
                    # It no longer listens, or is gone: a Service sends its calls to another.
                    if getattr(error, "errno", None) in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT):
                        time.sleep(0.1)
                    else:
                        failures.append(repr(error))

    workers = [threading.Thread(target=work, args=(user,)) for user in ("carol", "dave")]
    for worker in workers:
        worker.start()
    try:
        eventually("calls run", lambda: count[0] > 10)
        k("rollout", "restart", f"deployment/{RELEASE}")
        after = eventually("two new servers are ready", lambda: two_ready(other_than=before))
        known[:] = after
        now = count[0]
        eventually("calls go on", lambda: count[0] > now + 10)
    finally:
        ended.set()
        for worker in workers:
            worker.join()
    assert not failures, failures[:3]
    print(f"   {count[0]} calls during an upgrade, each with its answer")


def call(address, secret, user, command):
    return shell(address, 8080, secret, user, command, name=f"{RELEASE}.{SPACE}.svc")


def two_ready(other_than=()):
    """The addresses of two servers that are ready. Servers may begin connections, which the lab denies all Pods."""
    pods = [pod for pod in objects("pods")
            if pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "server"
            and not pod["metadata"].get("deletionTimestamp")]
    found = []
    for pod in pods:
        address = pod["status"].get("podIP")
        if not address or address in other_than:
            continue
        let_out(address)
        conditions = pod["status"].get("conditions", [])
        if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            found.append(address)
    return len(found) >= 2 and found


LET_OUT = set()


def let_out(address):
    if address in LET_OUT:
        return
    LET_OUT.add(address)
    for node in nodes():
        for chain in ("FORWARD", "INPUT"):
            lab("enter", node, "iptables", "-w", "-I", chain, "1", "-s", address, "-j", "ACCEPT")
