//! The end of a command with its caller, and before its caller.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Stdio;
use std::time::Duration;

use super::{Exec, SOON, command, gone, running};
use crate::harness::{Instance, eventually};

/// From the end of the reader until the command is gone.
const SHORTLY: Duration = Duration::from_secs(2);

#[test]
fn a_signal_is_the_commands() {
    let instance = Instance::new();
    for name in ["INT", "TERM", "HUP"] {
        let script =
            format!("trap 'echo caught; exit 5' {name}; echo ready; while :; do sleep 0.05; done");
        let mut exec = Exec::start(&instance, &script);
        assert_eq!(exec.line(), "ready\n");
        exec.signal(name);
        let (status, out, _) = exec.end();
        assert_eq!((status.code(), out.as_str()), (Some(5), "caught\n"));
    }
    // The signal reaches the foreground children too, as on a terminal, and no others.
    let script = "setsid sleep 1008 & echo ready; sleep 1009; exit 0";
    let mut exec = Exec::start(&instance, script);
    assert_eq!(exec.line(), "ready\n");
    let foreground = || running(&instance, "sleep 1009") > 0;
    while !foreground() {
        std::thread::yield_now();
    }
    exec.signal("INT");
    assert_eq!(exec.end().0.code(), Some(128 + 2));
    assert_eq!(running(&instance, "sleep 1008"), 1);
}

#[tokio::test]
async fn the_second_signal_ends_a_deaf_command_with_all_it_started() {
    let instance = Instance::new();
    let script = "trap '' INT TERM; sleep 1001 & echo ready; sleep 1002; sleep 1003";
    let mut exec = Exec::start(&instance, script);
    assert_eq!(exec.line(), "ready\n");
    exec.signal("INT");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(exec.child.try_wait().expect("status").is_none());
    exec.signal("TERM");
    assert_eq!(exec.end().0.code(), Some(128 + 15));
    gone(&instance, "sleep 100", SHORTLY).await;
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_the_command() {
    let instance = Instance::new();
    let mut exec = Exec::start(&instance, "yes");
    assert_eq!(exec.line(), "y\n");
    exec.stdout = None;
    let (status, _, err) = exec.end_within(SHORTLY);
    assert_eq!((status.code(), err.as_str()), (Some(141), ""));
    gone(&instance, "yes", SHORTLY).await;
}

#[tokio::test]
async fn a_killed_exec_ends_the_command_also_while_it_waits_for_its_reader() {
    let instance = Instance::new();
    for script in [
        "echo ready; sleep 1004 & sleep 1005",
        "echo ready; exec yes sleep 1006",
    ] {
        let mut exec = Exec::start(&instance, script);
        assert_eq!(exec.line(), "ready\n");
        eventually("it runs", SOON, async || {
            running(&instance, "sleep 100") > 0
        })
        .await;
        exec.child.kill().expect("killed");
        gone(&instance, "sleep 100", Duration::from_secs(5)).await;
    }
}

/// Standard input that breaks off has no end: the command must not treat half as all.
#[tokio::test]
async fn a_killed_exec_is_no_end_of_standard_input() {
    let instance = Instance::new();
    let script = "trap '' TERM; echo ready; cat > part && mv part whole";
    let mut exec = Exec::start(&instance, script);
    assert_eq!(exec.line(), "ready\n");
    let mut stdin = exec.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"half").expect("it reads");
    let size = "until [ -s part ]; do sleep 0.05; done";
    assert_eq!(Exec::start(&instance, size).end().0.code(), Some(0));
    exec.child.kill().expect("killed");
    gone(&instance, "cat", SOON).await;
    let (_, out, _) = Exec::start(&instance, "cat part; ls whole").end();
    assert_eq!(out, "half");
}

#[tokio::test]
async fn a_command_whose_output_is_not_read_keeps_its_sandbox() {
    let instance = Instance::new();
    let mut exec = Exec::of(command(&instance, "yes").env("CASEMATE_IDLE_TIMEOUT", "2s"));
    assert_eq!(exec.line(), "y\n");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(running(&instance, "yes"), 1);
    exec.child.kill().expect("killed");
    eventually("the sandbox is idle, and ends", SOON, async || {
        instance.containers().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_removed_sandbox_ends_exec_with_code_125() {
    let instance = Instance::new();
    let mut exec = Exec::start(&instance, "echo ready; sleep 1000");
    assert_eq!(exec.line(), "ready\n");
    let rm = instance.command(&["rm", "ada", "--force"]).output();
    assert!(rm.expect("it runs").status.success());
    let (status, _, err) = exec.end();
    assert_eq!(status.code(), Some(125), "{err}");
    assert!(err.contains("the command was lost: "), "{err}");
}

#[tokio::test]
async fn other_modes_pass_every_byte_on_too_and_leave_what_they_leave() {
    let instance = Instance::new();
    let directory = std::env::temp_dir().join(instance.name());
    fs::create_dir(&directory).expect("a directory");
    chown(&directory, Some(1000), Some(1000)).expect("the tests run as root");
    let path = directory.to_str().expect("text");
    let wanted: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    for mode in [
        &[("CASEMATE_MODE", "ephemeral")][..],
        &[("CASEMATE_MODE", "bind"), ("CASEMATE_BIND_DIR", path)],
    ] {
        let instance = Instance::new();
        let script = "seq 100000 | tee numbers; cat >&2; exit 7";
        let mut exec = command(&instance, script);
        exec.envs(mode.iter().copied()).stdin(Stdio::null());
        let output = exec.output().expect("it runs");
        assert_eq!(output.status.code(), Some(7), "{mode:?}");
        assert!(output.stdout == wanted.as_bytes() && output.stderr.is_empty());
        if mode.len() == 1 {
            eventually("its container is gone", SOON, async || {
                instance.containers().is_empty()
            })
            .await;
        }
    }
    let numbers = fs::read(directory.join("numbers")).expect("a file");
    fs::remove_dir_all(&directory).expect("removed");
    assert!(numbers == wanted.as_bytes());
}
