"""The chart, on a real API server, and servers in Pods of its Deployment."""

import errno
import json
import os
import threading
import time

from cluster import ROOT, SPACE, WORK, eventually, k, lab, nodes, objects, pod_of, run
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
}


def the_chart_is_linted_and_admitted_at_pod_security_restricted():
    (WORK / "values.json").write_text(json.dumps(VALUES))
    linted = run("helm", "lint", "--strict", "--namespace", SPACE, "--values", str(WORK / "values.json"), CHART)
    assert "0 chart(s) failed" in linted, linted
    rendered = run("helm", "template", RELEASE, CHART, "--namespace", SPACE, "--kube-version", "1.34",
                   "--values", str(WORK / "values.json"))
    # Without Pods of its own: the API server checks a Deployment's template, and warns by its level.
    applied = run("kubectl", "apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "--filename", "-",
                  "--namespace", SPACE, stdin=rendered)
    assert applied.count("serverside-applied") == rendered.count("\nkind: "), applied


def servers_in_pods_serve_users_and_an_upgrade_costs_no_call():
    secret = token()
    k("create", "secret", "generic", "casemate", f"--from-file=secret={WORK / 'secret'}",
      f"--from-file=tokens.toml={WORK / 'tokens.toml'}")
    (WORK / "values.json").write_text(json.dumps(VALUES))
    run("helm", "install", RELEASE, CHART, "--namespace", SPACE, "--values", str(WORK / "values.json"))
    try:
        addresses = eventually("two servers are ready", lambda: two_ready())
        for address in addresses:
            answer = call(address, secret, "carol", "echo here; cat /proc/1/cpuset >>pods; sort -u pods | wc -l")
            assert answer["stdout"] == "here\n1\n", answer
        pod_of("carol")
        upgrade(secret, addresses)
    except Exception:
        logs = k("logs", "--selector", "app.kubernetes.io/component=server", "--prefix", "--tail=-1", check=False)
        (WORK / "chart.log").write_text(logs)
        raise
    finally:
        run("helm", "uninstall", RELEASE, "--namespace", SPACE, "--wait", "--timeout", "3m")


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
                    if getattr(error, "errno", None) in (errno.ECONNREFUSED, errno.EHOSTUNREACH):
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
