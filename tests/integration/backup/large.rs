//! A workspace of a gigabyte: the process that backs it up stays small.

use std::process::Stdio;

use super::{CALL_TIMEOUT, done, exec, target};
use crate::harness::Instance;

/// Limit of the process's own memory.
const OWN_KIB: u64 = 100_000;

/// Memory of a running process that is its own, in KiB: the pages of a program with all its debug information
/// are as many again.
fn own(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The most that is seen of it while it runs.
async fn peak_of(instance: &Instance, args: &[&str]) -> u64 {
    let mut child = instance
        .command(args)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let end = std::time::Instant::now() + 10 * CALL_TIMEOUT;
    let mut most = 0;
    loop {
        most = most.max(own(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().expect("a status") {
            assert!(status.success(), "{args:?}");
            return most;
        }
        assert!(std::time::Instant::now() < end, "{args:?} takes too long");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_gigabyte_is_backed_up_verified_and_restored_in_under_100_mb() {
    let (instance, target) = (Instance::new(), target());
    exec(
        &instance,
        "head -c 1G /dev/urandom > large; sha256sum large > sum",
    );
    let backup = peak_of(&instance, &["backup", "alice", "--to", target.text()]).await;
    let verify = peak_of(
        &instance,
        &["backup", "verify", "alice", "--from", target.text()],
    )
    .await;
    let restore = peak_of(&instance, &["restore", "alice", "--from", target.text()]).await;
    eprintln!("at most {backup} KiB to back up, {verify} to verify, {restore} to restore");
    for most in [backup, verify, restore] {
        assert!((1..OWN_KIB).contains(&most), "{most} KiB");
    }
    assert_eq!(exec(&instance, "sha256sum --check sum"), "large: OK\n");
    done(&instance, &["rm", "alice", "--volume", "--force"]);
}
