//! A backup while the user works.

use std::time::Duration;

use serde_json::Value;

use super::{CALL_TIMEOUT, casemate, done, exec, target, text};
use crate::harness::{Directory, Instance, TestServer, docker, eventually};

/// Writes the same number into two files, one after the other, again and again. In a consistent
/// copy the second is the same or one less.
const PAIRS: &str = "i=0; while :; do i=$((i+1)); \
    echo $i > new && mv new z-first; echo $i > new && mv new a-second; done";

fn manifest(instance: &Instance, target: &Directory) -> Value {
    let made = done(
        instance,
        &["backup", "alice", "--json", "--to", target.text()],
    );
    let manifests: Value = serde_json::from_str(&made).expect("JSON");
    manifests[0].clone()
}

fn number(text: &str) -> u64 {
    text.trim().parse().expect("a number")
}

#[tokio::test]
async fn files_that_are_always_written_are_copied_at_one_moment() {
    let (instance, target) = (Instance::new(), target());
    let server = TestServer::on(&instance).user("alice").start().await;
    // Copying the files between the two takes longer than one round of writes.
    server.shell("head -c 100M /dev/urandom > large").await;
    server
        .shell(&format!("({PAIRS}) >/dev/null 2>&1 & echo begun"))
        .await;
    let made = manifest(&instance, &target);
    assert_eq!(
        (&made["consistency"], &made["tries"]),
        (&"stopped".into(), &1.into()),
        "{made}"
    );
    assert!(made["processes"].as_u64() >= Some(1), "{made}");
    assert!(made["stopped_ms"].as_u64() < Some(10_500), "{made}");
    let then = number(server.shell("cat z-first").await.stdout());
    eventually("it goes on", CALL_TIMEOUT, async || {
        number(server.shell("cat z-first").await.stdout()) > then
    })
    .await;
    let restored = casemate(&instance, &["restore", "alice", "--from", target.text()]);
    assert!(
        text(&restored.stderr).contains("busy"),
        "{}",
        text(&restored.stderr)
    );
    done(
        &instance,
        &["restore", "alice", "--force", "--from", target.text()],
    );
    let [first, second] =
        ["z-first", "a-second"].map(|file| number(&exec(&instance, &format!("cat {file}"))));
    assert!(
        first == second || first == second + 1,
        "{first} and {second}"
    );
    assert!(first <= then);
}

#[tokio::test]
async fn processes_that_the_user_had_stopped_stay_stopped() {
    let (instance, target) = (Instance::new(), target());
    let server = TestServer::on(&instance).user("alice").start().await;
    // Stops the process only after it has become `sleep`.
    // Each is a session of its own: on gVisor stopped ones end with the leader of theirs.
    let begin = "setsid sleep 1000 & stopped=$!; setsid sleep 1001 & \
        until grep -q sleep /proc/$stopped/comm; do sleep 0.01; done; kill -STOP $stopped";
    server.shell(&format!("({begin}) >/dev/null 2>&1")).await;
    let container = instance.container();
    // One line per process: its state and its name.
    let states = || {
        let all = ["-eo", "pid,stat,args"];
        let look = match docker::on_gvisor() {
            true => vec!["exec", "--user", "0", &container, "ps"],
            false => vec!["top", &container],
        };
        let rows = docker::lines(&[look, all.to_vec()].concat());
        let row = |row: String| Some(row.trim().split_once(' ')?.1.trim().to_owned());
        let mut rows: Vec<_> = rows.into_iter().filter_map(row).collect();
        rows.retain(|row| row.contains("sleep 100"));
        rows.sort();
        rows
    };
    eventually("one is stopped", CALL_TIMEOUT, async || {
        states().iter().any(|row| row.starts_with('T'))
    })
    .await;
    let before = states();
    let stopped = |row: &&String| row.starts_with('T') && row.ends_with("sleep 1000");
    assert_eq!(
        (before.len(), before.iter().filter(stopped).count()),
        (2, 1),
        "{before:?}"
    );
    let made = manifest(&instance, &target);
    assert_eq!(made["consistency"], "stopped", "{made}");
    assert_eq!(states(), before);
}

#[tokio::test]
async fn processes_stop_for_10_s_at_most_and_a_longer_copy_is_checked() {
    let (instance, target) = (Instance::new(), target());
    let server = TestServer::on(&instance).user("alice").start().await;
    // Many files take long: each is opened, sent and checked again.
    let many = "mkdir many; cd many; for i in $(seq 60); do mkdir $i; (cd $i; seq 5000 | split -l 1 -a 4); done";
    server.shell_within(many, 600).await;
    server
        .shell("(while :; do date +%s.%N; sleep 0.1; done) >/tmp/ticks 2>&1 & echo")
        .await;
    let made = manifest(&instance, &target);
    let consistency = made["consistency"].as_str().expect("text");
    // On a fast machine it may end earlier.
    assert!(["checked", "stopped"].contains(&consistency), "{made}");
    let gap = "awk 'NR>1 && $1-l>g {g=$1-l} {l=$1} END {printf \"%d\", g*1000}' /tmp/ticks";
    let gap = number(server.shell(gap).await.stdout());
    assert!(gap < 11_500, "it stood still for {gap} ms");
    let stopped = made["stopped_ms"].as_u64().expect("a number");
    assert!(
        Duration::from_millis(stopped) < Duration::from_millis(10_500),
        "{made}"
    );
}
