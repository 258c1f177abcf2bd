//! The rules change while programs run.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lab::{Lab, Talk};
use super::{assert_denied, denied, run, said, start, started};
use crate::harness::{Server, eventually};

/// How soon another settings file counts, and what a rule allowed that is gone has ended.
const SOON: Duration = Duration::from_secs(10);

/// Three connections on which something is sent every tenth of a second, until the file `stop`
/// exists. Says how each ended; the file `NAME.ended` says so at once.
const THREE: &str = r#"
def keep(name, port, wrap):
    raw = socket.create_connection((name, port), timeout=LIMIT)
    stream = context().wrap_socket(raw, server_hostname=name) if wrap else raw
    with stream:
        number = 0
        while not os.path.exists("stop"):
            stream.sendall(b"ping")
            answer = stream.recv(4)
            if answer != b"ping":
                raise OSError("it ended: %r" % answer)
            number += 1
            if number == 3:
                open(name + ".runs", "w").close()
            time.sleep(0.1)
    return "ran on"

ends = {}
def run(name, port, wrap):
    ends[name] = attempt(keep, name, port, wrap)
    open(name + ".ended", "w").write(ends[name])
threads = [threading.Thread(target=run, args=each) for each in
           (("one.test", 443, True), ("two.test", 443, True), ("three.test", 5432, False))]
for thread in threads: thread.start()
for thread in threads: thread.join()
say(ends)
"#;

const ALL: &str = "[egress]\nallow = [\"one.test\", \"two.test\", \"three.test:5432/tcp\"]\n";

/// The files in the workspace that have this ending.
async fn files(server: &Server, ending: &str) -> usize {
    let listed = server.shell("ls").await;
    let names = listed.stdout().lines();
    names.filter(|name| name.ends_with(ending)).count()
}

#[tokio::test]
async fn a_rule_that_goes_ends_its_connections_and_no_other() {
    let lab = Lab::new();
    let _hosts = [
        lab.host("one.test", "93.184.1.1"),
        lab.host("two.test", "93.184.1.2"),
    ];
    lab.resolver.set("three.test", ["93.184.1.3"]);
    let _three = lab.tcp("93.184.1.3:5432", Talk::Echo);
    let server = started(&lab, ALL).await;
    let (_, running) = start(&server, THREE).await;
    eventually("three run", SOON, async || {
        files(&server, ".runs").await == 3
    })
    .await;

    // The same rules in another order, and one more: nothing ends.
    let more = ALL.replace(
        "[\"one.test\", \"two.test\",",
        "[\"two.test\", \"new.test\", \"one.test\",",
    );
    assert_ne!(more, ALL);
    let _new = lab.host("new.test", "93.184.1.4");
    lab.set("casemate.toml", &more);
    eventually("the new rule counts", SOON, async || {
        said(&server, "say(attempt(tls, 'new.test'))").await == "ping"
    })
    .await;
    assert_eq!(files(&server, ".ended").await, 0);

    lab.set("casemate.toml", &ALL.replace("\"two.test\", ", ""));
    let begin = Instant::now();
    eventually("two is ended", SOON, async || {
        files(&server, ".ended").await == 1
    })
    .await;
    eprintln!("ended {:?} after the change", begin.elapsed());
    let refused = run(&server, "say(attempt(tls, 'two.test'))").await;
    assert_eq!(refused.said, "EAI_NONAME");
    assert_denied(&refused.result, "two.test", "not_allowed");

    server.shell("touch stop").await;
    let ended = running.result().await;
    let ends: Value = serde_json::from_str(ended.stdout()).expect("JSON");
    assert_eq!(ends["one.test"], "ran on", "{ends}");
    assert_eq!(ends["three.test"], "ran on", "{ends}");
    assert_ne!(ends["two.test"], "ran on", "{ends}");
    let gone = ("two.test".to_owned(), "rules_changed".to_owned());
    assert!(denied(&ended).contains(&gone), "{}", ended.0);
}

#[tokio::test]
async fn a_broken_settings_file_leaves_the_old_rules_in_force() {
    let lab = Lab::new();
    let _one = lab.host("one.test", "93.184.1.1");
    let two = lab.host("two.test", "93.184.1.2");
    let log = lab.path("log");
    let rules = "[egress]\nallow = [\"one.test\"]\n";
    let server = lab.server(rules).log_to(&log).start().await;
    super::trust(&lab, &server).await;
    let script = "say([attempt(tls, 'one.test'), attempt(tls, 'two.test')])";
    let before = json!(["ping", "EAI_NONAME"]);
    assert_eq!(said(&server, script).await, before);
    for (broken, named) in [
        ("[egress]\nallow = [\"two.test\"", "casemate.toml"),
        (
            "[egress]\nallow = [\"two.test\", \"*.co.uk\"]\n",
            "egress.allow[1]",
        ),
        (
            "[egress]\nallow = [\"two.test\"]\nallowed = []\n",
            "allowed",
        ),
    ] {
        lab.set("casemate.toml", broken);
        eventually("it is said in the log", SOON, async || {
            std::fs::read_to_string(&log).is_ok_and(|log| log.contains(named))
        })
        .await;
        assert_eq!(said(&server, script).await, before, "{broken}");
    }
    std::fs::remove_file(lab.path("casemate.toml")).expect("a file");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(said(&server, script).await, before, "without a file");
    assert_eq!(two.count(), 0);

    lab.set("casemate.toml", "[egress]\nallow = [\"two.test\"]\n");
    eventually("a good file counts again", SOON, async || {
        said(&server, script).await == json!(["EAI_NONAME", "ping"])
    })
    .await;
}

#[tokio::test]
async fn a_server_with_rules_that_cannot_be_read_does_not_start() {
    let lab = Lab::new();
    for (rules, named) in [
        ("allow = [\"one.test\", \"*.co.uk\"]", "egress.allow[1]"),
        ("allow = [\"93.184.1.1\"]", "egress.allow[0]"),
        ("allow = [\"*\"]", "egress.allow[0]"),
        ("allow = [\"*.test\"]", "egress.allow[0]"),
        ("allow = [\"@unknown\"]", "@unknown"),
        ("deny = [\"everything\"]", "egress.deny[0]"),
        ("alow = []", "alow"),
        ("allow = [", "casemate.toml"),
    ] {
        let server = lab.server(&format!("[egress]\n{rules}\n"));
        let mut command = server.command();
        command.stdin(Stdio::null());
        let ended = tokio::time::timeout(SOON, command.output()).await;
        let ended = ended.expect("it ends").expect("it was started");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{rules}: {said}");
        assert!(said.contains(named), "{rules}: {said}");
    }
}
