"""What users are told, and what holds, when parts of the cluster fail."""

import concurrent.futures
import json
import time

from busy import BusyApiServer
from cluster import LAB, SPACE, apply, enforce_policies, eventually, is_ready, k, lab, objects, pod_of, pods_of, run
from server import Server, attempt, release

# What a claim says of the Pod that has the workspace.
WRITER = "io.casemate.writer"


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


def an_evicted_sandbox_is_lost_with_the_reason_that_kubernetes_gives():
    with Server("evicted") as server, concurrent.futures.ThreadPoolExecutor() as pool:
        server.shell("echo kept >note")
        pod = pod_of("evicted")["metadata"]["name"]
        running = pool.submit(server.call, "shell_exec", command="sleep 100")
        eventually("it runs", lambda: "sleep 100" in processes(pod))
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": SPACE}}
        run("kubectl", "create", "--raw", f"/api/v1/namespaces/{SPACE}/pods/{pod}/eviction", "--filename", "-",
            stdin=json.dumps(eviction))
        said = json.dumps(running.result(120))
        assert "sandbox_lost" in said and "EvictionByEvictionAPI" in said, said
        assert server.shell("cat note")["stdout"] == "kept\n"
        node = pod_of("evicted")["spec"]["nodeName"]
        run("kubectl", "taint", "node", node, "example.com/broken=yes:NoExecute")
        try:
            told = eventually("another sandbox", lambda: replaced(server))
            assert "DeletionByTaintManager" in told, told
            assert pod_of("evicted")["spec"]["nodeName"] != node
        finally:
            run("kubectl", "taint", "node", node, "example.com/broken-")


def processes(pod):
    return run("kubectl", "--namespace", SPACE, "exec", pod, "--", "ps", "-eo", "args", check=False)


def replaced(server):
    """What a call says of a sandbox that was replaced before it."""
    said = json.dumps(server.call("shell_exec", command="cat note"))
    return "restarted" in said and said


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


def another_machine_under_the_name_of_a_node_frees_no_workspace():
    with Server("moved") as server:
        server.shell("echo kept >note")
        pod = pod_of("moved")
        claim = pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
        writer = json.loads(json.loads(k("get", "pvc", claim, "--output", "json"))["metadata"]["annotations"][WRITER])
        assert writer["uid"] == pod["metadata"]["uid"] and writer["machine"], writer
        # As if the machine that the server wrote down had gone, and this one had got its name.
        writer["machine"] = "another"
        k("annotate", "pvc", claim, f"{WRITER}={json.dumps(writer)}", "--overwrite")
    refusal = "another machine has the node's name"
    with Server("moved") as other:
        said = other.failure("true")
        assert "engine_unavailable" in said and refusal in said, said
    # The word of that machine's kubelet is not one of the machine before.
    k("delete", "pod", pod["metadata"]["name"], "--wait=false")
    eventually("its kubelet says that it has ended", lambda: ended_by_kubelet("moved"))
    with Server("moved") as other:
        said = other.failure("true")
        assert "engine_unavailable" in said and refusal in said, said
    release("moved")
    with Server("moved") as other:
        assert other.shell("cat note")["stdout"] == "kept\n"


def ended_by_kubelet(user):
    return pod_of(user)["status"].get("phase") in ("Succeeded", "Failed")


def a_busy_api_server_is_asked_again_when_it_says():
    # It is on a loopback address, which no sandbox can try.
    with BusyApiServer(0) as api, Server("busy", kubeconfig=api.kubeconfig) as server:
        said = server.failure("true")
        assert "kubernetes_unreachable" in said, said
    real = {"kubernetes_unreachable": "10.240.0.1:6443"}
    with BusyApiServer(4) as api, Server("busy", kubeconfig=api.kubeconfig, **real) as server:
        assert server.shell("echo fine")["stdout"] == "fine\n"
        assert api.refused == 4, api.refused
        pod_of("busy")
    with BusyApiServer(10**6) as api, Server("busy", kubeconfig=api.kubeconfig, **real) as server:
        said = server.failure("true")
        assert "too many requests" in said.lower(), said
        assert api.refused > 1, api.refused


def an_operator_releases_a_workspace_whose_node_is_lost():
    with Server("lost") as server:
        server.shell("echo kept >note")
        node = pod_of("lost")["spec"]["nodeName"]
        lab("link", "cut", node)
        try:
            eventually("the node is noticed as lost", lambda: not is_ready(node))
            with Server("lost") as other:
                said = other.failure("true")
                assert "engine_unavailable" in said and "casemate release" in said, said
            release("lost")
            with Server("lost") as other:
                assert other.shell("cat note")["stdout"] == "kept\n"
                assert pod_of("lost")["spec"]["nodeName"] != node
        finally:
            lab("link", "heal", node)
        eventually("the node is back", lambda: is_ready(node))


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
