"""An application with what the tests ask for, by path. It uses nothing but the standard library."""

import base64
import hashlib
import json
import socketserver
import sys
import time

PORT = int(sys.argv[1])


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline(65536).decode("latin-1")
        if not line.strip():
            return
        method, path, _ = line.split(" ", 2)
        headers = []
        while True:
            header = self.rfile.readline(65536).decode("latin-1").rstrip("\r\n")
            if not header:
                break
            name, value = header.split(":", 1)
            headers.append([name.lower(), value.strip()])
        self.named = dict(headers)
        self.answer(method, path, headers)

    def answer(self, method, path, headers):
        route = path.split("?")[0]
        if route == "/silent":
            time.sleep(600)
        elif route == "/garbage":
            self.wfile.write(b"\x00\xff this is no HTTP\r\n\r\n")
        elif route == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif route == "/redirect":
            self.send(302, [("Location", f"http://localhost:{PORT}/there?a=b#c")], b"")
        elif route == "/cookies":
            self.send(200, [("Set-Cookie", "a=1; Domain=localhost; Path=/"),
                            ("Set-Cookie", "__Host-casemate-preview=mine; Path=/; Secure"),
                            ("Clear-Site-Data", '"cookies"')], b"set")
        elif route == "/events":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            for number in range(5):
                self.wfile.write(f"data: {number}\n\n".encode())
                self.wfile.flush()
                # The next comes when the one before was seen.
                time.sleep(0.5)
        elif route == "/large":
            size = int(path.split("?")[1])
            self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            block = bytes(range(256)) * 256
            while size > 0:
                self.wfile.write(block[:size])
                size -= len(block)
        elif route == "/upload":
            left, digest = int(self.named["content-length"]), hashlib.sha256()
            while left > 0:
                data = self.rfile.read(min(left, 65536))
                if not data:
                    return
                digest.update(data)
                left -= len(data)
            self.send(200, [], digest.hexdigest().encode())
        elif route == "/socket":
            self.websocket()
        elif route == "/page":
            self.send(200, [("Content-Type", "text/html; charset=utf-8")], PAGE)
        else:
            body = json.dumps({"method": method, "path": path, "headers": headers})
            self.send(200, [("Content-Type", "application/json")], body.encode())

    def send(self, status, headers, body):
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def websocket(self):
        """Echoes short text messages (RFC 6455)."""
        key = self.named["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.wfile.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").encode())
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            length = head[1] & 127
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([0x81, length]) + data)


PAGE = b"""<!doctype html>
<title>Application</title>
<button id="count">0</button> <output id="echo"></output> <output id="events"></output>
<script>
  const count = document.getElementById('count');
  count.onclick = async () => {
    const answer = await (await fetch('/counted', { method: 'POST' })).json();
    count.textContent = answer.method;
  };
  const socket = new WebSocket(`ws://${location.host}/socket`);
  socket.onopen = () => socket.send('hello');
  socket.onmessage = (event) => { document.getElementById('echo').textContent = event.data; };
  const events = new EventSource('/events');
  events.onmessage = (event) => { document.getElementById('events').textContent += event.data; };
  events.onerror = () => events.close();
</script>
"""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", PORT), Handler).serve_forever()
