//! A process of the user attaches to commands before they start, and makes them forge reports
//! to PID 1. The user may do anything with the commands themselves, but what PID 1 reports must
//! stay true.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;

use crate::harness::{CallResult, Server, TestServer, docker, eventually};

/// Traces each supervisor's child in turn, and prints what it caught.
const FORGER: &str = include_str!("forgery/forger.c");

/// Commands under attack, at least.
const TRIES: usize = 200;

/// How often this is repeated if too few were caught in time, as on a busy machine.
const ROUNDS: usize = 5;

/// Commands at the same time.
const AT_ONCE: usize = 4;

/// How many of each kind must be caught in time; otherwise the test proves nothing.
const CAUGHT: usize = 5;

/// Shortest duration of a command, in milliseconds.
const LASTS: u64 = 300;

/// Leaves a mark when it begins and another when it ends, and exits with 127, as a child that
/// cannot execute its command does.
fn command(n: usize) -> String {
    format!("touch marks/{n}.began; sleep 0.3; touch marks/{n}.ended; exit 127")
}

/// What `result` claims, to compare with the marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It ran to its end.
    Ran,
    /// Its process ended and left processes that run.
    LeftSomething,
    /// It was ended, by a signal or at its time-out.
    Killed,
    /// It did not run and never will.
    NotStarted,
    /// Impossible for these commands.
    Impossible,
}

fn claim(result: &CallResult) -> Claim {
    if result.is_error() && result.0.get("structuredContent").is_none() {
        return Claim::NotStarted;
    }
    let lasted = result.field("duration_ms").as_u64().expect("milliseconds");
    let survivors = result.field("survivors").as_u64().unwrap_or(0);
    match (result.outcome(), result.exit_code()) {
        ("exited", 127) if survivors > 0 => Claim::LeftSomething,
        ("exited", 127) if lasted >= LASTS => Claim::Ran,
        ("signaled", 137) | ("timed_out", _) => Claim::Killed,
        _ => Claim::Impossible,
    }
}

/// How many of each kind the tracer has caught so far.
async fn caught(server: &Server) -> [usize; 4] {
    let log = server.read("caught").await;
    ["caught 0", "caught 1", "caught 2", "caught 3"]
        .map(|kind| log.text().lines().filter(|line| *line == kind).count())
}

async fn marks(server: &Server) -> String {
    server.shell("ls -U marks").await.stdout().to_owned()
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn a_tracer_of_commands_that_do_not_run_yet_makes_pid_1_say_nothing_untrue() {
    let server = TestServer::new().env("CASEMATE_CPUS", "2").start().await;
    server.write("forger.c", FORGER).await;
    let built = server
        .shell("mkdir marks; cc -O2 -o forger forger.c && (exec ./forger > caught 2>&1 &)")
        .await;
    assert_eq!(built.exit_code(), 0, "{}", built.0);
    let container = server.instance.container();

    let mut results = Vec::new();
    for round in 0..ROUNDS {
        let numbers = round * TRIES..(round + 1) * TRIES;
        let calls = futures_util::stream::iter(numbers).map(|n| {
            let server = &server;
            async move {
                let arguments = json!({ "command": command(n), "timeout_seconds": 5 });
                (n, server.call("shell_exec", arguments).await)
            }
        });
        results.extend(calls.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        if caught(&server).await.iter().all(|&caught| caught >= CAUGHT) {
            break;
        }
    }
    // File calls use no process that could be attacked.
    server.write("stop", "").await;
    eventually("nothing is left", Duration::from_secs(10), async || {
        let ours = |args: &str| args.starts_with("/casemate-init ");
        docker::top(&container).iter().all(|(_, args)| ours(args))
    })
    .await;
    let caught = caught(&server).await;
    let marks = marks(&server).await;
    let marked = |n: usize, what| marks.lines().any(|mark| mark == format!("{n}.{what}"));
    let mut claims: BTreeMap<Claim, usize> = BTreeMap::new();
    let mut lies = Vec::new();
    for (n, result) in &results {
        let claim = claim(result);
        *claims.entry(claim).or_default() += 1;
        let (began, ended) = (marked(*n, "began"), marked(*n, "ended"));
        let is_true = match claim {
            Claim::Ran => began && ended,
            Claim::LeftSomething | Claim::Killed => true,
            Claim::NotStarted => !began && !ended,
            Claim::Impossible => false,
        };
        if !is_true {
            let ran = format!("began: {began}, ended: {ended}");
            lies.push(format!("{claim:?}, {ran}, {}", result.0));
        }
    }
    let tries = results.len();
    println!("caught {caught:?} of {tries}, claims {claims:?}");
    assert!(lies.is_empty(), "{} of {tries}: {lies:#?}", lies.len());
    // On gVisor a child is not the user's before it is the command.
    let is_caught = |&caught: &usize| match docker::on_gvisor() {
        true => caught == 0,
        false => caught >= CAUGHT,
    };
    assert!(caught.iter().all(is_caught), "{caught:?}");
    assert_eq!(server.instance.container(), container);
}
