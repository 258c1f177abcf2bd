"""A server over HTTP, outside the cluster or in it, and an application that names its users."""

import http.client
import json
import os
import socket
import subprocess
import time

from cluster import WORK
from server import PROGRAM, Process, settings


class HttpServer(Process):
    """A server with a port of its own. `token` is an application's, which names its users."""

    def __init__(self, **more):
        self.token = token()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(WORK / f"http-{self.port}.log", "w")
        variables = settings(auth="tokens", tokens_file=str(WORK / "tokens.toml"), **more)
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--http", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=variables,
        )
        self.until_ready()

    def until_ready(self):
        end = time.monotonic() + 60
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < end and self.process.poll() is None, "the server does not listen"
            time.sleep(0.1)

    def shell(self, user, command):
        return shell("127.0.0.1", self.port, self.token, user, command)

    def transfer(self, user, data=None):
        """Stores `data` as a file of the user's, or gives that back."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        headers = {"Authorization": f"Bearer {self.token}", "X-Casemate-User": user}
        connection.request("PUT" if data else "GET", "/files/content/transfer", data, headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status in (200, 201), f"{response.status}: {body[:200]}"
        return body

    def end(self):
        self.process.terminate()
        self.process.wait(90)


def token():
    """The token of an application, the same for all servers of this run."""
    kept = WORK / "application-token"
    if not kept.exists():
        made = subprocess.run(
            [PROGRAM, "token", "--append", str(WORK / "tokens.toml"), "--delegate", "application"],
            capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
        kept.write_text(made.stdout.strip())
    return kept.read_text()


def shell(address, port, token, user, command, name=None):
    """The answer of `POST /v1/exec`; an error of the server's is an exception. `name`: what the server is called by."""
    connection = http.client.HTTPConnection(address, port, timeout=240)
    headers = {"Host": name or f"{address}:{port}", "Authorization": f"Bearer {token}", "X-Casemate-User": user, "Content-Type": "application/json"}
    connection.request("POST", "/v1/exec", json.dumps({"command": command}), headers)
    response = connection.getresponse()
    text = response.read().decode()
    assert response.status == 200, f"{response.status}: {text}"
    return json.loads(text)
