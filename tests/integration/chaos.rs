//! Everything that can die is killed at random under a load of commands: bridges,
//! supervisors, PID 1, servers. Whatever is answered is true, and nothing runs twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::harness::{Instance, Server, TestServer, docker};

/// How long.
const CHAOS: Duration = Duration::from_secs(120);

/// Servers of the same user at once.
const SERVERS: u64 = 3;

/// What one worker saw: each command's tag with its outcome, or that its server
/// was killed before it answered.
type Seen = BTreeMap<String, String>;

fn rng(seed: u64) -> TestRng {
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Runs one command after the other, each writing its own line, and kills its own
/// server now and then.
async fn work(instance: Instance, number: u64, seed: u64, end: Instant) -> Seen {
    let mut rng = rng(seed + number);
    let mut server = TestServer::on(&instance).start().await;
    let mut seen = Seen::new();
    while Instant::now() < end {
        let tag = format!("w{number}-{}", seen.len());
        let nap = rng.next_u32() % 80;
        let command = format!("echo {tag} >> log; sleep 0.0{nap:02}; echo done");
        let arguments = json!({ "command": command, "timeout_seconds": 20 });
        let (_, pending) = server.start_call("shell_exec", arguments).await;
        if rng.next_u32().is_multiple_of(100) {
            server.signal("KILL");
        }
        let outcome = match pending.answer().await {
            None => {
                server = TestServer::on(&instance).start().await;
                "server killed".to_owned()
            }
            Some(answer) => {
                let outcome = &answer["result"]["structuredContent"]["outcome"];
                outcome
                    .as_str()
                    .unwrap_or_else(|| panic!("no outcome: {answer}"))
                    .to_owned()
            }
        };
        seen.insert(tag, outcome);
    }
    seen
}

/// Kills one process of casemate-init after the other.
async fn kill(instance: Instance, seed: u64, end: Instant) -> BTreeMap<&'static str, u32> {
    let mut rng = rng(seed);
    let mut killed = BTreeMap::new();
    while Instant::now() < end {
        sleep(Duration::from_millis(u64::from(rng.next_u32() % 300))).await;
        let victim = match rng.next_u32() % 40 {
            0 => "pid1",
            1..20 => "bridge",
            _ => "supervise",
        };
        let containers = instance.containers();
        let processes = containers.first().map(|container| docker::top(container));
        let mut found = processes.unwrap_or_default();
        found.retain(|(_, args)| args.contains(&format!("casemate-init {victim}")));
        if let Some((pid, _)) = found.get(rng.next_u32() as usize % found.len().max(1)) {
            // It may have ended by itself by now.
            let _ = std::process::Command::new("kill")
                .args(["-9", pid])
                .output();
            *killed.entry(victim).or_default() += 1;
        }
    }
    killed
}

async fn lines_of_log(server: &Server) -> Vec<String> {
    let all = server.shell("wc -l < log; sort log | uniq -d | head").await;
    let mut lines = all.stdout().lines();
    let count: usize = lines
        .next()
        .and_then(|n| n.trim().parse().ok())
        .expect("a count");
    assert_eq!(lines.next(), None, "a command ran twice");
    let mut log = Vec::new();
    while log.len() < count {
        let arguments = json!({ "path": "log", "start_line": log.len() + 1 });
        let part = server.call("read_file", arguments).await;
        let before = log.len();
        let tags = part.text().lines().filter(|line| line.starts_with('w'));
        log.extend(tags.map(str::to_owned));
        assert!(log.len() > before, "{}", part.text());
    }
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_every_answer_is_true_and_nothing_runs_twice() {
    let seed = u64::from(std::process::id());
    eprintln!("chaos with seed {seed}");
    let instance = Instance::new();
    let end = Instant::now() + CHAOS;
    let workers =
        (1..=SERVERS).map(|number| tokio::spawn(work(instance.clone(), number, seed, end)));
    let workers: Vec<_> = workers.collect();
    let killed = kill(instance.clone(), seed, end).await;
    let mut seen = Seen::new();
    for worker in workers {
        seen.extend(worker.await.expect("the worker"));
    }

    let server = TestServer::on(&instance).start().await;
    let log: BTreeSet<String> = lines_of_log(&server).await.into_iter().collect();
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for (tag, outcome) in &seen {
        *outcomes.entry(outcome).or_default() += 1;
        let known = [
            "exited",
            "signaled",
            "sandbox_lost",
            "cancelled",
            "server killed",
        ];
        assert!(known.contains(&outcome.as_str()), "{tag}: {outcome}");
        assert!(
            outcome != "exited" || log.contains(tag),
            "{tag} is said to have run"
        );
    }
    let unknown: Vec<_> = log.iter().filter(|tag| !seen.contains_key(*tag)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    eprintln!("killed {killed:?}; outcomes {outcomes:?}");
    assert!(outcomes["exited"] > 100 && killed["bridge"] > 10 && killed["supervise"] > 10);
    // Nothing is left running but what answers.
    let rest = server.shell("pgrep -c '^sleep'").await;
    assert_eq!(rest.stdout(), "0\n");
    assert_eq!(instance.containers().len(), 1);
}
