//! The operator's verbs, the audit and the routes carry the workspace.

use std::process::Output;

use super::*;
use crate::harness::Directory;

/// The lines of the audit of one kind.
pub(super) fn lines(audit: &Directory, kind: &str) -> Vec<Value> {
    let files = std::fs::read_dir(audit.text()).expect("a directory");
    let files = files.map(|file| std::fs::read_to_string(file.expect("one").path()));
    let text: String = files.map(|text| text.expect("text")).collect();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["kind"] == kind).collect()
}

fn run(instance: &Instance, args: &[&str]) -> Output {
    instance.command(args).output().expect("it runs")
}

fn done(instance: &Instance, args: &[&str]) -> String {
    let output = run(instance, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json_of(instance: &Instance, args: &[&str]) -> Value {
    serde_json::from_str(&done(instance, args)).expect("JSON")
}

/// A user's own workspace and two others, each with a file that has its name.
async fn three(app: &Application) -> [Place<'_>; 3] {
    let places = [
        at(app, "ada", None),
        at(app, "ada", "chat-1"),
        at(app, "ada", "chat-2"),
    ];
    for place in places {
        let text = place.workspace.unwrap_or("own");
        let written = place
            .call("write_file", json!({ "path": "mine", "content": text }))
            .await;
        assert!(!written.is_error(), "{}", written.0);
    }
    places
}

#[tokio::test]
async fn ps_exec_workspaces_the_list_and_the_audit_name_the_workspace() {
    let audit = Directory::new(0);
    let app = Application::start(quiet().env("CASEMATE_AUDIT", audit.text())).await;
    let [own, _, _] = three(&app).await;
    let instance = &app.server.instance;

    let rows = json_of(instance, &["ps", "--json"]);
    let mut named: Vec<_> = rows
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["workspace"].clone())
        .collect();
    named.sort_by_key(Value::to_string);
    assert_eq!(named, [json!("chat-1"), json!("chat-2"), Value::Null]);
    assert!(done(instance, &["ps"]).contains("WORKSPACE"));

    let exec = |args: &[&str]| {
        done(
            instance,
            &[&["exec", "ada"], args, &["--", "cat", "mine"]].concat(),
        )
    };
    assert_eq!(exec(&[]), "own");
    assert_eq!(exec(&["--workspace", "chat-2"]), "chat-2");

    let (status, listed) = own.http("GET", "/v1/workspaces", "").await;
    assert_eq!(status, 200, "{listed}");
    assert_eq!(listed["data"]["header"], "x-casemate-workspace");
    let listed = listed["data"]["workspaces"]
        .as_array()
        .expect("a list")
        .clone();
    let names: Vec<_> = listed.iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [Value::Null, json!("chat-1"), json!("chat-2")]);
    assert!(
        listed.iter().all(|one| one["state"] == "running"),
        "{listed:?}"
    );
    let (_, bobs) = at(&app, "bob", "chat-1")
        .http("GET", "/v1/workspaces", "")
        .await;
    let bobs = bobs["data"]["workspaces"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(bobs.len(), 1, "{bobs:?}");
    assert_eq!(bobs[0]["state"], "stopped");

    let theirs = json_of(instance, &["workspaces", "ada", "--json"]);
    let theirs = theirs.as_array().expect("rows");
    assert_eq!(theirs.len(), 3, "{theirs:?}");
    for row in theirs {
        assert!(
            row["size_bytes"].as_u64().is_some_and(|size| size > 0),
            "{row}"
        );
        let used = row["last_used"].as_str().expect("a time");
        let used = humantime::parse_rfc3339(used).expect("a time");
        assert!(
            used.elapsed().unwrap_or_default() < Duration::from_secs(300),
            "{row}"
        );
        assert_eq!(row["held"], false);
    }
    assert!(done(instance, &["workspaces", "ada"]).contains("chat-1"));

    let calls = lines(&audit, "call");
    let of = |name: Value| {
        calls
            .iter()
            .filter(|line| line["user"]["workspace"] == name)
            .count()
    };
    assert_eq!(
        (of(json!("chat-1")), of(json!("chat-2"))),
        (1, 1),
        "{calls:?}"
    );
    assert_eq!(of(Value::Null), 1, "{calls:?}");
}

#[tokio::test]
async fn one_workspace_is_backed_up_and_restored_and_no_other_changes() {
    let app = Application::start(quiet().env("CASEMATE_IDLE_TIMEOUT", "1s")).await;
    let [own, first, second] = three(&app).await;
    let (instance, target) = (&app.server.instance, Directory::new(0));
    let to = target.text();
    let one = done(
        instance,
        &[
            "backup",
            "ada",
            "--workspace",
            "chat-1",
            "--to",
            to,
            "--json",
        ],
    );
    let one: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(one.as_array().map(Vec::len), Some(1), "{one}");
    assert_eq!(one[0]["workspace"], "chat-1");
    for place in [own, first, second] {
        let file = json!({ "path": "mine", "content": "changed" });
        assert!(!place.call("write_file", file).await.is_error());
    }
    // The user's own has no backup: it is not taken from that of another workspace.
    let refused = run(instance, &["restore", "ada", "--from", to, "--force"]);
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && errors.contains("no complete backup"),
        "{errors}"
    );
    done(
        instance,
        &[
            "restore",
            "ada",
            "--workspace",
            "chat-1",
            "--from",
            to,
            "--force",
        ],
    );
    assert_eq!(first.shell("cat mine").await.stdout(), "chat-1");
    for place in [own, second] {
        assert_eq!(
            place.shell("cat mine").await.stdout(),
            "changed",
            "{place:?}"
        );
    }
    // Without --workspace a backup has all of the user's.
    let all = json_of(instance, &["backup", "ada", "--to", to, "--json"]);
    assert_eq!(all.as_array().map(Vec::len), Some(3), "{all}");
    let listed = json_of(instance, &["backup", "list", "ada", "--from", to, "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(4), "{listed}");
    assert!(done(instance, &["backup", "verify", "ada", "--from", to]).contains("chat-2"));
    // One that is gone comes back, with the uid of its user.
    done(
        instance,
        &["rm", "ada", "--workspace", "chat-2", "--volume", "--force"],
    );
    assert!(!instance.volumes().contains(&second.sandbox()));
    done(
        instance,
        &["restore", "ada", "--workspace", "chat-2", "--from", to],
    );
    assert_eq!(second.shell("cat mine").await.stdout(), "changed");
    let uids = docker::lines(&[
        "volume",
        "ls",
        "--filter",
        &instance.label(),
        "--format",
        r#"{{.Label "io.casemate.uid"}}"#,
    ]);
    assert!(
        uids.len() >= 3 && uids.iter().all(|uid| *uid == uids[0]),
        "{uids:?}"
    );
}

#[tokio::test]
async fn rm_takes_one_workspace_or_the_own_one_or_all_and_a_hold_keeps_its_own() {
    let app = Application::start(quiet()).await;
    let [own, first, second] = three(&app).await;
    let bob = at(&app, "bob", "chat-1");
    assert_eq!(bob.shell("echo a > mine").await.outcome(), "exited");
    let instance = &app.server.instance;
    let is_there = |place: Place| instance.volumes().contains(&place.sandbox());

    done(instance, &["hold", "ada", "--workspace", "chat-1"]);
    let held = run(
        instance,
        &["rm", "ada", "--workspace", "chat-1", "--volume", "--force"],
    );
    assert!(!held.status.success());
    // While one is held, the whole user is not removed either.
    assert!(
        !run(instance, &["rm", "ada", "--volume", "--force"])
            .status
            .success()
    );
    assert!(is_there(own) && is_there(first) && is_there(second));

    let removed = json_of(
        instance,
        &[
            "rm",
            "ada",
            "--workspace",
            "chat-2",
            "--volume",
            "--force",
            "--json",
        ],
    );
    assert_eq!(removed["workspace"], "chat-2");
    assert_eq!(removed["volumes"], json!([second.sandbox()]));
    assert!(is_there(own) && is_there(first) && !is_there(second));
    done(instance, &["rm", "ada", "--own", "--volume", "--force"]);
    assert!(!is_there(own) && is_there(first));
    assert_eq!(first.shell("cat mine").await.stdout(), "chat-1");

    done(
        instance,
        &["hold", "ada", "--workspace", "chat-1", "--release"],
    );
    assert_eq!(own.shell("echo a > mine").await.outcome(), "exited");
    let all = json_of(instance, &["rm", "ada", "--volume", "--force", "--json"]);
    assert_eq!(all["volumes"].as_array().map(Vec::len), Some(2), "{all}");
    assert!(!is_there(own) && !is_there(first) && is_there(bob));
    assert_eq!(bob.shell("cat mine").await.stdout(), "a\n");
}

#[tokio::test]
async fn an_application_removes_one_workspace_or_all_of_a_user() {
    let app = Application::start(quiet()).await;
    let [own, first, second] = three(&app).await;
    let instance = &app.server.instance;
    let (status, removed) = first
        .http("DELETE", "/v1/workspace?confirm=ada&force=true", "")
        .await;
    assert_eq!(
        (status, &removed["data"]["volumes"]),
        (200, &json!([first.sandbox()])),
        "{removed}"
    );
    let mut left = instance.volumes();
    left.sort();
    let mut expected = [own, second].map(|place| place.sandbox());
    expected.sort();
    assert_eq!(left, expected);
    let (status, removed) = own
        .http(
            "DELETE",
            "/v1/workspace?confirm=ada&force=true&all=true",
            "",
        )
        .await;
    assert_eq!(status, 200, "{removed}");
    assert_eq!(instance.volumes(), [""; 0]);
    assert_eq!(instance.containers(), [""; 0]);
}
