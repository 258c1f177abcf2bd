//! The lab by itself: what an unhindered program reaches in it, so that a test which reaches
//! nothing has been stopped by Casemate.

use serde_json::json;

use super::*;

#[tokio::test]
async fn every_address_is_a_target_and_every_name_is_the_tests() {
    let lab = Lab::new();
    let public = lab.host("one.test", "93.184.1.1");
    let metadata = lab.host("two.test", "169.254.169.254");
    let six = lab.host("three.test", "[2a00:1450::7]");
    lab.resolver.set("none.test", []);
    lab.resolver.answer("failed.test", [Answer::Failure]);
    lab.resolver.set("dead.test", ["93.186.0.1"]);
    let found = lab
        .run(
            r#"
def dead():
    socket.create_connection(("dead.test", 443), timeout=1)
say({
    "through": [attempt(tls, name) for name in ("one.test", "two.test", "three.test")],
    "other": attempt(tls, "one.test", server_name="two.test"),
    "none": attempt(addresses, "none.test"),
    "failed": attempt(addresses, "failed.test"),
    "unknown": attempt(addresses, "unknown.test."),
    "port": attempt(plain, "one.test", 444),
    "dead": attempt(dead),
    "outside": attempt(addresses, "example.com"),
})"#,
        )
        .await;
    assert_eq!(found["through"], json!(["ping", "ping", "ping"]));
    let mismatch = found["other"].as_str().expect("a text");
    assert!(mismatch.starts_with("certificate: "), "{mismatch}");
    assert_eq!(found["none"], "EAI_NODATA");
    assert_eq!(found["failed"], "EAI_AGAIN");
    assert_eq!(found["unknown"], "EAI_NONAME");
    assert_eq!(found["port"], "ECONNREFUSED");
    assert_eq!(found["dead"], "timeout");
    assert_eq!(found["outside"], "EAI_NONAME");
    for (target, name) in [(metadata, "two.test"), (six, "three.test")] {
        let seen = target.only().await;
        assert_eq!(seen.server_name.as_deref(), Some(name));
        assert_eq!(
            (seen.head.as_slice(), seen.received),
            (b"ping".as_slice(), 4)
        );
    }
    assert_eq!(public.count(), 2, "one of them with another server name");
    assert!(
        lab.resolver
            .questions()
            .contains(&"unknown.test".to_owned())
    );
    assert_eq!(lab.resolver.lookups("unknown.test"), 1);
}

#[tokio::test]
async fn an_answer_too_long_for_udp_comes_over_tcp_and_answers_follow_one_another() {
    let lab = Lab::new();
    let many: Vec<_> = (1..=40).map(|last| format!("93.184.1.{last}")).collect();
    lab.resolver
        .set("many.test", many.iter().map(String::as_str));
    let answers = ["93.184.1.1", "127.0.0.1"].map(|address| addresses_of([address]));
    lab.resolver.answer("turns.test", answers);
    let found = lab
        .run(
        r#"
four = lambda name: sorted(each[4][0] for each in socket.getaddrinfo(name, 443, socket.AF_INET, socket.SOCK_STREAM))
say({"many": four("many.test"), "turns": [four("turns.test") for _ in range(3)]})"#,
    )
    .await;
    assert_eq!(found["many"].as_array().expect("a list").len(), 40);
    assert_eq!(
        found["turns"],
        json!([["93.184.1.1"], ["127.0.0.1"], ["127.0.0.1"]])
    );
}

#[tokio::test]
async fn the_namespaces_end_with_the_lab() {
    let lab = Lab::new();
    let pids = [lab.here.pid(), lab.there.pid()];
    let directory = lab.path("");
    drop(lab);
    for pid in pids {
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    }
    assert!(!directory.exists());
}
