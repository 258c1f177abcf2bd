//! The network is loopback only.

use serde_json::Value;

use super::{output, python};
use crate::harness::{TestServer, docker};

const REACH_OUT: &str = r#"
import errno, json, os, socket, tempfile

def reach(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(20)
        try:
            s.connect(address)
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode[error.errno]
        return "connected"

def loopback(family, address):
    with socket.socket(family) as server, socket.socket(family) as client:
        server.bind(address)
        server.listen()
        client.connect(server.getsockname())
        client.sendall(b"ping")
        return server.accept()[0].recv(4).decode()

away = [("1.1.1.1", 443), ("169.254.169.254", 80), ("172.17.0.1", 2375), ("10.0.0.1", 22), ("192.168.0.1", 80)]
print(json.dumps({
    "away": {a[0]: reach(socket.AF_INET, kind, a) for a in away for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)}
        | {"IPv6": reach(socket.AF_INET6, socket.SOCK_STREAM, ("2606:4700:4700::1111", 443))},
    "tcp": loopback(socket.AF_INET, ("127.0.0.1", 0)),
    "unix": loopback(socket.AF_UNIX, os.path.join(tempfile.mkdtemp(), "socket")),
    "abstract": loopback(socket.AF_UNIX, "\0mine"),
}))
"#;

#[tokio::test]
async fn the_only_network_is_loopback() {
    let server = TestServer::new().start().await;
    let found = python(&server, REACH_OUT).await;
    // gVisor has no such directory. On Linux the file names tunnels that are down, too.
    let interfaces = match docker::on_gvisor() {
        true => "tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '",
        false => "ls /sys/class/net",
    };
    assert_eq!(output(&server, interfaces).await, "lo");
    for (address, answer) in found["away"].as_object().expect("addresses") {
        // No route: the error comes at once.
        let at_once = ["ENETUNREACH", "EADDRNOTAVAIL"].map(Value::from);
        assert!(at_once.contains(answer), "{address}: {answer}");
    }
    for works in ["tcp", "unix", "abstract"] {
        assert_eq!(found[works], "ping", "{works}");
    }

    // Names are not looked up either, and that fails at once (124 would be the timeout).
    let lookup = server.shell("timeout 20 getent hosts example.com").await;
    assert_eq!(lookup.exit_code(), 2, "{}", lookup.0);
    let resolver = output(&server, "cat /etc/resolv.conf").await;
    for line in resolver.lines().filter(|line| !line.starts_with('#')) {
        let harmless = ["nameserver 127.0.0.1", "search .", ""].contains(&line)
            || line.starts_with("options ");
        assert!(harmless, "resolv.conf: {line}");
    }
}
