//! Several runs of `casemate doctor` at once, and runs that are killed.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{INSIDE, Report, doctor, nothing_is_left};
use crate::harness::{Instance, docker, eventually};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(15);

/// The sandbox of a killed `doctor` ends after 10 s without work.
const ALONE: Duration = Duration::from_secs(40);

#[test]
fn two_at_once_and_the_users_sandboxes_do_not_meet() {
    let instance = Instance::new();
    // The limit is reached: `doctor` asks none of them to end.
    let one = [("CASEMATE_MAX_SANDBOXES", "1")];
    let start = || {
        let mut command = doctor(&instance, &one, &["--json"]);
        command.stdout(Stdio::piped()).spawn().expect("it runs")
    };
    for child in [start(), start()] {
        let report = Report::read(&child.wait_with_output().expect("it ends"));
        for check in ["sandbox"].iter().chain(&INSIDE) {
            assert_eq!(report.level(check), "ok", "{}", report.0);
        }
    }
    nothing_is_left(&instance);
}

/// A `doctor` whose sandbox exists.
async fn in_the_middle(instance: &Instance) -> Child {
    let child = doctor(instance, &[], &[]).stdout(Stdio::null()).spawn();
    eventually("its sandbox is there", SOON, async || {
        !instance.containers().is_empty()
    })
    .await;
    child.expect("it runs")
}

#[tokio::test]
async fn interrupted_in_the_middle_it_removes_what_it_made() {
    let instance = Instance::new();
    let mut child = in_the_middle(&instance).await;
    let mut kill = Command::new("kill");
    let killed = kill.args(["-INT", &child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    child.wait().expect("it ends");
    nothing_is_left(&instance);
}

#[tokio::test]
async fn killed_in_the_middle_its_sandbox_ends_itself() {
    let instance = Instance::new();
    // It may end before it is killed: it takes less than a second.
    for _ in 0..5 {
        let mut child = in_the_middle(&instance).await;
        // The sweep would remove a container that was not yet started.
        eventually("it runs", SOON, async || {
            let format = ["ps", "--quiet", "--filter", &instance.label()];
            !docker::lines(&format).is_empty()
        })
        .await;
        child
            .kill()
            .expect("it runs, or waits to be asked how it ended");
        if child.wait().expect("it ends").signal().is_some() {
            break;
        }
    }
    assert_eq!(instance.containers().len(), 1, "it was killed");
    eventually("its sandbox is gone", ALONE, async || {
        instance.containers().is_empty()
    })
    .await;
}
