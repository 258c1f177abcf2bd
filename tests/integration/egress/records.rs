//! The records of connections and refusals in the audit.

use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{Lab, Talk};
use super::{said, trust};
use crate::audit;
use crate::harness::{Directory, eventually};

/// How soon a line is written.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn each_connection_has_a_line_of_the_audit_and_a_host_that_is_refused_at_most_one_a_second() {
    let lab = Lab::new();
    let _allowed = lab.host("allowed.test", "93.184.1.1");
    lab.resolver.set("raw.test", ["93.184.1.2"]);
    let _raw = lab.tcp("93.184.1.2:5432", Talk::Echo);
    let directory = Directory::new(0);
    let settings = "[egress]\nallow = [\"allowed.test\", \"raw.test:5432/tcp\"]\n";
    let server = lab
        .server(settings)
        .env("CASEMATE_AUDIT", directory.text())
        .start()
        .await;
    trust(&lab, &server).await;
    let script = r#"
say([attempt(plain, "raw.test", 5432, b"x" * 1000), attempt(tls, "allowed.test"),
     [attempt(tls, "allowed.test", server_name="raw.test") for _ in range(15)][0],
     attempt(addresses, "refused.test")])"#;
    let ends = said(&server, script).await;
    assert_eq!(ends[0], "x".repeat(1000));
    assert_eq!((&ends[1], &ends[3]), (&json!("ping"), &json!("EAI_NONAME")));
    let lines = || {
        let mut lines = audit::lines(&directory);
        lines.retain(|line| line["kind"] == "egress");
        lines
    };
    let of = |host: &str, outcome: &str| -> Vec<Value> {
        let is_it = |line: &&Value| line["host"] == host && line["outcome"] == outcome;
        lines().iter().filter(is_it).cloned().collect()
    };
    eventually("the lines are there", SOON, async || {
        let ends = ["closed", "name_mismatch"].map(|outcome| of("allowed.test", outcome));
        !of("raw.test", "closed").is_empty() && ends.iter().all(|lines| !lines.is_empty())
    })
    .await;

    let raw = of("raw.test", "closed");
    assert_eq!(raw.len(), 1, "{raw:?}");
    for (key, value) in [
        ("port", json!(5432)),
        ("rule", json!("raw.test:5432/tcp")),
        ("address", json!("93.184.1.2")),
        ("sent_bytes", json!(1000)),
        ("received_bytes", json!(1000)),
        ("container", json!(server.instance.container())),
        ("user", json!({ "issuer": "local", "subject": "tester" })),
    ] {
        assert_eq!(raw[0][key], value, "{key}: {}", raw[0]);
    }
    assert!(raw[0]["duration_ms"].is_u64(), "{}", raw[0]);
    let made = of("allowed.test", "closed");
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["address"], "93.184.1.1", "{}", made[0]);
    // Many in a second have one line.
    let mismatches = of("allowed.test", "name_mismatch");
    assert!((1..=4).contains(&mismatches.len()), "{mismatches:?}");
    let mismatch = &mismatches[0];
    assert_eq!(mismatch["sent_bytes"], 0, "{mismatch}");
    assert!(
        mismatch["address"].is_null(),
        "it was not dialled: {mismatch}"
    );
    let refused = of("refused.test", "not_allowed");
    assert_eq!(refused.len(), 1, "{refused:?}");
}
