#!/usr/bin/env python3
"""Records what real TLS clients and servers send first, for src/tls/tests.rs.

    record.py            writes NAME.client and NAME.peer beside itself, for the programs found here

The client's bytes are all that it sent before the peer's answer that ends the reading, the peer's
are its first flight. Each client is pointed at a relay on loopback before `openssl s_server`.
"""
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

HOST = "packages.example.com"
HERE = os.path.dirname(os.path.abspath(__file__))


def server(folder, *options):
    """Starts s_server under a certificate of its own; returns the process and its port."""
    port = free_port()
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-www",
         "-cert", f"{folder}/cert", "-key", f"{folder}/key", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("s_server does not listen")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def relay(listener, port, record):
    """Relays one connection and records (direction, bytes) in order."""
    client, _ = listener.accept()
    peer = socket.create_connection(("127.0.0.1", port))

    def copy(source, target, direction):
        try:
            while data := source.recv(65536):
                record.append((direction, data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    threads = [threading.Thread(target=copy, args=arguments, daemon=True)
               for arguments in ((client, peer, "client"), (peer, client, "peer"))]
    [thread.start() for thread in threads]
    [thread.join(5) for thread in threads]
    client.close()
    peer.close()


def record(name, folder, command, options=()):
    process, port = server(folder, *options)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60)
    pieces = []
    thread = threading.Thread(target=relay, args=(listener, port, pieces))
    thread.start()
    command(listener.getsockname()[1])
    thread.join()
    process.kill()
    process.wait()
    # Turns: client, peer, client, peer ... until a turn of the peer begins with no retry.
    turns = []
    for direction, data in pieces:
        if turns and turns[-1][0] == direction:
            turns[-1] = (direction, turns[-1][1] + data)
        else:
            turns.append((direction, data))
    count = 4 if "retry" in name else 2
    for side in ("client", "peer"):
        with open(f"{HERE}/{name}.{side}", "wb") as file:
            for direction, data in turns[:count]:
                if direction == side:
                    # A length of four bytes before each turn. Of the last one of the peer
                    # its ServerHello is enough.
                    last = side == "peer" and (direction, data) == turns[:count][-1]
                    data = data[:5 + int.from_bytes(data[3:5], "big")] if last else data
                    file.write(len(data).to_bytes(4, "big") + data)
    print(name, [(direction, len(data)) for direction, data in turns[:count]])


def run(*command, text=b"GET / HTTP/1.0\r\n\r\n", **options):
    subprocess.run(command, input=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=60, **options)


def openssl(*options):
    return lambda port: run("openssl", "s_client", "-connect", f"127.0.0.1:{port}",
                            "-servername", HOST, "-quiet", *options)


def python(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as raw:
        context.wrap_socket(raw, server_hostname=HOST).close()


def curl(port):
    run("curl", "-sk", "--noproxy", "*", "--connect-to", f"{HOST}:443:127.0.0.1:{port}", f"https://{HOST}/")


def node(port):
    run("node", "-e", f"require('tls').connect({{host:'127.0.0.1',port:{port},servername:'{HOST}',"
        "rejectUnauthorized:false}, function () { this.end() })")


def go(port):
    # Built before the first use: a build takes longer than the relay waits.
    program = os.path.join(tempfile.gettempdir(), f"hello-{os.getpid()}")
    if not os.path.exists(program):
        with open(f"{program}.go", "w") as file:
            file.write(f"""package main
import ("crypto/tls"; "os")
func main() {{
    if len(os.Args) < 2 {{ return }}
    c, err := tls.Dial("tcp", os.Args[1], &tls.Config{{ServerName: "{HOST}", InsecureSkipVerify: true}})
    if err == nil {{ c.Close() }}
}}""")
        subprocess.run(["go", "build", "-o", program, f"{program}.go"], check=True)
    if port:
        run(program, f"127.0.0.1:{port}")


def java(port):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/Hello.java", "w") as file:
            file.write(f"""import javax.net.ssl.*;
public class Hello {{
    public static void main(String[] a) throws Exception {{
        SSLSocket s = (SSLSocket) SSLSocketFactory.getDefault().createSocket("127.0.0.1", {port});
        SSLParameters p = s.getSSLParameters();
        p.setServerNames(java.util.List.of(new SNIHostName("{HOST}")));
        s.setSSLParameters(p);
        s.startHandshake();
    }}
}}""")
        run("java", f"{folder}/Hello.java", cwd=folder)


def main():
    with tempfile.TemporaryDirectory() as folder:
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{folder}/key", "-out", f"{folder}/cert", "-days", "1", "-subj", f"/CN={HOST}")
        record("openssl-tls13", folder, openssl())
        record("openssl-tls12", folder, openssl("-tls1_2"))
        retry = ("-groups", "P-384")
        record("openssl-retry", folder, openssl("-groups", "X25519:P-384"), retry)
        record("python", folder, python)
        if shutil.which("go"):
            go(None)
        for name, client in (("curl", curl), ("node", node), ("go", go), ("java", java)):
            if shutil.which(name):
                record(name, folder, client)
                record(f"{name}-retry", folder, client, retry)


main()
