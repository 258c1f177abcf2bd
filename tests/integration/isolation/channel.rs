//! Attacks on the channel's socket.

use std::time::Duration;

use serde_json::json;

use super::{pid_1_lives, python, with_stdin};
use crate::harness::{TestServer, eventually};

const KNOCK: &str = r#"
import array, errno, json, os, socket, struct

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect("\0casemate")
    return s

def knock(data=b"\0", *ancillary):
    with connect() as s:
        try:
            s.sendmsg([data], ancillary)
            return s.recv(100).hex()
        except TimeoutError:
            return "no end"
        except OSError as error:
            return errno.errorcode[error.errno]

def credentials(*ids):
    return (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("iII", *ids))

def bind():
    try:
        socket.socket(socket.AF_UNIX).bind("\0casemate")
    except OSError as error:
        return errno.errorcode[error.errno]

def crowd():
    guests = [connect() for _ in range(300)]
    return sum(len(guest.recv(100)) for guest in guests)

with connect() as silent:
    silence = silent.recv(100).hex()
print(json.dumps({
    "a byte": knock(),
    "HTTP/2": knock(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100),
    "own credentials": knock(b"\0", credentials(os.getpid(), os.getuid(), os.getgid())),
    "descriptors": knock(b"\0", (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 200))),
    "silence": silence,
    "crowd": crowd(),
    "the bridge's uid": knock(b"\0", credentials(os.getpid(), 65534, 65534)),
    "PID 1": knock(b"\0", credentials(1, os.getuid(), os.getgid())),
    "bind": bind(),
}))
"#;

#[tokio::test]
async fn the_channel_accepts_only_the_bridge() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let found = python(&server, KNOCK).await;
    // Refused without a byte. Unread data resets the connection.
    for turned_away in [
        "a byte",
        "HTTP/2",
        "own credentials",
        "descriptors",
        "silence",
    ] {
        assert!(
            [json!(""), json!("ECONNRESET")].contains(&found[turned_away]),
            "{turned_away}: {found}"
        );
    }
    assert_eq!(found["crowd"], 0, "{found}");
    for forged in ["the bridge's uid", "PID 1"] {
        assert_eq!(found[forged], "EPERM", "{forged}");
    }
    assert_eq!(found["bind"], "EADDRINUSE");
    pid_1_lives(&server, &container).await;
}

/// Occupies every connection that the socket accepts, for ever.
const CROWD: &str = r#"
import os, select, socket
os.fork()
os.fork()
guests = set()
while True:
    try:
        while len(guests) < 300:
            guest = socket.socket(socket.AF_UNIX)
            guest.setblocking(False)
            guest.connect("\0casemate")
            guests.add(guest)
    except OSError:
        pass
    open("/tmp/crowded", "w").close()
    for guest in select.select(guests, [], [], 0.01)[0]:
        guests.discard(guest)
        guest.close()
"#;

#[tokio::test]
async fn a_crowd_at_the_socket_locks_out_neither_this_server_nor_the_next() {
    let first = TestServer::new().start().await;
    let instance = first.instance.clone();
    let crowd = with_stdin(
        &first,
        "cat > crowd.py; python3 crowd.py > crowd.log 2>&1 &",
        CROWD,
    )
    .await;
    assert!(crowd.field("survivors").as_u64() >= Some(1), "{}", crowd.0);
    eventually("the crowd is there", Duration::from_secs(20), async || {
        first.shell("test -e /tmp/crowded").await.exit_code() == 0
    })
    .await;
    assert_eq!(first.shell("echo first").await.stdout(), "first\n");
    assert!(first.end().await.success());

    // The container runs on with the crowd in it, and the next server connects.
    let second = TestServer::on(&instance).start().await;
    let result = second.shell("echo second").await;
    assert!(!result.is_error(), "{}", result.0);
    assert_eq!(result.stdout(), "second\n");
}
