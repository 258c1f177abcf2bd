//! Everything that can die is killed at random under a load of commands: bridges,
//! supervisors, PID 1, servers, and the Engine, which is also stopped for a while.
//! Every answer is true, and nothing runs twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{Engine, Instance, Server, TestServer};

/// How long.
const CHAOS: Duration = Duration::from_secs(120);

/// Between two failures of the Engine, which is killed and stopped in turns. An Engine that
/// starts again and finds containers takes 10 s to end them.
const ENGINE_TROUBLE: Duration = Duration::from_secs(25);

/// How soon afterwards a command runs again: the Engine may just have started.
const RECOVERY: Duration = Duration::from_secs(60);

/// Servers of the same user at once.
const SERVERS: u64 = 3;

/// What one worker saw: the tag of each command with its outcome, or that the server
/// was killed before it answered.
type Seen = BTreeMap<String, String>;

fn rng(seed: u64) -> TestRng {
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

fn on(engine: &Engine, instance: &Instance) -> TestServer {
    TestServer::on(instance).env("DOCKER_HOST", &engine.uri())
}

/// How a command ended, or why it was not run.
fn outcome(answer: &Value) -> String {
    let result = &answer["result"];
    let outcome = result["structuredContent"]["outcome"].as_str();
    let code = result["_meta"]["io.casemate/error"]["code"].as_str();
    let said = outcome.or(code);
    said.unwrap_or_else(|| panic!("no outcome: {answer}"))
        .to_owned()
}

/// Runs one command after the other, each of which writes a line, and sometimes kills its
/// server.
async fn work(
    (engine, instance): (Arc<Engine>, Instance),
    number: u64,
    seed: u64,
    end: Instant,
) -> Seen {
    let mut rng = rng(seed + number);
    let mut server = on(&engine, &instance).start().await;
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
                server = on(&engine, &instance).start().await;
                "server killed".to_owned()
            }
            Some(answer) => outcome(&answer),
        };
        seen.insert(tag, outcome);
    }
    seen
}

/// Kills the Engine and starts it again, with or without live-restore; or stops it for some
/// seconds.
async fn trouble(engine: &Engine, kill: bool, random: u32) {
    if kill {
        engine.kill().await;
        sleep(Duration::from_millis(u64::from(random % 2000))).await;
        engine.run(random.is_multiple_of(2));
        engine.up().await;
    } else {
        engine.freeze();
        sleep(Duration::from_millis(u64::from(2000 + random % 6000))).await;
        engine.thaw();
    }
}

/// Kills one process of casemate-init after the other, and the Engine in between.
async fn kill(engine: &Engine, seed: u64, end: Instant) -> BTreeMap<&'static str, u32> {
    let mut rng = rng(seed);
    let mut killed = BTreeMap::new();
    let mut next_trouble = Instant::now() + ENGINE_TROUBLE;
    while Instant::now() < end {
        sleep(Duration::from_millis(u64::from(rng.next_u32() % 300))).await;
        if Instant::now() >= next_trouble {
            let kill = killed.get("engine killed") == killed.get("engine stopped");
            trouble(engine, kill, rng.next_u32()).await;
            let how = ["engine stopped", "engine killed"][usize::from(kill)];
            *killed.entry(how).or_default() += 1;
            next_trouble = Instant::now() + ENGINE_TROUBLE;
            continue;
        }
        let victim = match rng.next_u32() % 40 {
            0 => "pid1",
            1..20 => "bridge",
            _ => "supervise",
        };
        let mut found = processes(engine);
        found.retain(|(_, args)| args.contains(&format!("casemate-init {victim}")));
        if let Some((pid, _)) = found.get(rng.next_u32() as usize % found.len().max(1)) {
            // It may have ended by itself.
            engine.host(&format!("kill -9 {pid} || true"));
            *killed.entry(victim).or_default() += 1;
        }
    }
    killed
}

/// The processes of the first container: id and command line.
fn processes(engine: &Engine) -> Vec<(String, String)> {
    let containers = engine.try_docker(&["ps", "--quiet", "--no-trunc"]);
    let containers = containers.unwrap_or_default();
    let Some(container) = containers.lines().next() else {
        return Vec::new();
    };
    let rows = engine.try_docker(&["top", container, "-eo", "pid,args"]);
    let rows = rows.unwrap_or_default();
    let rows = rows.lines().filter_map(|row| row.trim().split_once(' '));
    rows.map(|(pid, args)| (pid.to_owned(), args.trim().to_owned()))
        .collect()
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
async fn after_random_kills_every_answer_is_true_and_nothing_runs_twice() {
    let seed = u64::from(std::process::id());
    eprintln!("chaos with seed {seed}");
    let engine = Arc::new(Engine::start().await);
    let instance = Instance::new();
    let end = Instant::now() + CHAOS;
    let place = || (engine.clone(), instance.clone());
    let workers = (1..=SERVERS).map(|number| tokio::spawn(work(place(), number, seed, end)));
    let workers: Vec<_> = workers.collect();
    let killed = kill(&engine, seed, end).await;
    let mut seen = Seen::new();
    for worker in workers {
        seen.extend(worker.await.expect("the worker"));
    }

    let server = on(&engine, &instance).start().await;
    let end = Instant::now() + RECOVERY;
    while server.shell("true").await.field("outcome") != "exited" {
        assert!(Instant::now() < end, "no sandbox {RECOVERY:?} afterwards");
    }
    let log: BTreeSet<String> = lines_of_log(&server).await.into_iter().collect();
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    for (tag, outcome) in &seen {
        *outcomes.entry(outcome).or_default() += 1;
        match outcome.as_str() {
            "exited" => assert!(log.contains(tag), "{tag} is said to have run"),
            // The last: its supervisor was killed before it started the command.
            "engine_unavailable" | "sandbox_unavailable" | "not_started" => {
                assert!(!log.contains(tag), "{tag} is said not to have run");
            }
            // Killed or lost, before or after it wrote its line.
            "signaled" | "sandbox_lost" | "cancelled" | "server killed" => {}
            _ => panic!("{tag}: {outcome}"),
        }
    }
    let unknown: Vec<_> = log.iter().filter(|tag| !seen.contains_key(*tag)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    eprintln!("killed {killed:?}; outcomes {outcomes:?}");
    assert!(outcomes["exited"] > 100 && killed["bridge"] > 10 && killed["supervise"] > 10);
    assert!(killed["engine killed"] > 0 && killed["engine stopped"] > 0);
    // Only processes that answer are left running.
    let rest = server.shell("pgrep -c '^sleep'").await;
    assert_eq!(rest.stdout(), "0\n");
    assert!(!engine.container().is_empty());
}
