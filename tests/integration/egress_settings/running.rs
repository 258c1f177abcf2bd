//! `doctor`, and a server whose settings file changes.

use std::time::Duration;

use serde_json::Value;

use super::{NO_ENGINE, SETTINGS, Settings};
use crate::harness::{SettingFile, TestServer, eventually};

/// How long a change of the file may go unnoticed.
const SOON: Duration = Duration::from_secs(60);

/// The findings of `doctor` about egress.
fn findings(settings: &Settings) -> Vec<(String, String)> {
    let report = settings.run(&["doctor", "--json"]).stdout;
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let findings = report["findings"].as_array().expect("findings").iter();
    let about = findings.filter(|finding| finding["check"] == "egress");
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    about
        .map(|finding| (word(&finding["level"]), word(&finding["found"])))
        .collect()
}

#[test]
fn doctor_warns_of_ports_of_servers_and_of_a_file_that_a_server_cannot_read_again() {
    let settings = Settings::new(SETTINGS);
    assert_eq!(findings(&settings), []);
    settings
        .file
        .write("[[users]]\nuser = \"ada\"\negress.allow = [\"a.example.com:5173\"]");
    let (level, found) = findings(&settings).remove(0);
    assert_eq!(level, "warning");
    assert!(found.contains("a.example.com:5173"), "{found}");
    settings.file.write("[egress]\nalow = []");
    let (level, found) = findings(&settings).remove(0);
    assert_eq!(level, "warning");
    assert!(found.contains("keeps the egress rules"), "{found}");
    // A running server does not read the other settings again.
    settings.file.write("pids = 1");
    assert_eq!(findings(&settings), []);
}

#[tokio::test]
async fn a_file_that_breaks_while_a_server_runs_is_in_the_metrics_and_once_in_the_log() {
    let settings = Settings::new(SETTINGS);
    let log = SettingFile::new("");
    let server = TestServer::on(&settings.instance)
        .env("CASEMATE_CONFIG", &settings.file.text())
        .env("CASEMATE_ADMIN", "0")
        .env("CASEMATE_LOG", "info")
        .env("DOCKER_HOST", NO_ENGINE)
        .log_to(&log.path());
    let server = server.start_http().await;
    let lines = || std::fs::read_to_string(log.path()).expect("the log");
    let broken = async |wanted: u8| {
        let line = format!("\ncasemate_egress_settings_broken {wanted}\n");
        let is_so = async || server.metrics().await.contains(&line);
        eventually(&line, SOON, is_so).await;
    };
    broken(0).await;
    settings.file.write("[egress]\nallow = [\"*.com\"]");
    broken(1).await;
    // More than one look at the broken file.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let said = lines();
    let complaints = said
        .matches("the file is not used; what it said before holds")
        .count();
    assert_eq!(complaints, 1, "{said}");
    assert!(said.contains("key egress.allow[0] in line 2 of "), "{said}");
    settings.file.write("[egress]\nallow = [\"a.example.com\"]");
    broken(0).await;
    eventually("the rules changed", SOON, async || {
        lines().contains("the rules of egress changed")
    })
    .await;
}
