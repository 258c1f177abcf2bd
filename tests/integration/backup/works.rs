//! A restore for a user who is, or may be, busy: it ends nothing without `--force`.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::{CALL_TIMEOUT, backups, done, exec, refused, target};
use crate::harness::{Directory, Instance, docker, eventually};

fn with_backup(fill: &str) -> (Instance, Directory) {
    let (instance, target) = (Instance::new(), target());
    exec(&instance, fill);
    done(&instance, &["backup", "alice", "--to", target.text()]);
    (instance, target)
}

#[test]
fn that_a_user_works_is_found_before_a_byte_of_the_backup_is_read() {
    let (instance, target) = with_backup("echo old > file");
    let archive = backups(&target)[0].join("workspace.tar.zst");
    std::fs::write(archive, "spoilt").expect("written");
    exec(&instance, "sleep 600 >/dev/null 2>&1 &");
    let said = refused(&instance, &["restore", "alice", "--from", target.text()]);
    assert!(said.contains("busy"), "{said}");
    assert_eq!(instance.volumes().len(), 1);
}

#[test]
fn a_silent_sandbox_may_be_busy_and_is_ended_only_with_force() {
    let (instance, target) = with_backup("echo old > file");
    exec(&instance, "echo new > file");
    let container = instance.container();
    docker::output(&["pause", &container]);
    let restore = ["restore", "alice", "--from", target.text()];
    let said = refused(&instance, &restore);
    assert!(said.contains("busy"), "{said}");
    let said = refused(&instance, &["rm", "alice"]);
    assert!(said.contains("busy"), "{said}");
    assert_eq!(instance.container(), container);
    docker::output(&["unpause", &container]);
    assert_eq!(exec(&instance, "cat file"), "new\n");
    docker::output(&["pause", &container]);
    done(&instance, &[&restore[..], &["--force"]].concat());
    assert_eq!(exec(&instance, "cat file"), "old\n");
}

#[tokio::test]
async fn a_hold_that_comes_while_it_is_restored_holds() {
    let (instance, target) = with_backup("head -c 200M /dev/urandom > random");
    exec(&instance, "echo new > file; rm random");
    let mut restoring = instance.command(&["restore", "alice", "--from", target.text()]);
    restoring.stdout(Stdio::null()).stderr(Stdio::piped());
    let restoring = restoring.spawn().expect("it starts");
    eventually("it is being filled", CALL_TIMEOUT, async || {
        instance
            .volumes()
            .iter()
            .any(|name| name.ends_with("-pending"))
    })
    .await;
    // It waits for the hold, however long that takes on a busy machine.
    let pid = Pid::from_child(&restoring);
    kill_process(pid, Signal::STOP).expect("stopped");
    done(&instance, &["hold", "alice"]);
    kill_process(pid, Signal::CONT).expect("told");
    let restored = restoring.wait_with_output().expect("it ends");
    let said = super::text(&restored.stderr);
    assert!(
        !restored.status.success() && said.contains("is held"),
        "{said}"
    );
    assert_eq!(exec(&instance, "cat file; ls"), "new\nfile\n");
}
