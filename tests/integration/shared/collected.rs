//! The clean-up of versions.

use casemate::config::{Config, MapEnvironment, SettingsArgs};
use casemate::ops::gc::{Disposition, Gc, PlanItem, ResourceKind, Scope, SharedAges};
use casemate::sandbox::Manager;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::*;

/// A clean-up in this process, for which nothing is too young.
async fn clean_up(lab: &Lab) -> Vec<PlanItem> {
    let mut environment = MapEnvironment {
        os_user: "gc".to_owned(),
        ..MapEnvironment::default()
    };
    environment
        .variables
        .insert("CASEMATE_INSTANCE".into(), lab.instance.name().into());
    // The settings of another server, which does not have the share.
    let config = Config::load(SettingsArgs::default(), &environment).expect("settings");
    let engine = crate::gc::engine();
    let manager = Manager::new(config, engine.clone());
    let ages = SharedAges {
        replaced: Duration::ZERO,
        incomplete: Duration::ZERO,
    };
    let mut gc = Gc::new(manager, engine, None).with_shared_ages(ages);
    let mut items = gc.run(Scope::All).await.expect("a clean-up");
    items.retain(|item| item.what == ResourceKind::Shared);
    items
}

#[tokio::test]
async fn an_old_version_goes_when_nobody_holds_it_and_the_newest_never() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let holder = lab.start("ada").await;
    assert_eq!(value(&holder).await, "one");
    lab.put_value("two");
    let three = lab.put_value("three");
    // By the usual ages nothing goes.
    let gc = lab.json(&["gc", "--json"]);
    let items = gc.as_array().expect("a list").iter();
    let shared = items.filter(|item| item["what"] == "shared");
    let mut fates: Vec<_> = shared.map(|item| item["fate"]["kept"].clone()).collect();
    fates.sort_by_key(Value::to_string);
    assert_eq!(
        fates,
        ["a container uses it", "it was replaced a moment ago"],
        "{gc}"
    );

    let items = clean_up(&lab).await;
    let gone = items
        .iter()
        .filter(|item| item.disposition == Disposition::Removed);
    assert_eq!(gone.count(), 1, "{items:?}");
    let rows = lab.list();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(value(&holder).await, "one");
    docker::output(&["rm", "--force", &lab.instance.container()]);
    clean_up(&lab).await;
    // Once more, for the heads of what has gone.
    clean_up(&lab).await;
    let rows = lab.list();
    assert_eq!((rows.len(), &rows[0]["version"]), (1, &three["version"]));
    let volumes = lab.instance.volumes();
    let shared = volumes
        .iter()
        .filter(|name| name.contains("-shared-datasets"));
    assert_eq!(shared.count(), 2, "the version and its head: {volumes:?}");
    assert_eq!(value(&holder).await, "three");
    assert!(clean_up(&lab).await.is_empty());
}

#[tokio::test]
async fn what_a_killed_put_left_goes_and_what_one_fills_stays() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let large = lab.file("large", "");
    let file = std::fs::File::options()
        .write(true)
        .open(large)
        .expect("a file");
    file.set_len(384 << 20).expect("a size");
    let mut child = lab
        .command(&["shared", "put", "datasets", lab.data.text()])
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    eventually("it fills a volume", SOON, async || {
        let label = lab.instance.label();
        let running = docker::lines(&["ps", "--filter", &label, "--format", "{{.Names}}"]);
        running.iter().any(|name| name.contains("-put-"))
    })
    .await;
    let items = clean_up(&lab).await;
    let kept = Disposition::Kept("a container uses it".to_owned());
    assert!(
        items.iter().all(|item| item.disposition == kept),
        "{items:?}"
    );
    assert_eq!(items.len(), 1);
    child.kill().expect("killed");
    child.wait().expect("ended");
    helpers_are_gone(&lab.instance).await;
    let items = clean_up(&lab).await;
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0].disposition, Disposition::Removed);
    assert_eq!(lab.instance.volumes().len(), 2);
    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
}

/// A clean-up that looked before the old version counted again, and removes it after that.
#[tokio::test]
async fn an_old_version_that_is_put_again_while_a_clean_up_removes_it_is_filled_again() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let first = lab.list()[0]["volume"].clone();
    let first = first.as_str().expect("a name").to_owned();
    lab.put_value("two");
    // The clean-up has looked.
    let instance = lab.instance.name();
    let mark = format!("casemate-{instance}-shared-datasets.removal-0f");
    let labels = [
        format!("io.casemate.instance={instance}"),
        "io.casemate.shared=datasets".to_owned(),
        format!("io.casemate.shared.removal={first}"),
    ];
    let labels: Vec<&str> = labels.iter().flat_map(|it| ["--label", it]).collect();
    docker::output(&[&["volume", "create"], &labels[..], &[&mark]].concat());
    lab.file("value", "one");
    let put = ["shared", "put", "datasets", lab.data.text(), "--json"];
    let mut put = lab.command(&put);
    let put = put.stdout(Stdio::piped()).spawn().expect("it runs");
    let third = format!("casemate-{instance}-shared-datasets.3");
    let counts = async || lab.instance.volumes().contains(&third);
    eventually("the head is made", SOON, counts).await;
    docker::output(&["volume", "rm", &first]);
    docker::output(&["volume", "rm", &mark]);

    let output = put.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["result"], "created", "{report}");
    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
}

/// So that a `put` can see it.
#[tokio::test]
async fn a_clean_up_marks_what_it_removes_and_leaves_no_mark() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let first = lab.list()[0]["volume"].clone();
    let first = first.as_str().expect("a name").to_owned();
    lab.put_value("two");
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let mut events = tokio::process::Command::new("docker")
        .args(["events", "--since", &now, "--filter", "type=volume"])
        .args(["--format", "{{.Action}} {{.Actor.ID}}"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("docker runs");
    let output = events.stdout.take().expect("stdout");
    let mut lines = BufReader::new(output).lines();
    clean_up(&lab).await;
    let volumes = lab.instance.volumes();
    assert!(!volumes.contains(&first), "{volumes:?}");
    let is_mark = |name: &String| name.contains(".removal-");
    assert!(!volumes.iter().any(is_mark), "{volumes:?}");

    let mark = format!("casemate-{}-shared-datasets.removal-", lab.instance.name());
    let steps = [
        format!("create {mark}"),
        format!("destroy {first}"),
        format!("destroy {mark}"),
    ];
    let mut seen = 0;
    let in_order = async {
        while let Some(line) = lines.next_line().await.expect("a line") {
            let step = steps.iter().position(|step| line.starts_with(step));
            if let Some(step) = step {
                assert_eq!(step, seen, "{line}");
                seen += 1;
            }
            if seen == steps.len() {
                return;
            }
        }
    };
    let in_order = tokio::time::timeout(SOON, in_order).await;
    in_order.expect("the mark is there before, and gone after");
}
