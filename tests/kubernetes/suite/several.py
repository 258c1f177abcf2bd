"""Several servers of one instance, and many users."""

import concurrent.futures
import threading
import time

from cluster import eventually, k, nodes, objects, pod_of
from http_server import HttpServer
from server import Server

USERS = 50


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


def fifty_users_at_once_have_one_pod_each():
    users = [f"guest{number}" for number in range(USERS)]
    # The two processors of a small machine have room for all requests.
    few = {"kubernetes_requests": "3"}
    with HttpServer(**few) as one, HttpServer(**few) as other, concurrent.futures.ThreadPoolExecutor(USERS) as pool:
        begun = time.monotonic()
        calls = [pool.submit(patient, (one, other)[number % 2], user) for number, user in enumerate(users)]
        done = [call.result() for call in calls]
        seconds = time.monotonic() - begun
        pods_seen = [seen for seen, _ in done]
        assert len(set(pods_seen)) == USERS, "two users share a Pod"
        # Now the other server is asked for each: no user gets a second Pod.
        again = [pool.submit(patient, (other, one)[number % 2], user) for number, user in enumerate(users)]
        assert [call.result()[0] for call in again] == pods_seen
        pods = [pod for pod in objects("pods") if pod["metadata"]["annotations"].get("io.casemate.user") in users]
        assert len(pods) == USERS, len(pods)
        used = {pod["spec"]["nodeName"] for pod in pods}
        assert used == set(nodes()), used
        retried = sum(tries > 1 for _, tries in done)
        # The other tests need the room.
        k("delete", "pods", "--wait=false", *(pod["metadata"]["name"] for pod in pods))
        print(f"   {USERS} new users at once on {len(used)} nodes: all answered after {seconds:.1f} s; "
              f"{retried} were told to retry first")


def patient(server, user):
    """The Pod that answers, and after how many calls: a busy cluster may not have one within a call's 45 s."""
    tries = 1
    while True:
        try:
            answer = server.shell(user, "cat /proc/1/cpuset")
            assert answer["exit_code"] == 0, answer
            return answer["stdout"], tries
        except AssertionError as error:
            assert "sandbox_unavailable" in str(error) and "nothing was run" in str(error) and tries < 10, error
            tries += 1


def a_server_that_is_killed_costs_no_call_of_another():
    failures, count, ended = [], [0], threading.Event()

    def work(server, user):
        while not ended.is_set():
            try:
                answer = server.shell(user, "echo $((6 * 7))")
                assert answer["stdout"] == "42\n", answer
                count[0] += 1
            except Exception as error:
                failures.append(repr(error))

    with HttpServer() as stays:
        killed = HttpServer()
        users = ["guest0", "guest1", "guest2"]
        for user in users:
            killed.shell(user, "true")
        workers = [threading.Thread(target=work, args=(stays, user)) for user in users]
        workers += [threading.Thread(target=attempt_and_forget, args=(killed, user)) for user in users]
        for worker in workers:
            worker.start()
        eventually("calls run", lambda: count[0] > 20)
        killed.kill()
        before = count[0]
        eventually("they go on", lambda: count[0] > before + 50)
        ended.set()
        for worker in workers:
            worker.join()
        assert not failures, failures[:3]
        for user in users:
            pod_of(user)


def attempt_and_forget(server, user):
    """A call of the server that is killed: it has no answer."""
    try:
        server.shell(user, "sleep 30")
    except (OSError, AssertionError):
        pass
