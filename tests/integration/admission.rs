//! Calls that have to wait: how many run at once, in which order the others follow, what
//! they are told while they wait, and the answer to one too many.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Instance, Pending, Server, TestServer, eventually};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(10);

/// Limit of waiting calls of one user.
const WAITING: usize = 256;

/// A server whose sandbox is ready.
async fn start(instance: &Instance, at_once: &str) -> Server {
    let server = TestServer::on(instance).env("CASEMATE_CALLS_PER_USER", at_once);
    let server = server.start().await;
    assert_eq!(server.shell("true").await.outcome(), "exited");
    server
}

/// Starts a command with a token of this name; with the request's id.
async fn command(server: &Server, token: &str, command: &str) -> (u64, Pending) {
    let params = json!({
        "name": "shell_exec",
        "arguments": { "command": command, "timeout_seconds": 60 },
        "_meta": { "progressToken": token },
    });
    server.rpc.start("tools/call", params).await
}

/// A command that runs until there is a file `go`, which [`let_go`] makes from another
/// server: here it keeps the others waiting.
async fn blocker(server: &Server) -> (u64, Pending) {
    let call = command(
        server,
        "blocker",
        "touch runs; until [ -e go ]; do sleep 0.02; done",
    )
    .await;
    let other = TestServer::on(&server.instance).start().await;
    eventually("it runs", SOON, async || {
        !other.read("runs").await.is_error()
    })
    .await;
    call
}

async fn let_go(instance: &Instance) {
    let other = TestServer::on(instance).start().await;
    assert!(!other.write("go", "").await.is_error());
}

/// The places in the line that the call with this token was told, in order.
fn told(server: &Server, token: &str) -> Vec<usize> {
    let of = |note: Value| {
        let params = &note["params"];
        let message = params["message"]
            .as_str()?
            .strip_prefix("waiting; calls before this one: ");
        let ahead = message?.parse().expect("a number");
        (params["progressToken"] == token).then_some(ahead)
    };
    server
        .rpc
        .notifications()
        .into_iter()
        .filter_map(of)
        .collect()
}

/// Waits until the last place that the call with this token was told is `place`.
async fn until_told(server: &Server, token: &str, ahead: usize) {
    eventually("the place in the line is told", SOON, async || {
        told(server, token).last() == Some(&ahead)
    })
    .await;
}

#[tokio::test]
async fn calls_run_up_to_the_limit_and_the_others_take_their_turn() {
    let server = start(&Instance::new(), "3").await;
    // Each counts the commands that run.
    let command =
        "mkdir -p live; f=live/$RANDOM$RANDOM; touch $f; sleep 0.4; ls live | wc -l; rm $f";
    let results = join_all((0..9).map(|_| server.shell(command))).await;
    let seen: Vec<u32> = results
        .iter()
        .map(|result| result.stdout().trim().parse().expect("a number"))
        .collect();
    assert_eq!(seen.iter().max(), Some(&3), "{seen:?}");
}

#[tokio::test]
async fn waiting_calls_are_told_their_place_and_run_in_order() {
    let instance = Instance::new();
    let server = start(&instance, "1").await;
    let (_, first) = blocker(&server).await;
    let mut calls = Vec::new();
    for n in 0..20 {
        let (_, call) = command(&server, &n.to_string(), &format!("echo {n} >> order")).await;
        calls.push(call);
    }
    for n in [0, 7, 19] {
        until_told(&server, &n.to_string(), n).await;
    }
    let_go(&instance).await;
    assert_eq!(first.result().await.outcome(), "exited");
    for call in calls {
        assert_eq!(call.result().await.outcome(), "exited");
    }
    let order: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let ran = server.read("order").await;
    assert_eq!(ran.text().lines().take(20).collect::<Vec<_>>(), order);
    for n in 0..20 {
        let told = told(&server, &n.to_string());
        assert!(told.is_sorted_by(|a, b| a > b), "{n} was told {told:?}");
    }
}

#[tokio::test]
async fn a_cancelled_call_leaves_the_line_at_once_and_never_runs() {
    let instance = Instance::new();
    let server = start(&instance, "1").await;
    let (_, first) = blocker(&server).await;
    let (cancelled, _) = command(&server, "cancelled", "touch never").await;
    let (_, last) = command(&server, "last", "ls never go").await;
    until_told(&server, "last", 1).await;
    server.cancel(cancelled).await;
    // The running call goes on.
    until_told(&server, "last", 0).await;
    let_go(&instance).await;
    assert_eq!(first.result().await.outcome(), "exited");
    assert_eq!(last.result().await.stdout(), "go\n");
}

#[tokio::test]
async fn beyond_the_line_a_call_is_busy_at_once_and_says_what_to_do() {
    let instance = Instance::new();
    let server = start(&instance, "1").await;
    let (_, first) = blocker(&server).await;
    let mut line = Vec::new();
    for n in 0..WAITING {
        let (token, script) = (format!("call {n}"), format!("echo {n} >> order"));
        line.push(command(&server, &token, &script).await);
    }
    let last = format!("call {}", WAITING - 1);
    until_told(&server, &last, WAITING - 1).await;
    let start = Instant::now();
    // Every kind of call counts.
    for busy in [
        server.shell("touch never").await,
        server.write("never", "").await,
    ] {
        assert!(busy.is_error(), "{}", busy.0);
        assert_eq!(busy.code(), "busy", "{}", busy.0);
        let said = format!(
            "{WAITING} calls of this user are already waiting. Wait until some end, then retry."
        );
        assert!(busy.text().contains(&said), "{}", busy.text());
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    // There is room after one gives up.
    let (id, _) = line.remove(10);
    server.cancel(id).await;
    until_told(&server, &last, WAITING - 2).await;
    let (_, late) = command(&server, "late", "ls never go").await;
    until_told(&server, "late", WAITING - 1).await;
    let_go(&instance).await;
    assert_eq!(first.result().await.outcome(), "exited");
    for (_, call) in line {
        assert_eq!(call.result().await.outcome(), "exited");
    }
    assert_eq!(late.result().await.stdout(), "go\n");
    let ran = server.shell("wc -l < order; grep -cx 10 order").await;
    assert_eq!(ran.stdout(), format!("{}\n0\n", WAITING - 1));
}

/// Duration of a user's first call, without a sandbox: the median of three users.
async fn first_call(instance: &Instance, kind: &str) -> Duration {
    let mut times = Vec::new();
    for n in 0..3 {
        let server = TestServer::on(instance).user(&format!("{kind} {n}"));
        let server = server.env("CASEMATE_WARM", "off").start().await;
        let start = Instant::now();
        let result = server.shell("echo first").await;
        times.push(start.elapsed());
        assert_eq!(result.stdout(), "first\n", "{}", result.0);
    }
    times.sort();
    times[1]
}

#[tokio::test]
async fn a_thousand_calls_of_one_user_delay_no_other_user() {
    let instance = Instance::new();
    let crowded = start(&instance, "16").await;
    let usual = first_call(&instance, "quiet").await;
    let mut calls = Vec::new();
    for n in 0..1000 {
        let arguments = json!({ "command": format!("sleep 0.3; echo {n}") });
        calls.push((n, crowded.start_call("shell_exec", arguments).await.1));
    }
    let crowd = async {
        let (mut ran, mut busy) = (0, 0);
        for (n, call) in calls {
            let result = call.result().await;
            if result.is_error() {
                assert_eq!(result.code(), "busy", "{}", result.0);
                busy += 1;
            } else {
                assert_eq!(result.stdout(), format!("{n}\n"), "{}", result.0);
                ran += 1;
            }
        }
        (ran, busy, Instant::now())
    };
    let others = async {
        let time = first_call(&instance, "other").await;
        (time, Instant::now())
    };
    let ((ran, busy, over), (time, measured)) = tokio::join!(crowd, others);
    eprintln!("first call {time:?}, else {usual:?}; {ran} ran, {busy} were busy");
    assert!(measured < over, "the crowd was over before the others came");
    assert!(
        time < usual + Duration::from_secs(1),
        "{time:?} after {usual:?}"
    );
    // The allowed number ran or waited, and each call has an answer.
    assert_eq!((ran + busy, ran >= 16 + WAITING), (1000, true), "{ran} ran");
}
