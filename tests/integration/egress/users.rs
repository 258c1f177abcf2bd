//! Several users, servers and containers: whose rules count for what.

use std::time::Duration;

use serde_json::json;

use super::lab::{Lab, Talk};
use super::{assert_denied, run, said, start, started, trust};
use crate::harness::{Instance, docker, eventually};

/// How soon another server carries.
const SOON: Duration = Duration::from_secs(15);

const BOTH: &str = "say([attempt(tls, 'one.test'), attempt(tls, 'two.test')])";

#[tokio::test]
async fn each_user_has_the_rules_of_their_own() {
    let lab = Lab::new();
    let (one, two) = (
        lab.host("one.test", "93.184.1.1"),
        lab.host("two.test", "93.184.1.2"),
    );
    let settings = r#"[egress]
allow = ["one.test"]
[[users]]
user = "bob"
egress = { allow = ["two.test"] }
[[users]]
user = "carol"
egress = { allow = ["two.test"], extend = true }
[[users]]
user = "dave"
egress = { allow = [] }
"#;
    let instance = Instance::new();
    let mut servers = Vec::new();
    for user in ["alice", "bob", "carol", "dave"] {
        let server = lab.server_on(&instance, "casemate.toml", settings);
        let server = server.user(user).start().await;
        trust(&lab, &server).await;
        servers.push(server);
    }
    for _ in 0..2 {
        let (no, yes) = ("EAI_NONAME", "ping");
        for (server, expected) in servers.iter().zip([[yes, no], [no, yes], [yes, yes]]) {
            assert_eq!(said(server, BOTH).await, json!(expected));
        }
        assert_eq!(said(&servers[3], BOTH).await, json!([no, no]));
    }
    assert_eq!((one.count(), two.count()), (4, 4));

    // The loopback address of another user's name leads nowhere.
    let address = said(&servers[0], "say(addresses('one.test')[0])").await;
    let address = address.as_str().expect("an address");
    let script = format!("say(attempt(tls, '{address}', server_name='one.test'))");
    for server in [&servers[1], &servers[3]] {
        assert_ne!(said(server, &script).await, "ping");
    }
}

#[tokio::test]
async fn a_new_container_has_the_rules_of_the_old_one() {
    let lab = Lab::new();
    let target = lab.host("one.test", "93.184.1.1");
    let server = started(&lab, "[egress]\nallow = [\"one.test\"]\n").await;
    assert_eq!(said(&server, BOTH).await, json!(["ping", "EAI_NONAME"]));
    let old = server.instance.container();
    docker::output(&["rm", "--force", &old]);
    let again = run(&server, BOTH).await;
    assert_eq!(again.said, json!(["ping", "EAI_NONAME"]));
    assert_denied(&again.result, "two.test", "not_allowed");
    assert_ne!(server.instance.container(), old);
    assert_eq!(target.count(), 2);
}

/// Connects again and again, and says how often it came through and how often not.
const AGAIN: &str = r#"
def hold():
    with socket.create_connection(("raw.test", 5432), timeout=LIMIT) as stream:
        stream.sendall(b"ping")
        stream.recv(4)
        # The target has it, and not only the listener in the sandbox.
        open("runs", "w").close()
        while stream.sendall(b"ping") is None and stream.recv(4) == b"ping":
            time.sleep(0.05)
    return "EOF"

end = attempt(hold)
begin = time.time()
failures = []
while time.time() < begin + 30:
    answer = attempt(tls, "one.test")
    if answer == "ping":
        break
    failures.append(answer)
    time.sleep(0.2)
say({"held": end, "then": answer, "failures": sorted(set(failures)), "took": time.time() - begin})
"#;

#[tokio::test]
async fn when_the_server_that_carries_is_killed_another_carries() {
    let lab = Lab::new();
    let target = lab.host("one.test", "93.184.1.1");
    lab.resolver.set("raw.test", ["93.184.1.2"]);
    let raw = lab.tcp("93.184.1.2:5432", Talk::Echo);
    let rules = "[egress]\nallow = [\"one.test\", \"raw.test:5432/tcp\"]\n";
    let older = started(&lab, rules).await;
    let newer = lab
        .server_on(&older.instance, "casemate.toml", rules)
        .start()
        .await;
    assert_eq!(said(&newer, BOTH).await, json!(["ping", "EAI_NONAME"]));
    let (_, running) = start(&older, AGAIN).await;
    eventually("a connection runs", SOON, async || {
        older.shell("ls runs").await.exit_code() == 0
    })
    .await;

    newer.signal("KILL");
    let ended = running.result().await;
    let told: serde_json::Value = serde_json::from_str(ended.stdout()).expect("JSON");
    eprintln!("{told}");
    assert!(
        [json!("ECONNRESET"), json!("EOF")].contains(&told["held"]),
        "{told}"
    );
    assert_eq!(told["then"], "ping", "{told}");
    raw.ended().await;
    assert!(
        raw.seen()[0].broken,
        "what breaks off is reset at the target too"
    );
    assert_eq!(target.count(), 2);
}

#[tokio::test]
async fn of_two_servers_with_other_rules_the_newer_ones_count_and_are_never_mixed() {
    let lab = Lab::new();
    let (one, two) = (
        lab.host("one.test", "93.184.1.1"),
        lab.host("two.test", "93.184.1.2"),
    );
    let older = started(&lab, "[egress]\nallow = [\"one.test\"]\n").await;
    assert_eq!(said(&older, BOTH).await, json!(["ping", "EAI_NONAME"]));
    let rules = "[egress]\nallow = [\"two.test\"]\n";
    let newer = lab
        .server_on(&older.instance, "newer.toml", rules)
        .start()
        .await;
    for server in [&newer, &older, &newer] {
        let found = said(server, BOTH).await;
        assert_eq!(found, json!(["EAI_NONAME", "ping"]), "the sandbox is one");
    }
    assert_eq!((one.count(), two.count()), (1, 3));

    assert!(newer.end().await.success());
    eventually("the older one carries again", SOON, async || {
        said(&older, BOTH).await == json!(["ping", "EAI_NONAME"])
    })
    .await;
}

#[tokio::test]
async fn a_verb_beside_a_server_ends_none_of_its_connections() {
    let lab = Lab::new();
    lab.resolver.set("echo.test", ["93.184.1.1"]);
    let echo = lab.tcp("93.184.1.1:5432", Talk::Echo);
    let instance = Instance::new();
    let allow = "[egress]\nallow = [\"echo.test:5432/tcp\"]\n";
    let server = lab.server_on(&instance, "casemate.toml", allow);
    let server = server.user("ada").start().await;
    let (_, running) = start(
        &server,
        r#"
stream = socket.create_connection(("echo.test", 5432), timeout=LIMIT)
def ping():
    stream.sendall(b"ping")
    return stream.recv(4).decode()
said = [attempt(ping)]
open("open", "w").close()
while not os.path.exists("go"):
    time.sleep(0.1)
time.sleep(1)
say(said + [attempt(ping)])"#,
    )
    .await;
    eventually("it is open", SOON, async || {
        server.shell("ls open").await.exit_code() == 0
    })
    .await;
    let ran = instance.command(&["exec", "ada", "--", "touch", "/workspace/go"]);
    let ran = tokio::process::Command::from(ran).output().await;
    let ran = ran.expect("it runs");
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(running.result().await.stdout(), "[\"ping\", \"ping\"]\n");
    assert_eq!(echo.count(), 1);
}
