//! `users`: all workspaces, with and without a sandbox.

use super::*;
use crate::harness::{Application, Directory};

fn users(instance: &Instance, more: &[&str]) -> Vec<Value> {
    let args = [&["users", "--json"], more].concat();
    let output = casemate(instance, &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn minutes(time: &Value) -> u64 {
    let time = humantime::parse_rfc3339(time.as_str().expect("a time")).expect("a time");
    time.elapsed().unwrap_or_default().as_secs() / 60
}

#[tokio::test]
async fn users_lists_idle_workspaces_too_with_size_age_last_use_hold_and_backup() {
    let target = Directory::new(0);
    let app = TestServer::new().env("CASEMATE_WARM", "off");
    let app = Application::start(app).await;
    let instance = &app.server.instance;
    assert!(users(instance, &[]).is_empty());
    app.shell("zoe", "head -c 3000000 /dev/zero > file").await;
    app.shell("ada", "true").await;
    app.shell("busy", "sleep 1000 >/dev/null 2>&1 &").await;
    // zoe's container goes, and the files stay.
    assert!(casemate(instance, &["rm", "zoe"]).status.success());
    assert!(casemate(instance, &["hold", "ada"]).status.success());
    let backed_up = casemate(instance, &["backup", "zoe", "--to", target.text()]);
    assert!(backed_up.status.success(), "{}", text(&backed_up.stderr));

    let rows = users(instance, &["--backup-target", target.text()]);
    let names: Vec<_> = rows.iter().map(|row| row["user"].as_str()).collect();
    assert_eq!(names, [Some("ada"), Some("busy"), Some("zoe")]);
    let (ada, busy, zoe) = (&rows[0], &rows[1], &rows[2]);
    for row in &rows {
        assert_eq!(
            (&row["issuer"], &row["name"]),
            (&json!("app"), &Value::Null)
        );
        assert!(
            minutes(&row["created"]) < 10 && minutes(&row["last_used"]) < 10,
            "{row}"
        );
        assert!(
            row["size_bytes"].is_u64() && row["volume"].is_string(),
            "{row}"
        );
    }
    assert_eq!(
        (&ada["state"], &zoe["state"]),
        (&json!("running"), &Value::Null)
    );
    assert_eq!((&ada["held"], &zoe["held"]), (&json!(true), &json!(false)));
    assert!(zoe["size_bytes"].as_u64() >= Some(3_000_000), "{zoe}");
    assert!(
        minutes(&zoe["newest_backup"]) < 10 && ada["newest_backup"].is_null(),
        "{rows:?}"
    );
    assert_eq!(busy["state"], "running");
    // The look made no container that stays, and counted as no use.
    assert_eq!(instance.containers().len(), 2);

    let quick = users(instance, &["--quick"]);
    assert!(
        quick.iter().all(|row| row["size_bytes"].is_null()),
        "{quick:?}"
    );
    assert!(
        quick[2]["last_used"].is_null() && quick[0]["last_used"].is_string(),
        "{quick:?}"
    );
    assert!(
        quick.iter().all(|row| row["newest_backup"].is_null()),
        "{quick:?}"
    );
    let table = text(&casemate(instance, &["users"]).stdout);
    assert_eq!(table.lines().count(), 4, "{table}");
    for words in ["USER", "LAST USE", "zoe", "stopped", "yes"] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[tokio::test]
async fn the_names_of_users_and_workspaces_stay_on_their_line() {
    let app = TestServer::new().env("CASEMATE_WARM", "off");
    let app = Application::start(app).await;
    let instance = &app.server.instance;
    // What an HTTP header can hold.
    let hostile = format!("<img src=x onerror=alert(1)>{}", "y".repeat(900));
    app.shell(&hostile, "true").await;
    let rows = users(instance, &["--quick"]);
    assert_eq!(rows[0]["user"], hostile);
    let table = text(&casemate(instance, &["users", "--quick"]).stdout);
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(table.lines().count() == 2 && widest < Some(250), "{table}");
}
