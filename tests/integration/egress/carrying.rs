//! Which server carries, and what the operator sees of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{Lab, Talk};
use super::{said, started};
use crate::harness::{Directory, Instance, docker, eventually};

/// How soon another carrier is there, and a line of the log.
const SOON: Duration = Duration::from_secs(15);

/// What the only row of `ps` says of egress.
fn ps(instance: &Instance) -> Value {
    let output = instance.command(&["ps", "--json"]).output().expect("runs");
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    rows[0]["egress"].clone()
}

/// The hash of the rules of the tests' user, by the settings in `file`.
fn hash(lab: &Lab, instance: &Instance, file: &str) -> Value {
    let path = lab.path(file);
    let path = path.to_str().expect("UTF-8");
    let args = ["egress", "show", "tester", "--json", "--config", path];
    let output = instance.command(&args).output().expect("runs");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    shown["hash"].clone()
}

#[tokio::test]
async fn ps_says_what_passes_and_by_which_rules() {
    let lab = Lab::new();
    lab.resolver.set("raw.test", ["93.184.1.1"]);
    let _raw = lab.tcp("93.184.1.1:5432", Talk::Echo);
    let server = started(&lab, "[egress]\nallow = [\"raw.test:5432/tcp\"]\n").await;
    let (_, _running) = super::start(
        &server,
        r#"
attempt(plain, "raw.test", 5432, b"x" * 3000)
with socket.create_connection(("raw.test", 5432), timeout=LIMIT) as stream:
    stream.sendall(b"y" * 10)
    read = stream.recv(10)
    open("open", "w").close()
    time.sleep(300)"#,
    )
    .await;
    let instance = &server.instance;
    eventually("one is open", SOON, async || {
        ps(instance)["open_connections"] == 1 && ps(instance)["received_bytes"] == 3010
    })
    .await;
    let seen = ps(instance);
    assert_eq!(seen["connections"], 2, "{seen}");
    assert_eq!(seen["sent_bytes"], 3010, "{seen}");
    assert_eq!(seen["rules_hash"], hash(&lab, instance, "casemate.toml"));
    let table = instance.command(&["ps"]).output().expect("runs");
    let table = String::from_utf8(table.stdout).expect("UTF-8");
    assert!(table.contains("1 open, 0.0 MiB, rules "), "{table}");

    // Other rules, while it runs.
    lab.set("casemate.toml", "[egress]\nallow = [\"other.test\"]\n");
    let other = hash(&lab, instance, "casemate.toml");
    assert_ne!(other, seen["rules_hash"]);
    eventually(
        "the rules and the connection are others",
        SOON,
        async || {
            let seen = ps(instance);
            seen["rules_hash"] == other && seen["open_connections"] == 0
        },
    )
    .await;
}

#[tokio::test]
async fn a_server_whose_rules_are_not_those_in_force_says_so_in_its_log_and_doctor_too() {
    let lab = Lab::new();
    let _hosts = [
        lab.host("one.test", "93.184.1.1"),
        lab.host("two.test", "93.184.1.2"),
    ];
    let directory = Directory::new(0);
    let log = std::path::Path::new(directory.text()).join("log");
    let instance = Instance::new();
    let one = "[egress]\nallow = [\"one.test\"]\n";
    let older = lab.server_on(&instance, "casemate.toml", one).log_to(&log);
    let older = older.start().await;
    older.shell("true").await;
    let words = "by other rules";
    let told = || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        log.matches(words).count()
    };
    let same = lab.server_on(&instance, "casemate.toml", one).start().await;
    same.shell("true").await;
    let doctor = |file: &str| {
        let path = lab.path(file);
        let path = path.to_str().expect("UTF-8");
        let args = ["doctor", "--json", "--config", path];
        let output = instance.command(&args).output().expect("runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let said = "other egress rules than these settings";
    assert!(!doctor("casemate.toml").contains(said));
    assert_eq!(told(), 0, "they have the same rules");

    let two = "[egress]\nallow = [\"two.test\"]\n";
    let newest = lab.server_on(&instance, "newer.toml", two).start().await;
    newest.shell("true").await;
    eventually("the older one says so", SOON, async || told() == 1).await;
    // Longer than it takes to ask again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(told(), 1, "once");
    let found = doctor("casemate.toml");
    assert!(found.contains(said) && found.contains("tester"), "{found}");
    assert!(!doctor("newer.toml").contains(said));
}

#[tokio::test]
async fn programs_in_the_background_have_the_network_again_when_the_channel_broke() {
    let lab = Lab::new();
    let target = lab.host("one.test", "93.184.1.1");
    let server = started(&lab, "[egress]\nallow = [\"one.test\"]\n").await;
    let again = r#"
import time
exec(open("client.py").read())
while True:
    attempt(tls, "one.test")
    time.sleep(0.2)
"#;
    server.write("client.py", super::CLIENT).await;
    server.write("again.py", again).await;
    server.shell("python3 again.py >/dev/null 2>&1 &").await;
    eventually("it connects", SOON, async || target.count() > 2).await;

    // Nobody calls from here on.
    let container = server.instance.container();
    let bridges: Vec<String> = docker::top(&container)
        .into_iter()
        .filter(|(_, args)| args.contains("casemate-init bridge"))
        .map(|(pid, _)| pid)
        .collect();
    assert!(!bridges.is_empty());
    docker::kill_on_host(&bridges);
    let before = target.count();
    eventually("it connects again", SOON, async || {
        target.count() > before + 2
    })
    .await;
    assert_eq!(server.instance.container(), container);
    assert_eq!(said(&server, "say(attempt(tls, 'one.test'))").await, "ping");
    assert_eq!(
        json!(ps(&server.instance)["open_connections"])
            .as_u64()
            .map(|open| open < 3),
        Some(true)
    );
}
