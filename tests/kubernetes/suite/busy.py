"""An API server with too much to do, between a server and the real one."""

import base64
import json
import select
import socket
import ssl
import threading
import urllib.parse

from cluster import WORK

REFUSAL = json.dumps({
    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests", "code": 429,
    "message": "too many requests, please try again later", "metadata": {},
}).encode()


class BusyApiServer:
    """Answers the first `refusals` requests with 429, and gives the others to the API server."""

    def __init__(self, refusals):
        self.left, self.refused, self.lock = refusals, 0, threading.Lock()
        config = json.loads((WORK / "kubeconfig").read_text())
        cluster = config["clusters"][0]["cluster"]
        url = urllib.parse.urlparse(cluster["server"])
        self.real = (url.hostname, url.port)
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        # Version 1.3 sends tickets, for which a read waits that `select` has promised data.
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.listener = socket.create_server(("127.0.0.1", 0))
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.listener.getsockname()[1]}"}
        self.kubeconfig = WORK / f"busy-{refusals}"
        self.kubeconfig.write_text(json.dumps(config))
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            head, rest = read_head(client)
            with self.lock:
                is_refused = self.left > 0
                self.left -= is_refused
                self.refused += is_refused
            if is_refused:
                refuse(client, head, rest)
                return
            with self.context.wrap_socket(socket.create_connection(self.real), server_hostname=self.real[0]) as real:
                real.sendall(head + rest)
                relay(client, real)


def read_head(client):
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            break
        data += more
    head, end, rest = data.partition(b"\r\n\r\n")
    return head + end, rest


def refuse(client, head, rest):
    """The body is read first: a connection that is closed before would break, and not be answered."""
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    missing = int(lengths[0]) - len(rest) if lengths else 0
    while missing > 0:
        missing -= len(client.recv(65536)) or missing
    client.sendall(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
                   b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(REFUSAL) + REFUSAL)


def relay(client, real):
    other = {client: real, real: client}
    while True:
        # What TLS has read already, no file descriptor shows.
        ready = [real] if real.pending() else select.select(list(other), [], [])[0]
        for one in ready:
            data = one.recv(65536)
            if not data:
                return
            other[one].sendall(data)
