//! Which names exist in a sandbox, and under which rules.

use std::time::{Duration, Instant};

use serde_json::json;

use super::lab::{Lab, Talk};
use super::{assert_denied, denied, run, said, started};
use crate::harness::Server;

/// How long a refused lookup may take: the answer comes at once.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_allowed_name_is_reached_under_its_own_server_name_byte_for_byte() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    lab.resolver.set("raw.test", ["93.184.1.2"]);
    let raw = lab.tcp("93.184.1.2:5432", Talk::Echo);
    let server = started(
        &lab,
        "[egress]\nallow = [\"allowed.test\", \"raw.test:5432/tcp\"]\n",
    )
    .await;
    let run = run(
        &server,
        r#"
every = bytes(range(256)) * 300
with socket.create_connection(("raw.test", 5432), timeout=LIMIT) as stream:
    threading.Thread(target=lambda: (stream.sendall(every), stream.shutdown(socket.SHUT_WR))).start()
    back = read(stream)
say({"tls": attempt(tls, "allowed.test"), "raw": back == every,
     "addresses": [addresses(name) for name in ("allowed.test", "raw.test")]})"#,
    )
    .await;
    assert_eq!(run.said["tls"], "ping");
    assert_eq!(run.said["raw"], true);
    for address in ["/addresses/0/0", "/addresses/1/0"] {
        let address = run.said.pointer(address).and_then(|text| text.as_str());
        let address = address.expect("an address");
        assert!(
            address.starts_with("127."),
            "{address} is the sandbox's own"
        );
    }
    assert!(denied(&run.result).is_empty(), "{}", run.result.0);

    let seen = target.only().await;
    assert_eq!(seen.server_name.as_deref(), Some("allowed.test"));
    assert_eq!(seen.head, b"ping");
    let seen = raw.only().await;
    assert_eq!(seen.received, 256 * 300);
    let asked = lab.resolver.questions();
    let both = ["allowed.test", "raw.test"];
    assert!(
        asked.iter().all(|name| both.contains(&name.as_str())),
        "nothing else was asked for, and no search domain tried: {asked:?}"
    );
}

#[tokio::test]
async fn without_a_rule_no_name_exists_and_no_query_leaves_the_server() {
    for settings in ["", "[egress]\n", "[egress]\nallow = []\n"] {
        let lab = Lab::new();
        let target = lab.host("allowed.test", "93.184.1.1");
        let server = started(&lab, settings).await;
        let begin = Instant::now();
        let run = run(&server, "say(attempt(addresses, 'allowed.test'))").await;
        assert_eq!(run.said, "EAI_NONAME", "{settings:?}");
        assert_denied(&run.result, "allowed.test", "not_allowed");
        let text = run.result.text();
        assert!(
            text.contains("There is no network."),
            "{settings:?}: {text}"
        );
        assert!(begin.elapsed() < AT_ONCE, "{settings:?}");
        assert_eq!(lab.resolver.questions(), Vec::<String>::new());
        assert_eq!(target.count(), 0);
    }
}

#[tokio::test]
async fn a_name_that_no_rule_has_does_not_exist_and_the_result_says_so() {
    let lab = Lab::new();
    let target = lab.host("refused.test", "93.184.1.1");
    let settings = "[egress]\nallow = [\"allowed.test\"]\nquiet = [\"quiet.test\"]\n\
                    contact = \"ask platform@example.com\"\n";
    let server = started(&lab, settings).await;
    let begin = Instant::now();
    let script = "say([attempt(addresses, name) for name in ('refused.test', 'quiet.test')])";
    let run = run(&server, script).await;
    assert_eq!(run.said, json!(["EAI_NONAME", "EAI_NONAME"]));
    assert!(begin.elapsed() < AT_ONCE);
    assert_denied(&run.result, "refused.test", "not_allowed");
    let text = run.result.text();
    for part in ["allowed.test", "ask platform@example.com"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("quiet.test"), "{text}");
    assert_eq!(lab.resolver.questions(), Vec::<String>::new());
    assert_eq!(target.count(), 0);

    // What another command was refused is not said again.
    let later = server.shell("true").await;
    assert!(denied(&later).is_empty(), "{}", later.0);
}

#[tokio::test]
async fn each_command_is_told_also_when_one_before_was_refused_the_same() {
    let lab = Lab::new();
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    for number in 0..3 {
        let run = run(&server, "say(attempt(addresses, 'refused.test'))").await;
        assert_eq!(run.said, "EAI_NONAME");
        let told = denied(&run.result);
        let expected = [("refused.test".to_owned(), "not_allowed".to_owned())];
        assert_eq!(told, expected, "command {number}: {}", run.result.0);
    }
}

#[tokio::test]
async fn an_allowed_host_has_no_other_port() {
    let lab = Lab::new();
    let (allowed, other) = (
        lab.host("allowed.test", "93.184.1.1"),
        lab.tcp("93.184.1.1:8443", Talk::Echo),
    );
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    let script = "say([attempt(plain, 'allowed.test', port) for port in (8443, 80, 22)])";
    let refused = json!(["ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED"]);
    assert_eq!(said(&server, script).await, refused);
    assert_eq!((allowed.count(), other.count()), (0, 0));
}

#[tokio::test]
async fn every_spelling_of_a_name_is_one_name() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, "[egress]\nallow = [\"Allowed.TEST.\"]\n").await;
    let found = said(
        &server,
        r#"
names = ("allowed.test", "ALLOWED.test", "Allowed.Test", "allowed.test.", "ALLOWED.TEST.")
say({"addresses": [attempt(addresses, name) for name in names],
     "through": [attempt(tls, name, server_name="ALLOWED.test") for name in names]})"#,
    )
    .await;
    let addresses = found["addresses"].as_array().expect("a list");
    assert!(addresses[0].is_array(), "{found}");
    assert!(addresses.iter().all(|one| one == &addresses[0]), "{found}");
    assert_eq!(found["through"], json!(vec!["ping"; 5]));
    assert_eq!(target.count(), 5);
    assert_eq!(
        lab.resolver.lookups("allowed.test"),
        1,
        "one name, asked for once"
    );
    let asked = lab.resolver.questions();
    assert!(asked.iter().all(|name| name == "allowed.test"), "{asked:?}");
}

#[tokio::test]
async fn a_wildcard_has_strict_subdomains_and_nothing_else() {
    let lab = Lab::new();
    let under = ["a.example.test", "b.a.example.test"];
    let others = [
        "example.test",
        "xexample.test",
        "a.xexample.test",
        "example.test.evil.test",
        "a.example.test.evil.test",
        "evilname.test",
        "name.test.evil.test",
        "sub.name.test",
    ];
    for name in under.iter().chain(&others) {
        lab.resolver.set(name, ["93.184.1.1"]);
    }
    let target = lab.tls("93.184.1.1:443", &under, Talk::Echo);
    let allow = "[egress]\nallow = [\"*.example.test\", \"name.test\"]\n";
    let server = started(&lab, allow).await;
    let script = |names: &[&str]| format!("say([attempt(tls, name) for name in {names:?}])");
    assert_eq!(
        said(&server, &script(&under)).await,
        json!(["ping", "ping"])
    );
    let run = run(&server, &script(&others)).await;
    assert_eq!(run.said, json!(vec!["EAI_NONAME"; 8]));
    let expected = others.map(|name| (name.to_owned(), "not_allowed".to_owned()));
    assert_eq!(denied(&run.result), expected);
    assert_eq!(target.count(), 2);
    let asked = lab.resolver.questions();
    assert!(
        asked.iter().all(|name| under.contains(&name.as_str())),
        "{asked:?}"
    );
}

/// How names as they stand on the wire are answered: the code, or an address.
async fn on_the_wire(server: &Server, names: &str) -> Vec<String> {
    let script = format!("say([ask(labels) for labels in {names}])");
    let found = said(server, &script).await;
    serde_json::from_value(found).expect("texts")
}

#[tokio::test]
async fn what_is_no_host_name_does_not_exist() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    let names = r#"[
        [b"allowed\0", b"test"], [b"allowed", b"test\0"], [b"allowed", b"test\0", b"evil", b"test"],
        [b"allowed", b"test%00"], [b"allowed", b"test%eth0"], [b"user@allowed", b"test"],
        [b"allowed\\", b"test"], [b"allowed", b"test/"], [b" allowed", b"test"],
        [b"allowed", b"test\n"], [b"allowed.test"], [b"\xff\xfe", b"test"], [b"\\097llowed", b"test"],
        [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61], [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 62],
        [b"93", b"184", b"1", b"1"], [b"0x5db80101", b"test", b"1"],
    ]"#;
    for (number, answer) in on_the_wire(&server, names).await.iter().enumerate() {
        let is_none = ["NXDOMAIN", "FORMERR"].contains(&answer.as_str());
        assert!(is_none, "name {number}: {answer}");
    }
    assert_eq!(lab.resolver.questions(), Vec::<String>::new());
    assert_eq!(target.count(), 0);
}

#[tokio::test]
async fn a_look_alike_is_another_name_and_an_unseen_character_none() {
    let lab = Lab::new();
    let target = lab.host("apple-i.test", "93.184.1.1");
    let umlaut = lab.host("xn--bcher-kva.test", "93.184.1.2");
    let allow = "[egress]\nallow = [\"apple-i.test\", \"bücher.test\"]\n";
    let server = started(&lab, allow).await;
    let other = r#"[["аpple-i", "test"], ["apple-İ", "test"], ["apple-ı", "test"], ["xn--pple-i-z7f", "test"],
        ["appIe-i", "test"], ["apple‐i", "test"]]"#;
    for answer in on_the_wire(&server, other).await {
        assert_eq!(answer, "NXDOMAIN");
    }
    // Where one is the same name by its form, it is that name in everything.
    let same = r#"[["apple-i", "test"], ["apple-i。test"], ["app\u200ble-i", "test"], ["ａpple-i", "test"]]"#;
    let answers = on_the_wire(&server, same).await;
    assert!(answers[0].starts_with("127."), "{answers:?}");
    for answer in &answers[1..] {
        assert!(
            [&answers[0], "NXDOMAIN"].contains(&answer.as_str()),
            "{answers:?}"
        );
    }
    let through = said(&server, "say([tls('bücher.test'), tls('apple-i.test')])").await;
    assert_eq!(through, json!(["ping", "ping"]));
    let server_name = umlaut.only().await.server_name;
    assert_eq!(server_name.as_deref(), Some("xn--bcher-kva.test"));
    assert_eq!(target.count(), 1);
    for name in lab.resolver.questions() {
        assert!(
            ["apple-i.test", "xn--bcher-kva.test"].contains(&name.as_str()),
            "{name}"
        );
    }
}
