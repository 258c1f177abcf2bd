//! Programs of the user's that stand where casemate-init listens, and addresses that were another
//! name's.

use std::time::Duration;

use serde_json::json;

use super::lab::Lab;
use super::{assert_denied, run, said, started, trust};
use crate::harness::{Server, eventually};

const ALLOW: &str = "[egress]\nallow = [\"allowed.test\"]\n";

/// How soon a server carries.
const SOON: Duration = Duration::from_secs(15);

/// A program that lives on after its command: it listens on TCP and UDP, and accepts nothing.
async fn squat(server: &Server, address: &str, port: u16) {
    let script = format!(
        r#"
import socket, time
tcp = socket.create_server(("{address}", {port}))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("{address}", {port}))
open("squats", "w").close()
time.sleep(300)
"#
    );
    server.write("squat.py", &script).await;
    let order = "rm -f squats; python3 squat.py >squat.log 2>&1 & \
                 for _ in $(seq 100); do [ -e squats ] && exit; sleep 0.05; done; cat squat.log; exit 1";
    let result = server.shell(order).await;
    assert_eq!(result.exit_code(), 0, "{}", result.0);
}

#[tokio::test]
async fn a_port_that_the_user_listens_on_makes_the_name_not_exist() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, ALLOW).await;
    squat(&server, "0.0.0.0", 443).await;
    let run = run(&server, "say(attempt(addresses, 'allowed.test'))").await;
    assert_eq!(run.said, "EAI_NONAME");
    assert_denied(&run.result, "allowed.test", "port_in_use");
    assert_eq!(target.count(), 0);
}

#[tokio::test]
async fn a_program_on_the_loopback_address_itself_hinders_no_name() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, ALLOW).await;
    squat(&server, "127.0.0.1", 443).await;
    assert_eq!(
        said(&server, "say(attempt(tls, 'allowed.test'))").await,
        "ping"
    );
    // And when the name's listener is there, no other program gets its port on all addresses.
    let script = "say(attempt(lambda: str(socket.create_server(('0.0.0.0', 443)))))";
    assert_eq!(said(&server, script).await, "EADDRINUSE");
    assert_eq!(target.count(), 1);
}

#[tokio::test]
async fn nobody_takes_the_resolvers_place_and_who_takes_a_listeners_fools_only_themselves() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, ALLOW).await;
    let container = server.instance.container();
    let found = said(
        &server,
        r#"
def take(kind, address, port, *options):
    with socket.socket(socket.AF_INET, kind) as stream:
        for option in options:
            stream.setsockopt(socket.SOL_SOCKET, option, 1)
        stream.bind((address, port))
        if kind == socket.SOCK_STREAM:
            stream.listen()
    return "taken"
say([attempt(take, kind, address, 53, *options)
     for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
     for address in ("127.0.0.1", "0.0.0.0")
     for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT))])"#,
    )
    .await;
    for end in found.as_array().expect("a list") {
        assert_eq!(end, "EADDRINUSE", "{found}");
    }

    // The first addresses that names get, before a name has one.
    let found = said(
        &server,
        r#"
held = []
for last in range(1, 9):
    for family in (0, 1):
        held.append(attempt(socket.create_server, ("127.64.%d.%d" % (family, last), 443)))
taken = {stream.getsockname()[0] for stream in held if not isinstance(stream, str)}
name = attempt(addresses, "allowed.test")
through = attempt(tls, "allowed.test")
say({"taken": len(taken), "name": name, "through": through, "mine": not isinstance(name, str) and name[0] in taken})"#,
    )
    .await;
    eprintln!("{found}");
    assert!(found["taken"].as_u64() > Some(8), "{found}");
    assert_eq!(
        found["mine"], false,
        "no name has an address that is the user's: {found}"
    );
    assert!(target.count() <= 1);
    // Commands and files work, and another user has what is theirs.
    assert_eq!(server.shell("echo lives").await.stdout(), "lives\n");
    assert_eq!(server.instance.container(), container);
    let other = lab.server_on(&server.instance, "casemate.toml", ALLOW);
    let other = other.user("other").start().await;
    trust(&lab, &other).await;
    assert_eq!(
        said(&other, "say(attempt(tls, 'allowed.test'))").await,
        "ping"
    );
}

#[tokio::test]
async fn an_address_that_was_a_names_is_never_anothers() {
    let lab = Lab::new();
    let one = lab.host("one.test", "93.184.1.1");
    let two = lab.host("two.test", "93.184.1.2");
    let server = started(&lab, "[egress]\nallow = [\"one.test\"]\n").await;
    let first = said(&server, "say(addresses('one.test')[0])").await;
    let first = first.as_str().expect("an address").to_owned();

    lab.set("casemate.toml", "[egress]\nallow = [\"two.test\"]\n");
    eventually("the other rule counts", SOON, async || {
        said(&server, "say(attempt(tls, 'two.test'))").await == "ping"
    })
    .await;
    let second = said(&server, "say(addresses('two.test')[0])").await;
    assert_ne!(second, first.as_str());
    let script = format!(
        "say([attempt(tls, '{first}', server_name=name) for name in ('one.test', 'two.test')])"
    );
    let through = said(&server, &script).await;
    for end in through.as_array().expect("a list") {
        assert_ne!(end, "ping", "{through}");
    }
    assert_eq!((one.count(), two.count()), (0, 1));

    // The name has its own again when its rule is back.
    lab.set(
        "casemate.toml",
        "[egress]\nallow = [\"one.test\", \"two.test\"]\n",
    );
    eventually("the first rule counts again", SOON, async || {
        said(&server, "say(attempt(addresses, 'one.test'))").await == json!([first])
    })
    .await;
}
