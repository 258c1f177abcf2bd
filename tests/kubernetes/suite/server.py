"""A server of the cluster's sandboxes over stdio, as a client starts it."""

import json
import os
import subprocess
import threading
import time

from cluster import IMAGE, SPACE, WORK

PROGRAM = os.environ["CASEMATE"]


def settings(kubeconfig=WORK / "kubeconfig", **more):
    """The variables of a server's process."""
    variables = {
        "engine": "kubernetes",
        "kubernetes_namespace": SPACE,
        "kubernetes_key_file": str(WORK / "secret"),
        "kubernetes_storage_class": "shared",
        "image": IMAGE,
        "memory": "256m",
        "quota": "1g",
        "log": "debug,hyper=info,h2=info,rustls=info,tower=info",
        "warm": "off",
        **more,
    }
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ours = {f"CASEMATE_{name.upper()}": value for name, value in variables.items() if value is not None}
    return {**keep, "KUBECONFIG": str(kubeconfig), **ours}


class Process:
    """A server that runs. A test that ends without ending it does so in order."""

    def kill(self):
        self.process.kill()
        self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()
        self.log.close()


class Server(Process):
    """A server over stdio, as a client starts it."""

    def __init__(self, user, **more):
        self.log = open(WORK / f"{user.replace('/', '_')}-{time.monotonic_ns()}.log", "w")
        self.process = subprocess.Popen(
            [PROGRAM, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=settings(user=user, **more),
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


def attempt(server, command):
    result = server.call("shell_exec", command=command)
    structured = result.get("structuredContent") or {}
    return structured if structured.get("outcome") == "exited" else None


def release(user):
    done = subprocess.run([PROGRAM, "release", user], env=settings(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
