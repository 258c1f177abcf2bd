//! Programs of the user's that stand where casemate-init listens, and addresses that were another
//! name's.

use std::time::Duration;

use serde_json::json;

use super::lab::Lab;
use super::{assert_denied, run, said, started, trust};
use crate::harness::{Instance, Server, eventually};

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
    // And when the name's listener is there, nobody else gets its port on all addresses.
    let script = "say(attempt(lambda: str(socket.create_server(('0.0.0.0', 443)))))";
    assert_eq!(said(&server, script).await, "EADDRINUSE");
    assert_eq!(target.count(), 1);
}

#[tokio::test]
async fn a_program_in_place_of_the_resolver_fools_only_its_user() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let instance = Instance::new();
    // A server without rules: nobody listens on port 53 yet.
    let without = lab.server_on(&instance, "without.toml", "").start().await;
    squat(&without, "127.0.0.1", 53).await;
    let with = lab
        .server_on(&instance, "casemate.toml", ALLOW)
        .start()
        .await;
    trust(&lab, &with).await;
    let found = said(
        &with,
        "socket.setdefaulttimeout(2)\nsay(attempt(ask, ['allowed', 'test']))",
    )
    .await;
    assert_ne!(found, "NXDOMAIN", "the user's own program is asked");
    assert_eq!(target.count(), 0);
    // Commands and files work, and another user has what is theirs.
    assert_eq!(with.shell("echo lives").await.stdout(), "lives\n");
    let other = lab.server_on(&instance, "casemate.toml", ALLOW);
    let other = other.user("other").start().await;
    trust(&lab, &other).await;
    assert_eq!(
        said(&other, "say(attempt(tls, 'allowed.test'))").await,
        "ping"
    );

    // The program goes, and names exist.
    with.shell("pkill -f squat.py").await;
    eventually("the name exists", SOON, async || {
        said(&with, "say(attempt(tls, 'allowed.test'))").await == "ping"
    })
    .await;
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
