//! Killed in the middle, by SIGKILL: the old files are still there, nothing incomplete counts as
//! a backup or a workspace, and the next run completes and cleans up.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::{CALL_TIMEOUT, COMPLETE, backups, casemate, done, exec, objects, target};
use crate::harness::{Instance, docker, eventually};

/// What a killed restore left is removed two minutes after it began, when its container
/// has ended by itself.
const CLEANED: Duration = Duration::from_secs(200);

/// Stopped processes continue by themselves after 10 s, or sooner when the copy ends.
const GOES_ON: Duration = Duration::from_secs(6);

fn start(instance: &Instance, args: &[&str]) -> Child {
    let mut command = instance.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}

fn kill(mut child: Child) {
    let ended = child.try_wait().expect("a status");
    assert!(ended.is_none(), "it ended before it was killed: {ended:?}");
    child.kill().expect("killed");
    child.wait().expect("a status");
}

#[tokio::test]
async fn a_killed_backup_does_not_count_and_the_next_run_removes_it() {
    let (instance, target) = (Instance::new(), target());
    let to = ["--to", target.text()];
    exec(
        &instance,
        "echo first > file; head -c 300M /dev/urandom > random",
    );
    exec(
        &instance,
        "(while :; do date +%s%N > tick; sleep 0.01; done) >/dev/null 2>&1 &",
    );
    for _ in 0..2 {
        let running = start(&instance, &[&["backup", "alice"], &to[..]].concat());
        eventually("some of it is stored", CALL_TIMEOUT, async || {
            backups(&target).iter().any(|backup| {
                let parts = std::fs::read_dir(backup).expect("a directory");
                let sizes = parts.filter_map(|part| part.ok()?.metadata().ok());
                sizes.map(|part| part.len()).sum::<u64>() > 20_000_000
            })
        })
        .await;
        kill(running);
        // The stopped processes continue.
        let then = exec(&instance, "cat tick");
        eventually("it goes on", GOES_ON, async || {
            exec(&instance, "cat tick") != then
        })
        .await;
        assert!(
            backups(&target)
                .iter()
                .all(|backup| !objects(backup).contains(&COMPLETE[1].into()))
        );
        let none = casemate(&instance, &["restore", "alice", "--from", target.text()]);
        assert!(!none.status.success());
    }
    assert!(!backups(&target).is_empty());
    done(&instance, &[&["backup", "alice"], &to[..]].concat());
    let left = backups(&target);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(objects(&left[0]), COMPLETE);
    done(
        &instance,
        &["backup", "verify", "alice", "--from", target.text()],
    );
}

/// The progress of a restore, as the Engine shows it.
#[derive(Debug, Clone, Copy)]
enum Point {
    Marked,
    Made,
    Running,
    Filled,
}

fn has_come_to(instance: &Instance, point: Point) -> bool {
    let volumes = instance.volumes();
    let staged = volumes
        .iter()
        .find(|name| name.contains("-g1-") && !name.ends_with("-pending"));
    let rows = [
        "ps",
        "--quiet",
        "--filter",
        "name=-restore-",
        "--filter",
        &instance.label(),
    ];
    match point {
        Point::Marked => volumes.iter().any(|name| name.ends_with("-pending")),
        Point::Made => staged.is_some(),
        Point::Running => !docker::lines(&rows).is_empty(),
        Point::Filled => docker::lines(&rows).iter().any(|id| {
            let du = docker::lines(&["exec", "--user", "1000", id, "du", "-sk", "/workspace"]);
            let used = du
                .first()
                .and_then(|line| line.split_whitespace().next()?.parse().ok());
            used.is_some_and(|kib: u64| kib > 50_000)
        }),
    }
}

#[tokio::test]
async fn a_restore_killed_at_any_point_changes_nothing_and_the_next_completes() {
    let (instance, target) = (Instance::new(), target());
    let restore = ["restore", "alice", "--from", target.text()];
    exec(
        &instance,
        "echo old > file; head -c 300M /dev/urandom > random",
    );
    done(&instance, &["backup", "alice", "--to", target.text()]);
    exec(&instance, "echo new > file; rm random");
    for point in [Point::Marked, Point::Made, Point::Running, Point::Filled] {
        // Ignores what earlier restores left.
        let before = instance.volumes();
        let running = start(&instance, &restore);
        eventually("it comes to that point", CALL_TIMEOUT, async || {
            let more = instance.volumes().len() > before.len();
            more && has_come_to(&instance, point)
        })
        .await;
        kill(running);
        assert_eq!(exec(&instance, "cat file; ls"), "new\nfile\n", "{point:?}");
    }
    assert!(instance.volumes().len() > 3);
    done(&instance, &restore);
    assert_eq!(exec(&instance, "cat file; ls"), "old\nfile\nrandom\n");
    // A small workspace may be backed up as often as needed.
    exec(&instance, "echo newer > file; rm random");
    eventually("the leftovers are removed", CLEANED, async || {
        done(&instance, &["backup", "alice", "--to", target.text()]);
        // A mark without its volume stays for an hour: its restore may be about to make it.
        let volumes = instance.volumes();
        let marked = |mark: &str| {
            volumes
                .iter()
                .any(|name| *name == mark.replace("-pending", ""))
        };
        let left = |name: &&String| !name.ends_with("-pending") || marked(name);
        volumes.iter().filter(left).count() == 1
    })
    .await;
    assert_eq!(exec(&instance, "cat file"), "newer\n");
}
