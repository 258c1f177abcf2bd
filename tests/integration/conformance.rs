//! The official conformance suite of the Model Context Protocol.
//!
//! It tests the features that every server has, with `casemate serve --http`, and the suite's own
//! tools, prompts and resources, with a [fixture] over the same HTTP. A failure that `tests/conformance` does not list fails the test,
//! and so does a listed one that no longer fails.

mod fixture;

use std::net::SocketAddr;

use super::harness::{TestServer, clients};

/// The newest revision of the protocol, and the newest one with a handshake.
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// The purpose of each list of expected failures.
const LISTS: [&str; 2] = ["casemate", "fixture"];

fn list(name: &str) -> String {
    let top = env!("CARGO_MANIFEST_DIR");
    format!("{top}/tests/conformance/{name}-expected-failures.yml")
}

/// Asks all that both revisions require.
async fn ask_all(name: &str, address: SocketAddr) {
    for revision in REVISIONS {
        let Some(mut suite) = clients::node("conformance") else {
            return;
        };
        let suite = suite
            .args(["server", "--url", &format!("http://{address}/mcp")])
            .args(["--requirements", revision])
            .args(["--expected-failures", &list(name)]);
        let said = clients::succeeds(suite).await;
        // Without this line it did not compare.
        assert!(said.contains("Baseline check passed"), "{said}");
    }
}

/// Asks one scenario that is run for visibility and fails nothing there.
async fn ask(scenario: &str, address: SocketAddr) {
    let Some(mut suite) = clients::node("conformance") else {
        return;
    };
    let suite = suite
        .args(["server", "--url", &format!("http://{address}/mcp")])
        .args(["--spec-version", "2026-07-28", "--scenario", scenario]);
    let said = clients::succeeds(suite).await;
    assert!(said.contains(", 0 failed, 0 warnings"), "{said}");
}

#[tokio::test]
async fn the_server_conforms_in_all_that_it_offers() {
    let server = TestServer::new().env("CASEMATE_WARM", "off");
    let server = server.start_http().await;
    ask_all("casemate", server.address).await;
    ask("http-header-validation", server.address).await;
}

#[tokio::test]
async fn the_http_of_the_server_carries_all_that_the_suite_knows() {
    let fixture = fixture::serve().await;
    ask_all("fixture", fixture.address).await;
    for scenario in [
        "http-header-validation",
        "http-custom-header-server-validation",
        "json-schema-2020-12",
    ] {
        ask(scenario, fixture.address).await;
    }
}

#[test]
fn every_expected_failure_has_its_reason() {
    for name in LISTS {
        let text = std::fs::read_to_string(list(name)).expect("a list");
        let entries = text.lines().filter(|line| line.starts_with("  - "));
        for entry in entries.clone() {
            let (_, reason) = entry.split_once(" # ").unwrap_or_default();
            assert!(reason.len() > 10, "{name}: {entry}");
        }
        assert!(entries.count() > 0, "{name}");
    }
}
