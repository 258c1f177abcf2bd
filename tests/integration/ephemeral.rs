//! Ephemeral mode: a fresh container for every command; the volume outlives it.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Instance, Server, TestServer, allowed, docker, eventually};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(10);

/// A container whose server was killed ends 30 s later.
const ORPHANED: Duration = Duration::from_secs(45);

async fn start(instance: &Instance) -> Server {
    let server = TestServer::on(instance).env("CASEMATE_MODE", "ephemeral");
    server.start().await
}

/// Waits until the instance has this many containers.
async fn until(instance: &Instance, count: usize, within: Duration) {
    eventually("the count of containers", within, async || {
        instance.containers().len() == count
    })
    .await;
}

#[tokio::test]
async fn only_the_workspace_is_left_after_a_command() {
    let server = start(&Instance::new()).await;
    let write = "echo a > kept; echo b > /tmp/lost; echo c > /dev/shm/lost; echo $HOSTNAME; \
        cat /proc/sys/kernel/random/boot_id > /dev/null; echo $$ > pid";
    assert_eq!(server.shell(write).await.outcome(), "exited");
    let look = server
        .shell("cat kept; ls /tmp /dev/shm; ps -e -o args")
        .await;
    assert!(look.stdout().starts_with("a\n"), "{}", look.0);
    assert!(!look.stdout().contains("lost"), "{}", look.0);
    // In ephemeral mode a new container needs no note.
    assert!(look.field("sandbox").is_null(), "{}", look.0);
    // Only one spare is left, and no more are made.
    until(&server.instance, 1, SOON).await;
    assert_eq!(server.instance.volumes().len(), 1);
}

/// Identifies a container: field 22 of its PID 1's stat (proc(5)) is its start time, in hundredths
/// of a second. Also prints what an earlier command left there.
const WHICH: &str =
    "cut -d ' ' -f 22 /proc/1/stat; ls -A /tmp /dev/shm; touch /tmp/used /dev/shm/used";

#[tokio::test]
async fn no_container_runs_two_commands() {
    let server = start(&Instance::new()).await;
    let mut seen = HashSet::new();
    for _ in 0..6 {
        let shell = server.shell(WHICH).await;
        let (began, left) = shell.stdout().split_once('\n').expect("lines");
        assert_eq!(left, "/dev/shm:\n\n/tmp:\n", "{}", shell.0);
        let began: u64 = began.parse().expect("a number");
        // gVisor's kernel begins with the container, so there it is nearly the same in each.
        let is_new = seen.insert(began) || docker::on_gvisor();
        assert!(is_new, "a container ran two commands: {seen:?}");
    }
}

#[tokio::test]
async fn a_process_left_in_the_background_is_ended_and_that_is_said() {
    let server = start(&Instance::new()).await;
    let left = server
        .shell("(while sleep 0.05; do date +%s%N > beat; done) & sleep 0.3; echo done")
        .await;
    assert_eq!((left.outcome(), left.stdout()), ("exited", "done\n"));
    assert!(
        left.text().contains("ended with its container"),
        "{}",
        left.0
    );
    let notices = &left.field("sandbox")["notices"][0];
    assert!(
        notices
            .as_str()
            .is_some_and(|said| said.contains("ended with its container"))
    );
    assert!(left.field("survivors").is_null(), "{}", left.0);
    until(&server.instance, 1, SOON).await;
    let last = server.read("beat").await.text().to_owned();
    server.shell("sleep 0.5").await;
    assert_eq!(server.read("beat").await.text(), last);
}

#[tokio::test]
async fn parallel_commands_get_separate_containers_two_at_a_time() {
    let server = start(&Instance::new()).await;
    let command = "f=live/$RANDOM$RANDOM; mkdir -p live; touch $f /tmp/mine; ls /tmp | wc -l; \
        ls live | wc -l; sleep 1; rm $f";
    let results = join_all((0..5).map(|_| server.shell(command))).await;
    for result in results {
        assert_eq!(result.outcome(), "exited", "{}", result.0);
        let mut counts = result.stdout().lines();
        assert_eq!(counts.next(), Some("1"), "{}", result.0);
        assert!(matches!(counts.next(), Some("1" | "2")), "{}", result.0);
    }
}

#[tokio::test]
async fn file_calls_need_no_container_of_a_command() {
    let server = start(&Instance::new()).await;
    let sleep = json!({ "command": "sleep 30" });
    let first = server.start_call("shell_exec", sleep.clone()).await;
    let second = server.start_call("shell_exec", sleep).await;
    until(&server.instance, 2, SOON).await;
    let both = async {
        server.write("file", "content").await;
        assert_eq!(server.read("file").await.text(), "content");
    };
    tokio::time::timeout(allowed(Duration::from_secs(8)), both)
        .await
        .expect("no wait for a command");
    server.cancel(first.0).await;
    server.cancel(second.0).await;
    until(&server.instance, 1, SOON).await;
}

#[tokio::test]
async fn a_running_command_keeps_its_container_and_its_result_lasts_longer() {
    let server = start(&Instance::new()).await;
    let arguments = json!({ "command": "echo begun; while [ ! -e go ]; do sleep 0.05; done; \
        cat /tmp/mine 2>&1; echo over", "wait_seconds": 1 });
    let running = server.call("shell_exec", arguments).await;
    assert_eq!(running.outcome(), "running", "{}", running.0);
    let id = running
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(server.shell("echo other").await.stdout(), "other\n");
    server.write("go", "").await;
    // It ends without being asked.
    until(&server.instance, 1, SOON).await;
    for _ in 0..2 {
        let result = server.call("shell_exec", json!({ "command_id": id })).await;
        assert_eq!(result.outcome(), "exited", "{}", result.0);
        assert!(result.stdout().ends_with("over\n"), "{}", result.0);
    }
    let other = TestServer::on(&server.instance).user("other");
    let other = other.env("CASEMATE_MODE", "ephemeral").start().await;
    let unknown = other.call("shell_exec", json!({ "command_id": id })).await;
    assert_eq!(unknown.code(), "not_found", "{}", unknown.0);
}

#[tokio::test]
async fn a_command_that_runs_on_can_be_stopped() {
    let server = start(&Instance::new()).await;
    let arguments = json!({ "command": "echo begun; sleep 1000", "wait_seconds": 1 });
    let running = server.call("shell_exec", arguments).await;
    let id = running.field("command_id").as_str().expect("an id");
    let stop = json!({ "command_id": id, "stop": true });
    let stopped = server.call("shell_exec", stop).await;
    assert_eq!(
        (stopped.outcome(), stopped.stdout()),
        ("cancelled", "begun\n"),
        "{}",
        stopped.0
    );
    until(&server.instance, 1, SOON).await;
}

#[tokio::test]
async fn a_server_that_ends_takes_its_containers_with_it() {
    let server = start(&Instance::new()).await;
    server.write("file", "kept").await;
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
    let running = server.call("shell_exec", arguments).await;
    assert_eq!(running.outcome(), "running", "{}", running.0);
    let instance = server.instance.clone();
    server.end().await;
    until(&instance, 0, SOON).await;
    let server = start(&instance).await;
    assert_eq!(server.read("file").await.text(), "kept");
}

#[tokio::test]
async fn a_killed_server_leaves_nothing_running_with_or_without_a_successor() {
    let server = start(&Instance::new()).await;
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 1 });
    server.call("shell_exec", arguments).await;
    // So that no container is being made when the server is killed: the next server removes
    // one that was not started.
    server.write("a", "").await;
    let instance = server.instance.clone();
    until(&instance, 2, SOON).await;
    server.signal("KILL");
    until(&instance, 0, ORPHANED).await;
}

#[tokio::test]
async fn a_lost_container_is_told_and_the_next_command_has_another() {
    let server = start(&Instance::new()).await;
    let (_, call) = server
        .start_call(
            "shell_exec",
            json!({ "command": "echo x >> count; sleep 60" }),
        )
        .await;
    eventually("the command runs", SOON, async || {
        server.read("count").await.text() == "x\n"
    })
    .await;
    for container in server.instance.containers() {
        docker::quietly(&["rm", "--force", &container]);
    }
    let lost = call.result().await;
    assert_eq!(lost.outcome(), "sandbox_lost", "{}", lost.0);
    let next = server.shell("cat count").await;
    assert_eq!(next.stdout(), "x\n", "{}", next.0);
}
