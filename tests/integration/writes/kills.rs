//! Something is killed in the middle of a write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

use super::{kill, letters, result, roles, write_as};
use crate::harness::{CallResult, Server, TestServer, docker};

/// Makes a file of 4 MiB with its version at both ends.
const EDITED: &str =
    "seq -s ' ' 600000 > middle; (echo v=0; cat middle; echo v=0) > edited; rm middle";

/// Number of kills.
const ROUNDS: u32 = 18;

/// Asserts that neither file is a mix, and records their versions.
async fn assert_whole(server: &Server, versions: &mut BTreeMap<&'static str, String>) {
    let look =
        "sort -u written; wc -c < written; head -n 1 edited; tail -n 1 edited; wc -l < edited";
    let mut seen = server.shell(look).await;
    if seen.outcome() == "sandbox_lost" {
        // The kill came after the answers: this command was the first to meet it.
        seen = server.shell(look).await;
    }
    let lines: Vec<&str> = seen.stdout().lines().collect();
    let [letter, "200000", first, last, "3"] = lines[..] else {
        panic!("a mix: {}", seen.0);
    };
    assert_eq!(first, last, "a mix");
    versions.insert("written", letter.to_owned());
    versions.insert("edited", first.to_owned());
}

/// What the answer of an edit says, which must agree with whether the edit was made.
fn outcome_of_edit(victim: &str, answer: Option<CallResult>, made: bool) -> String {
    match answer {
        None => format!("no answer, made: {made}"),
        Some(edited) if edited.code() == "uncertain" => format!("uncertain, made: {made}"),
        Some(edited) => {
            assert!(!edited.is_error(), "{victim}: {}", edited.text());
            assert!(
                made && edited.field("replaced") == 2,
                "{victim}: {}",
                edited.0
            );
            "answered".to_owned()
        }
    }
}

#[tokio::test]
async fn after_a_kill_during_a_write_or_an_edit_the_file_is_old_or_new() {
    let seed = u64::from(std::process::id());
    eprintln!("kills with seed {seed}");
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let mut server = TestServer::new().start().await;
    let instance = server.instance.clone();
    assert_eq!(server.shell(EDITED).await.exit_code(), 0);
    server.write("written", &letters(0)).await;
    let mut is = BTreeMap::new();
    assert_whole(&server, &mut is).await;
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    let mut takes = 0;
    for round in 0..=ROUNDS {
        let new = format!("v={}", round + 1);
        let write = json!({ "path": "written", "content": letters(round + 1) });
        let edit = json!({ "path": "edited", "old_text": is["edited"], "new_text": new,
                           "replace_all": true });
        let victim = match round {
            0 => "none",
            _ => ["pid1", "bridge", "server"][round as usize % 3],
        };
        let pids = roles(&instance.container(), victim);
        let start = Instant::now();
        let (_, written) = server.start_call("write_file", write).await;
        let (_, edited) = server.start_call("edit_file", edit).await;
        // At a random moment of their duration.
        let pause = rng.next_u32().checked_rem(takes).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(pause.into())).await;
        match victim {
            "none" => {}
            "server" => server.signal("KILL"),
            _ => kill(&pids),
        }
        let (written, edited) = (written.answer().await, edited.answer().await);
        if victim == "none" {
            let micros = start.elapsed().as_micros() * 5 / 4;
            takes = u32::try_from(micros).expect("less than an hour");
        }
        if victim == "server" {
            drop(server);
            server = TestServer::on(&instance).start().await;
        }
        assert_whole(&server, &mut is).await;
        let told =
            |answer: Option<Value>| answer.map(|answer| CallResult(answer["result"].clone()));
        if let Some(written) = told(written) {
            assert!(!written.is_error(), "{victim}: {}", written.text());
            assert_eq!(is["written"], letters(round + 1)[..1]);
        }
        let outcome = outcome_of_edit(victim, told(edited), is["edited"] == new);
        *outcomes.entry(format!("{victim}: {outcome}")).or_default() += 1;
    }
    eprintln!("{outcomes:?}");
    assert_eq!(
        outcomes["bridge: answered"],
        ROUNDS / 3,
        "a bridge is no loss"
    );
}

#[tokio::test]
async fn an_append_is_made_once_even_when_channels_break() {
    let first = TestServer::new().start().await;
    let second = TestServer::on(&first.instance).start().await;
    first.shell("true").await;
    let container = first.instance.container();
    let servers = [&first, &second];
    let (answered, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let kills = async {
        let (mut killed, mut before) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            // Each channel lives long enough for one answer at least.
            let now = answered.load(Ordering::Relaxed);
            if now > before {
                let bridges = roles(&container, "bridge");
                killed += bridges.len();
                kill(&bridges);
                before = now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        killed
    };
    let appends = async {
        for round in 0..60 {
            let calls = (0..8).map(async |n| {
                // Long enough to take a while.
                let line = format!("{round}-{n} {}\n", "x".repeat(100_000));
                let appended = write_as(servers[n % 2], "log", &line, "append").await;
                assert!(!appended.is_error(), "{}", appended.text());
                answered.fetch_add(1, Ordering::Relaxed);
            });
            join_all(calls).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let (killed, ()) = tokio::join!(kills, appends);
    assert!(killed > 10, "{killed} bridges were killed");
    let seen = "wc -l < log; cut -d ' ' -f 1 log | sort -u | wc -l; awk '{ print length($2) }' log | sort -u";
    assert_eq!(first.shell(seen).await.stdout(), "480\n480\n100000\n");
    assert_eq!(first.instance.container(), container);
}

/// Waits until the server has read all earlier requests: it answers these three without its
/// sandbox.
async fn until_sent(server: &Server) {
    for _ in 0..3 {
        let refused = server.call("list_files", json!({ "depth": 0 })).await;
        assert_eq!(refused.code(), "invalid_argument");
    }
}

#[tokio::test]
async fn a_change_whose_container_is_gone_is_uncertain_and_an_overwrite_is_made() {
    let server = TestServer::new().start().await;
    server.write("file", "old\n").await;
    let pid = [docker::pid(&server.instance.container())];
    // It receives the calls and cannot execute them.
    let stop = std::process::Command::new("kill")
        .arg("-STOP")
        .args(&pid)
        .status();
    assert!(stop.expect("kill").success());
    let calls = [
        (
            "write_file",
            json!({ "path": "log", "content": "x\n", "mode": "append" }),
        ),
        (
            "write_file",
            json!({ "path": "new", "content": "x\n", "mode": "create_new" }),
        ),
        (
            "edit_file",
            json!({ "path": "file", "old_text": "old", "new_text": "new" }),
        ),
        (
            "write_file",
            json!({ "path": "over", "content": "whole\n" }),
        ),
        ("read_file", json!({ "path": "file" })),
    ];
    let mut pending = Vec::new();
    for (tool, arguments) in calls {
        pending.push(server.start_call(tool, arguments).await.1);
    }
    until_sent(&server).await;
    kill(&pid);
    let results = join_all(pending.into_iter().map(result)).await;
    for (result, name) in results.iter().zip(["log", "new", "file"]) {
        assert_eq!(result.code(), "uncertain", "{name}: {}", result.text());
        let says = result.text();
        assert!(
            says.contains("was replaced while") && says.contains(name),
            "{says}"
        );
    }
    assert!(!results[3].is_error(), "{}", results[3].text());
    assert!(
        results[4].text().starts_with("old\n"),
        "{}",
        results[4].text()
    );
    let seen = server.shell("cat file over; ls").await;
    assert_eq!(seen.stdout(), "old\nwhole\nfile\nover\n");
}
