//! Writing: whole or not at all and once, whatever dies in the middle, however full
//! the disk is and whoever else writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use casemate::identity::{Instance as InstanceName, SandboxName, User};
use futures_util::future::join_all;
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

use crate::harness::{CallResult, Instance, Pending, Server, TestServer, docker, eventually};

/// How long something may take that happens by itself.
const SOON: Duration = Duration::from_secs(10);

/// A file call's time, and a little.
const DEADLINE: Duration = Duration::from_secs(33);

async fn write_as(server: &Server, path: &str, content: &str, mode: &str) -> CallResult {
    let arguments = json!({ "path": path, "content": content, "mode": mode });
    server.call("write_file", arguments).await
}

/// The processes of a container's casemate-init in this role.
fn roles(container: &str, role: &str) -> Vec<String> {
    let processes = docker::top(container).into_iter();
    processes
        .filter(|(_, args)| args.contains(&format!("casemate-init {role}")))
        .map(|(pid, _)| pid)
        .collect()
}

/// Kills what is still there of these processes.
fn kill(pids: &[String]) {
    let mut kill = std::process::Command::new("kill");
    let _ = kill.arg("-KILL").args(pids).output();
}

async fn result(pending: Pending) -> CallResult {
    let answer = pending.answer().await.expect("the server answers");
    CallResult(answer["result"].clone())
}

#[tokio::test]
async fn each_mode_does_what_it_says_in_both_halves() {
    let server = TestServer::new().start().await;
    let made = write_as(&server, "a/log", "one\n", "append").await;
    assert_eq!(made.text(), "created a/log (4 bytes)");
    let grown = write_as(&server, "a/log", "two\n", "append").await;
    assert_eq!(grown.text(), "appended to a/log (8 bytes)");
    assert_eq!(grown.field("size"), 8);
    assert_eq!(grown.field("created"), false);
    let refused = write_as(&server, "a/log", "three\n", "create_new").await;
    assert_eq!(refused.code(), "exists", "{}", refused.text());
    let made = write_as(&server, "a/new", "four\n", "create_new").await;
    assert_eq!(made.field("created"), true);
    assert_eq!(server.read("a/log").await.text(), "one\ntwo\n");

    let script = json!({ "path": "run", "content": "#!/bin/sh\necho ran\n", "executable": true });
    server.call("write_file", script).await;
    server.write("run", "#!/bin/sh\necho ran again\n").await;
    let ran = server.shell("./run; stat -c %a run a/new; ls -A a").await;
    assert_eq!(ran.stdout(), "ran again\n755\n644\nlog\nnew\n");

    let large = "x".repeat((3 << 20) + 1);
    let refused = write_as(&server, "large", &large, "append").await;
    assert_eq!(refused.code(), "invalid_argument");
    assert!(
        refused.text().contains("mode \"append\""),
        "{}",
        refused.text()
    );
    for part in ["overwrite", "append"] {
        let content = &large[..3 << 20];
        let written = write_as(&server, "large", content, part).await;
        assert!(!written.is_error(), "{}", written.text());
    }
    assert_eq!(server.shell("wc -c < large").await.stdout(), "6291456\n");
}

/// Content whose parts are all the same, so that a mix shows.
fn letters(letter: u32) -> String {
    let letter = char::from_u32('a' as u32 + letter % 26).expect("a letter");
    format!("{letter}\n").repeat(100_000)
}

/// A version at both ends of 4 MiB.
const EDITED: &str =
    "seq -s ' ' 600000 > middle; (echo v=0; cat middle; echo v=0) > edited; rm middle";

/// How often something is killed.
const ROUNDS: u32 = 18;

/// Neither file is a mix, and what the answers say is true.
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

#[tokio::test]
async fn whoever_is_killed_in_the_middle_of_a_write_or_an_edit_the_file_is_old_or_new() {
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
            0 => "nobody",
            _ => ["pid1", "bridge", "server"][round as usize % 3],
        };
        let pids = roles(&instance.container(), victim);
        let start = Instant::now();
        let (_, written) = server.start_call("write_file", write).await;
        let (_, edited) = server.start_call("edit_file", edit).await;
        // At any moment of what they take.
        let pause = rng.next_u32().checked_rem(takes).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(pause.into())).await;
        match victim {
            "nobody" => {}
            "server" => server.signal("KILL"),
            _ => kill(&pids),
        }
        let (written, edited) = (written.answer().await, edited.answer().await);
        if victim == "nobody" {
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
        let made = is["edited"] == new;
        let outcome = match told(edited) {
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
        };
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
async fn an_append_is_made_once_whatever_becomes_of_the_channel() {
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
                // Long enough to be under way for a while.
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

/// Waits until the server has dealt with what it was sent before, three times over:
/// it answers this one without its sandbox.
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
    // It has the calls, and does not get to do them.
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

#[tokio::test]
async fn two_servers_that_write_one_file_leave_one_content_and_lose_no_edit() {
    let first = TestServer::new().start().await;
    let second = TestServer::on(&first.instance).start().await;
    first.write("edited", "first=0\nsecond=0\n").await;
    let write = async |server: &Server, name: &str, offset: u32| {
        for round in 0..20 {
            let written = server.write("written", &letters(offset + round)).await;
            assert!(!written.is_error(), "{}", written.text());
            let (old, new) = (
                format!("{name}={round}\n"),
                format!("{name}={}\n", round + 1),
            );
            let edit = json!({ "path": "edited", "old_text": old, "new_text": new });
            let edited = server.call("edit_file", edit).await;
            assert!(!edited.is_error(), "{}", edited.text());
        }
    };
    first.write("written", &letters(0)).await;
    let reader = "for i in $(seq 60); do \
                  [ \"$(sort -u written | wc -l) $(wc -c < written)\" = '1 200000' ] || echo mix; done";
    let (read, (), ()) = tokio::join!(
        first.shell_within(reader, 60),
        write(&first, "first", 0),
        write(&second, "second", 7)
    );
    assert_eq!((read.stdout(), read.exit_code()), ("", 0));
    assert_eq!(first.read("edited").await.text(), "first=20\nsecond=20\n");
    let left = first.shell("ls -A | grep -c tmp").await;
    assert_eq!(left.stdout(), "0\n");
    assert_eq!(first.instance.containers().len(), 1);
}

/// A server whose workspace is a disk in memory, with these options.
pub fn with_a_small_disk(options: &str) -> (TestServer, docker::Volume) {
    let instance = Instance::new();
    let name: InstanceName = instance.name().parse().expect("an instance");
    let user = User::local("tester".parse().expect("a subject"));
    let volume = SandboxName::new(&name, &user).to_string();
    let labels = [
        format!("--label=io.casemate.instance={}", instance.name()),
        "--label=io.casemate.user=tester".to_owned(),
        "--label=io.casemate.issuer=local".to_owned(),
    ];
    let option = format!("--opt=o=uid=1000,gid=1000,{options}");
    let disk = ["--opt=type=tmpfs", "--opt=device=tmpfs", &option];
    let labels = labels.each_ref().map(String::as_str);
    docker::output(&[&["volume", "create"], &disk[..], &labels, &[&volume]].concat());
    // The whole disk is smaller than what is to stay free of one.
    let server = TestServer::on(&instance).env("CASEMATE_MIN_FREE_DISK", "0");
    (server, docker::Volume(volume))
}

#[tokio::test]
async fn on_a_full_disk_every_file_is_the_old_one_and_what_frees_space_works() {
    for options in ["size=4m", "size=64m,nr_inodes=40"] {
        let (server, _volume) = with_a_small_disk(options);
        let server = server.start().await;
        server.write("kept/file", "old\n").await;
        // Too many bytes for the one disk, too many files for the other.
        let fill = "mkdir fill; head -c 50000000 /dev/zero > fill/bytes; \
                    for i in $(seq 60); do touch fill/$i; done";
        server.shell(fill).await;
        let large = "x".repeat(1 << 20);
        let writes = [
            (
                "write_file",
                json!({ "path": "kept/file", "content": large }),
            ),
            (
                "write_file",
                json!({ "path": "kept/new", "content": large, "mode": "create_new" }),
            ),
            (
                "write_file",
                json!({ "path": "kept/log", "content": large, "mode": "append" }),
            ),
            (
                "edit_file",
                json!({ "path": "kept/file", "old_text": "old", "new_text": large }),
            ),
        ];
        for (tool, arguments) in writes {
            let refused = server.call(tool, arguments).await;
            assert_eq!(refused.code(), "no_space", "{tool}: {}", refused.text());
        }
        if options == "size=4m" {
            let grow = json!({ "path": "kept/file", "content": large, "mode": "append" });
            assert_eq!(server.call("write_file", grow).await.code(), "no_space");
        }
        // Reading, listing and commands work, and nothing was left.
        assert_eq!(server.read("kept/file").await.text(), "old\n", "{options}");
        let listed = server.list("kept").await;
        assert_eq!(
            listed.field("entries").as_array().map(Vec::len),
            Some(1),
            "{}",
            listed.0
        );
        assert_eq!(
            server.shell("ls -A kept; rm -r fill").await.stdout(),
            "file\n"
        );
        let freed = server
            .call(
                "write_file",
                json!({ "path": "kept/file", "content": large }),
            )
            .await;
        assert!(!freed.is_error(), "{}", freed.text());
    }
}

#[tokio::test]
async fn what_a_killed_sandbox_left_behind_is_swept_and_what_is_young_or_not_ours_stays() {
    let server = TestServer::new().start().await;
    let made = server
        .shell(
            "mkdir -p a/b; touch a/.casemate-tmp-00000000000000ff; \
             touch -d '11 minutes ago' a/b/.casemate-tmp-0123456789abcdef a/b/.casemate-tmp-old; \
             ls -A a a/b | wc -l",
        )
        .await;
    assert_eq!(made.exit_code(), 0);
    // A sweep follows the start of the next one.
    kill(&[docker::pid(&server.instance.container())]);
    eventually("a sweep", SOON, async || {
        let seen = server.shell("ls -A a a/b").await;
        seen.stdout() == "a:\n.casemate-tmp-00000000000000ff\nb\n\na/b:\n.casemate-tmp-old\n"
    })
    .await;
}

/// Processor time of PID 1, in the kernel's ticks.
fn cpu_ticks(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("PID 1 runs");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}

#[tokio::test]
async fn a_cancelled_call_stops_its_work_and_others_have_their_turn() {
    let server = TestServer::new().start().await;
    // Each read goes past all of it.
    let make = "yes a long line of text | head -c 1G > large; echo small > small";
    assert_eq!(server.shell_within(make, 60).await.exit_code(), 0);
    let pid = docker::pid(&server.instance.container());
    let read = json!({ "path": "large", "start_line": 1_000_000_000 });
    let before = cpu_ticks(&pid);
    assert!(!server.call("read_file", read.clone()).await.is_error());
    let one = cpu_ticks(&pid) - before;

    let before = cpu_ticks(&pid);
    let mut calls = Vec::new();
    for _ in 0..16 {
        calls.push(server.start_call("read_file", read.clone()).await);
    }
    eventually("they run", SOON, async || cpu_ticks(&pid) > before).await;
    for (id, _) in &calls {
        server.cancel(*id).await;
    }
    assert_eq!(server.read("small").await.text(), "small\n");
    let used = cpu_ticks(&pid) - before;
    assert!(
        used < 8 * one,
        "{used} ticks for 16 cancelled calls of {one} each"
    );
    let still = cpu_ticks(&pid);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let later = cpu_ticks(&pid);
    assert!(later <= still + 2, "it works on: {still}, {later}");
}

#[tokio::test]
async fn every_file_call_of_a_silent_sandbox_ends_at_its_deadline_with_what_is_known() {
    let server = TestServer::new().start().await;
    server.write("file", "old\n").await;
    let pid = docker::pid(&server.instance.container());
    let signal = |name: &str| {
        let kill = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(kill.expect("kill").success());
    };
    signal("STOP");
    let start = Instant::now();
    let calls = [
        (
            "read_file",
            json!({ "path": "file" }),
            "sandbox_unavailable",
        ),
        ("list_files", json!({}), "sandbox_unavailable"),
        (
            "write_file",
            json!({ "path": "over", "content": "whole\n" }),
            "sandbox_unavailable",
        ),
        (
            "write_file",
            json!({ "path": "log", "content": "x\n", "mode": "append" }),
            "uncertain",
        ),
        (
            "edit_file",
            json!({ "path": "file", "old_text": "old", "new_text": "new" }),
            "uncertain",
        ),
    ];
    let calls = calls.map(async |(tool, arguments, code)| {
        let result = server.call(tool, arguments).await;
        assert_eq!(result.code(), code, "{tool}: {}", result.text());
        let changes = ["write_file", "edit_file"].contains(&tool);
        let doubts = result.text().contains("may or may not");
        assert_eq!(doubts, changes, "{tool}: {}", result.text());
        assert!(start.elapsed() < DEADLINE, "{tool}: {:?}", start.elapsed());
    });
    join_all(calls).await;
    signal("CONT");
    // What was given up is whole or was not done.
    let log = server.shell("cat log; cat file over").await;
    let file = server.read("file").await;
    assert!(
        ["old\n", "new\n"]
            .iter()
            .any(|text| file.text().starts_with(text)),
        "{}",
        file.text()
    );
    assert!(log.stdout().matches('x').count() <= 1, "{}", log.stdout());
}
