//! Removals by operators are in the audit; without its record nothing is removed.

use super::*;
use crate::harness::TOOLS_IMAGE;

/// Runs a verb with an audit, and with an image that exists.
fn run(instance: &Instance, audit: &Directory, args: &[&str]) -> Output {
    let mut command = command(instance, audit, args);
    let output = command.env("CASEMATE_IMAGE", TOOLS_IMAGE).output();
    output.expect("it runs")
}

fn done(instance: &Instance, audit: &Directory, args: &[&str]) {
    let output = run(instance, audit, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn removals_by_rm_and_restore_are_recorded_before_and_after() {
    let (instance, target) = (Instance::new(), Directory::new(0));
    let audit = Directory::new(0);
    let server = TestServer::on(&instance).user("ada").start().await;
    server.write("file", "a").await;
    assert!(server.end().await.success());
    let first = instance.volumes().remove(0);
    done(&instance, &audit, &["backup", "ada", "--to", target.text()]);
    assert_eq!(removals(&audit), [], "nothing was removed");

    done(
        &instance,
        &audit,
        &["restore", "ada", "--from", target.text()],
    );
    let pair = |name: &String| ["begun", "done"].map(|outcome| (name.clone(), outcome.to_owned()));
    assert_eq!(removals(&audit), pair(&first));

    let second = instance.volumes().remove(0);
    done(&instance, &audit, &["rm", "ada", "--volume"]);
    let records = removals(&audit);
    assert!(
        pair(&second).iter().all(|line| records.contains(line)),
        "{records:?}"
    );
    let report = verify(&[audit.text().into()]).expect("it can be read");
    assert_eq!(report.findings, []);
}

#[tokio::test]
async fn where_nothing_can_be_recorded_rm_and_restore_take_nothing_away() {
    let (instance, target) = (Instance::new(), Directory::new(0));
    let directory = Directory::new(0);
    let server = TestServer::on(&instance).user("ada").start().await;
    server.write("file", "a").await;
    assert!(server.end().await.success());
    let volumes = instance.volumes();
    done(
        &instance,
        &directory,
        &["backup", "ada", "--to", target.text()],
    );
    let file = format!("{}/file", directory.text());
    std::fs::write(&file, "no directory").expect("written");
    for args in [
        &["rm", "ada", "--volume"][..],
        &["restore", "ada", "--from", target.text()],
    ] {
        let mut command = command(&instance, &directory, args);
        let command = command.env("CASEMATE_AUDIT", &file);
        let refused = command.env("CASEMATE_IMAGE", TOOLS_IMAGE).output();
        let refused = refused.expect("it runs");
        assert!(!refused.status.success(), "{args:?}");
        assert!(
            text(&refused.stderr).contains("audit"),
            "{}",
            text(&refused.stderr)
        );
    }
    assert_eq!(instance.volumes(), volumes);
}
