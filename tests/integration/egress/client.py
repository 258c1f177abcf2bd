# What the scripts of the tests begin with. A failure is its name: EAI_NONAME, ECONNREFUSED, EOF.
import errno, hashlib, json, os, select, socket, ssl, struct, sys, threading, time

LIMIT = 20


def failure(error):
    if isinstance(error, socket.gaierror):
        names = [name for name in dir(socket) if name.startswith("EAI_")]
        return next(name for name in names if getattr(socket, name) == error.errno)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate: " + error.verify_message
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "EOF"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        return errno.errorcode[error.errno]
    return repr(error)


def attempt(call, *arguments, **named):
    try:
        return call(*arguments, **named)
    except Exception as error:
        return failure(error)


def addresses(name, port=443):
    return sorted({each[4][0] for each in socket.getaddrinfo(name, port)})


def context():
    return ssl.create_default_context(cafile="ca.pem")


def plain(host, port, data=b"ping"):
    """Sends, ends its direction, and returns all that comes back."""
    with socket.create_connection((host, port), timeout=LIMIT) as stream:
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
        return read(stream).decode()


def read(stream):
    pieces = []
    while piece := stream.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def tls(host, port=443, server_name=None, data=b"ping", trust=None):
    """Sends through TLS, and returns as much as it sent."""
    trust = trust or context()
    with socket.create_connection((host, port), timeout=LIMIT) as raw:
        with trust.wrap_socket(raw, server_hostname=server_name or host) as stream:
            stream.sendall(data)
            answer = b""
            while len(answer) < len(data) and (piece := stream.recv(1 << 16)):
                answer += piece
            return answer.decode()


def query(labels, kind=1, number=7):
    """A DNS message with one question; the name is put in as it is, lengths cut to a byte."""
    labels = [label.encode() if isinstance(label, str) else label for label in labels]
    name = b"".join(bytes([len(label) & 255]) + label for label in labels) + b"\0"
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", kind, 1)


def answer(message):
    """The code of a DNS answer, or its address."""
    code, records = message[3] & 15, message[7]
    if code == 0 and records:
        return socket.inet_ntoa(message[-4:])
    return {0: "NODATA", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP"}.get(code, code)


def ask(labels, kind=1):
    """What the sandbox's resolver says of a name, over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        stream.settimeout(LIMIT)
        stream.connect(("127.0.0.1", 53))
        stream.send(query(labels, kind))
        return answer(stream.recv(4096))


def errno_of(family, kind, address, protocol=0):
    """How a connection ends that needs no name."""
    try:
        with socket.socket(family, kind, protocol) as stream:
            stream.settimeout(LIMIT)
            stream.connect(address)
            return "connected"
    except OSError as error:
        return failure(error)


def hello(server_name, trust=None):
    """The first bytes of a TLS client, and what makes the next ones."""
    trust = trust or context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    machine = trust.wrap_bio(incoming, outgoing, server_hostname=server_name)
    try:
        machine.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def exchange(host, port, pieces, pause=0):
    """Sends the pieces one by one, and returns what comes back first."""
    with socket.create_connection((host, port), timeout=LIMIT) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            stream.sendall(piece)
            time.sleep(pause)
        return stream.recv(1 << 16)


def say(value):
    print(json.dumps(value))
