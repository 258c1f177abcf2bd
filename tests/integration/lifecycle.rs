//! Sandboxes as they come, are shared, go, and are replaced: with several
//! servers, with none, and with an operator who does things by hand.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{CallResult, Instance, Pending, Server, TestServer, docker, eventually};

/// How long something may take that happens by itself.
const SOON: Duration = Duration::from_secs(10);

/// What the sandbox note says of a replacement; both halves must say the same.
fn restarted(result: &CallResult) -> Option<String> {
    let Value::Object(note) = &result.field("sandbox")["restarted"] else {
        assert!(
            !result.text().contains("[sandbox restarted"),
            "only the text says it: {}",
            result.0
        );
        return None;
    };
    let says = |name: &str| {
        note[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name}: {note:?}"))
            .to_owned()
    };
    let (reason, lost, kept) = (says("reason"), says("lost"), says("kept"));
    assert!(
        lost.contains("/tmp") && lost.contains("processes"),
        "{lost}"
    );
    assert_eq!(kept, "/workspace");
    let line = format!("[sandbox restarted: {reason}; lost: {lost}; kept: {kept}]");
    assert!(
        result.text().lines().any(|said| said == line),
        "{line}: {}",
        result.text()
    );
    Some(reason)
}

/// Stays until `name` is gone from the Engine.
async fn until_gone(container: &str) {
    eventually("the container is gone", SOON, async || {
        docker::lines(&["ps", "--all", "--quiet", "--no-trunc"])
            .iter()
            .all(|id| id != container)
    })
    .await;
}

fn bridges(container: &str) -> Vec<String> {
    let processes = docker::top(container).into_iter();
    processes
        .filter(|(_, args)| args.ends_with("casemate-init bridge"))
        .map(|(pid, _)| pid)
        .collect()
}

/// Starts a command that goes on after it has said that it runs, in a file.
async fn start(server: &Server, command: &str) -> Pending {
    let command = json!({ "command": format!("touch runs; {command}"), "timeout_seconds": 60 });
    let (_, pending) = server.start_call("shell_exec", command).await;
    eventually("it runs", SOON, async || {
        !server.read("runs").await.is_error()
    })
    .await;
    pending
}

async fn result(pending: Pending) -> CallResult {
    let answer = pending.answer().await.expect("the server answers");
    CallResult(answer["result"].clone())
}

#[tokio::test]
async fn servers_of_one_user_share_its_container_at_once_and_one_after_the_other() {
    let first = TestServer::new().start().await;
    first.shell("touch /tmp/here").await;
    let (instance, container) = (first.instance.clone(), first.instance.container());
    let second = TestServer::on(&instance).start().await;
    let result = second.shell("ls /tmp; touch /tmp/there").await;
    assert_eq!((result.stdout(), restarted(&result)), ("here\n", None));
    assert_eq!(first.shell("ls /tmp").await.stdout(), "here\nthere\n");
    // Each has what it runs for itself: the end of one is not felt by the other.
    let running = start(&second, "sleep 1; echo end").await;
    assert!(first.end().await.success());
    assert_eq!(self::result(running).await.stdout(), "end\n");
    // One that comes later finds it as it was left.
    assert!(second.end().await.success());
    let third = TestServer::on(&instance).start().await;
    let result = third.shell("ls /tmp").await;
    assert_eq!(
        (result.stdout(), restarted(&result)),
        ("here\nthere\n", None)
    );
    assert_eq!(instance.container(), container);
    // Another user has another.
    let other = TestServer::on(&instance).user("other").start().await;
    assert_eq!(
        other.shell("ls -A /tmp /workspace/runs").await.stdout(),
        "/tmp:\n"
    );
    assert_eq!(instance.containers().len(), 2);
}

#[tokio::test]
async fn servers_that_start_at_the_same_time_make_one_container() {
    let instance = Instance::new();
    let servers = join_all((0..5).map(|_| TestServer::on(&instance).start())).await;
    let calls = servers.iter().enumerate().map(async |(n, server)| {
        let result = server
            .shell(&format!("echo {n} >> /tmp/calls; echo {n}"))
            .await;
        assert_eq!(result.stdout(), format!("{n}\n"), "{}", result.0);
        assert_eq!(restarted(&result), None);
    });
    join_all(calls).await;
    assert_eq!(servers[0].shell("wc -l < /tmp/calls").await.stdout(), "5\n");
    assert_eq!(instance.containers().len(), 1);
    assert_eq!(instance.volumes().len(), 1);
}

#[tokio::test]
async fn listing_the_tools_makes_the_sandbox_ready_unless_that_is_off() {
    let cold = TestServer::new()
        .env("CASEMATE_WARM", "off")
        .user("cold")
        .start()
        .await;
    cold.rpc.request("tools/list", json!({})).await;
    let warm = TestServer::on(&cold.instance).user("warm").start().await;
    warm.rpc.request("tools/list", json!({})).await;
    eventually("a warm sandbox", SOON, async || {
        let containers = warm.instance.containers();
        !containers.is_empty() && !bridges(&containers[0]).is_empty()
    })
    .await;
    // There was time enough for the other, too.
    let container = warm.instance.container();
    assert_eq!(
        docker::inspect("container", &container)["Config"]["Labels"]["io.casemate.user"],
        "warm"
    );
    let result = warm.shell("echo hi").await;
    assert_eq!((result.stdout(), restarted(&result)), ("hi\n", None));
    assert_eq!(warm.instance.container(), container);
}

#[tokio::test]
async fn after_a_container_was_removed_by_hand_the_next_result_says_so_once() {
    let server = TestServer::new().start().await;
    server.shell("echo kept > file; touch /tmp/lost").await;
    let remove = async || {
        docker::output(&["rm", "--force", &server.instance.container()]);
    };
    remove().await;
    let result = server.shell("cat file; ls -A /tmp").await;
    assert_eq!(result.stdout().lines().next(), Some("kept"), "{}", result.0);
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox was killed from outside or for memory")
    );
    assert!(!result.stdout().contains("lost"));
    assert_eq!(restarted(&server.shell("true").await), None);
    // Whatever the next call is.
    remove().await;
    let result = server.list(".").await;
    assert!(restarted(&result).is_some(), "{}", result.0);
    remove().await;
    let result = server.write("file", "new").await;
    assert!(restarted(&result).is_some(), "{}", result.0);
    remove().await;
    let result = server.read("file").await;
    assert!(
        result.0["content"]
            .to_string()
            .contains("[sandbox restarted: "),
        "{}",
        result.0
    );
    assert!(result.text().starts_with("new"), "{}", result.0);
    // Between two calls nobody is told; the next one is, and it works.
    remove().await;
    let result = server
        .call(
            "shell_exec",
            json!({ "command": "true", "cwd": "/nowhere" }),
        )
        .await;
    assert_eq!(result.code(), "bad_cwd");
}

#[tokio::test]
async fn a_command_that_goes_down_with_its_sandbox_is_lost_and_never_run_again() {
    let server = TestServer::new().start().await;
    type End = fn(&str);
    let ends: [(&str, End); 2] = [
        ("PID 1 killed", |container| {
            docker::kill_on_host(&[docker::pid(container)])
        }),
        ("rm --force", |container| {
            docker::quietly(&["rm", "--force", container])
        }),
    ];
    for (n, (how, end)) in ends.into_iter().enumerate() {
        server.shell("rm -f runs").await;
        let running = start(&server, "echo once >> count; sleep 60").await;
        let container = server.instance.container();
        let since = Instant::now();
        end(&container);
        let result = result(running).await;
        assert!(since.elapsed() < SOON, "{how}: {:?}", since.elapsed());
        assert_eq!(result.outcome(), "sandbox_lost", "{how}: {}", result.0);
        assert!(result.is_error());
        assert_eq!(
            (result.exit_code(), result.stdout(), result.stderr()),
            (-1, "", ""),
            "{how}"
        );
        assert!(
            result.text().contains("[sandbox lost]") && result.text().ends_with("[exit code: -1]"),
            "{how}"
        );
        let detail = result.field("detail").as_str().expect("why");
        assert!(
            detail.contains("while the command ran") && result.text().contains(detail),
            "{how}: {detail}"
        );
        let ran = result.field("duration_ms").as_u64().expect("milliseconds");
        assert!((1..10_000).contains(&ran), "{how}: {ran}");
        assert!(restarted(&result).is_some(), "{how}");
        // Nothing of it is run again, and what comes next is not held up.
        let next = server.shell("cat count").await;
        assert_eq!(
            (next.stdout(), restarted(&next)),
            ("once\n".repeat(n + 1).as_str(), None),
            "{how}"
        );
        assert_ne!(server.instance.container(), container, "{how}");
    }
}

#[tokio::test]
async fn a_result_survives_the_bridge_however_often_it_is_killed() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let running = start(&server, "echo once >> count; sleep 2; echo end; exit 3").await;
    for round in 0..3 {
        let standing = bridges(&container);
        assert_eq!(standing.len(), 1, "{round}");
        docker::kill_on_host(&standing);
        eventually("another bridge", SOON, async || {
            bridges(&container)
                .first()
                .is_some_and(|pid| *pid != standing[0])
        })
        .await;
    }
    let result = result(running).await;
    let got = (result.outcome(), result.exit_code(), result.stdout());
    assert_eq!(got, ("exited", 3, "end\n"), "{}", result.0);
    assert_eq!(restarted(&result), None);
    // With nothing running, the next call finds out by itself.
    docker::kill_on_host(&bridges(&container));
    let next = server.shell("cat count").await;
    assert_eq!((next.stdout(), restarted(&next)), ("once\n", None));
    assert_eq!(server.instance.container(), container);
    assert_eq!(bridges(&container).len(), 1);
}

#[tokio::test]
async fn an_idle_container_ends_itself_with_a_server_connected_and_with_none() {
    let mut server = TestServer::new()
        .env("CASEMATE_IDLE_TIMEOUT", "2s")
        .start()
        .await;
    server.shell("echo kept > file; touch /tmp/lost").await;
    until_gone(&server.instance.container()).await;
    assert_eq!(server.instance.containers(), [""; 0]);
    assert_eq!(server.instance.volumes().len(), 1);
    let result = server.shell("cat file; ls -A /tmp").await;
    assert_eq!(result.stdout(), "kept\n");
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox had ended itself after being idle")
    );
    assert_eq!(restarted(&server.shell("true").await), None);
    let container = server.instance.container();
    server.signal("KILL");
    server.wait().await;
    until_gone(&container).await;
}

#[tokio::test]
async fn what_runs_in_the_background_keeps_the_container_until_its_time_is_over() {
    let server = TestServer::new()
        .env("CASEMATE_IDLE_TIMEOUT", "1s")
        .start()
        .await;
    server.shell("(sleep 3; touch ended) &").await;
    let container = server.instance.container();
    until_gone(&container).await;
    assert_eq!(server.shell("ls ended").await.stdout(), "ended\n");
    // What is forgotten there does not keep it for ever.
    let forgetful = TestServer::on(&server.instance).user("forgetful");
    let limits = [
        ("CASEMATE_IDLE_TIMEOUT", "1s"),
        ("CASEMATE_BACKGROUND_TTL", "1s"),
    ];
    let forgetful = limits
        .iter()
        .fold(forgetful, |server, (name, value)| server.env(name, value));
    let forgetful = forgetful.start().await;
    forgetful
        .shell("trap '' TERM; (while :; do sleep 7901; done) &")
        .await;
    let label = [
        "--filter",
        "label=io.casemate.user=forgetful",
        "--filter",
        &server.instance.label(),
    ];
    let listed = docker::lines(&[&["ps", "--quiet", "--no-trunc"], &label[..]].concat());
    assert_eq!(listed.len(), 1);
    until_gone(&listed[0]).await;
}

/// Pauses around an idle timeout of 1 s, in milliseconds: before it, at it, and
/// while the container goes.
const PAUSES: [u64; 7] = [900, 1010, 980, 1100, 1000, 1040, 1020];

/// Calls of one user, by turns through two servers and at times through both.
async fn calls_around_idle_ends(instance: &Instance, user: usize) {
    let server = || TestServer::on(instance).user(&format!("user {user}"));
    let server = || {
        server()
            .env("CASEMATE_IDLE_TIMEOUT", "1s")
            .env("CASEMATE_WARM", "off")
            .start()
    };
    let (first, second) = (server().await, server().await);
    let call = async |server: &Server, n: usize| {
        let result = server.shell(&format!("echo {n} >> count; echo {n}")).await;
        let stdout = &result.0["structuredContent"]["stdout"];
        assert_eq!(
            *stdout,
            format!("{n}\n"),
            "user {user}, call {n}: {}",
            result.0
        );
    };
    let mut n = 0;
    for round in 0..12 {
        match round % 4 {
            0 | 1 => call(&first, n).await,
            2 => call(&second, n).await,
            _ => {
                n += 1;
                tokio::join!(call(&first, n - 1), call(&second, n));
            }
        }
        n += 1;
        // Not to wait for something: it is what happens in between.
        tokio::time::sleep(Duration::from_millis(
            PAUSES[(round + 3 * user) % PAUSES.len()],
        ))
        .await;
    }
    let result = first.shell("sort -n count").await;
    let wanted: Vec<String> = (0..n).map(|n| n.to_string()).collect();
    assert_eq!(
        result.stdout().lines().collect::<Vec<_>>(),
        wanted,
        "user {user}"
    );
}

#[tokio::test]
async fn calls_that_meet_idle_ends_are_all_answered_and_each_is_run_once() {
    let instance = Instance::new();
    join_all((0..4).map(|user| calls_around_idle_ends(&instance, user))).await;
}

/// A container of ours as the Engine shows it: its name, and options that make
/// another with its labels.
fn copied(container: &str) -> (String, Vec<String>) {
    let inspected = docker::inspect("container", container);
    let labels = inspected["Config"]["Labels"].as_object().expect("labels");
    let labels = labels
        .iter()
        .map(|(name, value)| format!("--label={name}={}", value.as_str().expect("text")));
    let name = inspected["Name"]
        .as_str()
        .expect("a name")
        .trim_start_matches('/')
        .to_owned();
    (
        name.clone(),
        [format!("--name={name}")]
            .into_iter()
            .chain(labels)
            .collect(),
    )
}

#[tokio::test]
async fn one_that_its_maker_never_started_or_that_ended_makes_room_after_five_seconds() {
    let instance = Instance::new();
    let meet = async |user: &str, how: &[&str], command: &[&str]| {
        let server = TestServer::on(&instance)
            .user(user)
            .env("CASEMATE_WARM", "off")
            .start()
            .await;
        server.shell("echo kept > file").await;
        let filter = format!("label=io.casemate.user={user}");
        let label = instance.label();
        let container = docker::output(&[
            "ps",
            "--quiet",
            "--no-trunc",
            "--filter",
            &filter,
            "--filter",
            &label,
        ]);
        let (_, options) = copied(&container);
        let image = docker::inspect("container", &container)["Image"]
            .as_str()
            .expect("an image")
            .to_owned();
        docker::output(&["rm", "--force", &container]);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let found = docker::output(&[how, &options, &[&image], command].concat());
        let start = Instant::now();
        let result = server.shell("cat file").await;
        let elapsed = start.elapsed();
        assert_eq!(result.stdout(), "kept\n", "{user}: {}", result.0);
        assert!(
            (Duration::from_secs(4)..Duration::from_secs(15)).contains(&elapsed),
            "{user}: {elapsed:?}"
        );
        let listed = docker::lines(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]);
        assert!(!listed.contains(&found), "{user}");
    };
    tokio::join!(
        meet("never started", &["create"], &["true"]),
        meet(
            "exited",
            &["run", "--detach", "--entrypoint=/bin/sh"],
            &["-c", "exit 3"]
        ),
    );
    assert_eq!(instance.containers().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_makes_the_container_leaves_no_trouble() {
    let instance = Instance::new();
    let meet = async |delay: u64| {
        let server = || {
            TestServer::on(&instance)
                .user(&format!("user {delay}"))
                .start()
        };
        let mut first = server().await;
        let (_, pending) = first
            .start_call("shell_exec", json!({ "command": "sleep 7951" }))
            .await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        first.signal("KILL");
        first.wait().await;
        drop(pending);
        let start = Instant::now();
        let result = server().await.shell("echo fine").await;
        assert_eq!(result.stdout(), "fine\n", "{delay} ms: {}", result.0);
        assert!(
            start.elapsed() < Duration::from_secs(15),
            "{delay} ms: {:?}",
            start.elapsed()
        );
    };
    join_all([20, 60, 120, 200, 300, 450].map(meet)).await;
    // A server that was killed between two calls leaves what gave the volume its owner: it never
    // ran, and the clean-up removes it a minute later.
    let label = instance.label();
    let ps = |more: &[&str]| {
        let all = ["ps", "--all", "--format={{.Names}}", "--filter", &label];
        docker::lines(&[&all[..], more].concat())
    };
    assert_eq!(ps(&["--filter", "status=running"]).len(), 6);
    let idle = ps(&["--filter", "status=created"]);
    assert!(idle.iter().all(|name| name.contains("-owner-")), "{idle:?}");
    assert_eq!(ps(&[]).len(), 6 + idle.len());
}

/// Where the kernel shows the sandbox's memory limit, in either version of
/// cgroups.
const MEMORY: &str = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2> /dev/null";

/// The limit that a command meets, in MiB.
async fn memory(server: &Server) -> (u64, CallResult) {
    let result = server.shell(MEMORY).await;
    let limit = result
        .stdout()
        .lines()
        .next()
        .and_then(|line| line.parse::<u64>().ok());
    (
        limit.unwrap_or_else(|| panic!("no limit: {}", result.0)) >> 20,
        result,
    )
}

/// What is said of other settings; both halves must say it.
fn other_settings(result: &CallResult) -> bool {
    let said = result.field("sandbox")["other_settings"] == true;
    assert_eq!(
        said,
        result.text().contains("other settings"),
        "{}",
        result.0
    );
    said
}

#[tokio::test]
async fn of_two_settings_those_of_the_later_server_hold_and_nobody_replaces_back() {
    let older = TestServer::new()
        .env("CASEMATE_MEMORY", "300m")
        .start()
        .await;
    assert_eq!(memory(&older).await.0, 300);
    let first = older.instance.container();
    let newer = TestServer::on(&older.instance)
        .env("CASEMATE_MEMORY", "200m")
        .start()
        .await;
    let (limit, result) = memory(&newer).await;
    assert_eq!(limit, 200);
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox was asked to end, for newer settings, for room or by the operator")
    );
    let second = older.instance.container();
    assert_ne!(first, second);
    // The older one takes it as it is, and so it stays.
    let (limit, result) = memory(&older).await;
    assert_eq!(limit, 200);
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox was asked to end, for newer settings, for room or by the operator")
    );
    for server in [&newer, &older, &newer, &older] {
        let (limit, result) = memory(server).await;
        assert_eq!(
            (limit, restarted(&result), other_settings(&result)),
            (200, None, false)
        );
    }
    assert_eq!(older.instance.container(), second);
    // A busy one is used as it is, which is said once.
    let running = start(&older, "sleep 2; echo end").await;
    let newest = TestServer::on(&older.instance)
        .env("CASEMATE_MEMORY", "100m")
        .start()
        .await;
    let (limit, result) = memory(&newest).await;
    assert_eq!(
        (limit, restarted(&result), other_settings(&result)),
        (200, None, true)
    );
    let (limit, result) = memory(&newest).await;
    assert_eq!(
        (limit, restarted(&result), other_settings(&result)),
        (200, None, false)
    );
    assert_eq!(self::result(running).await.stdout(), "end\n");
    assert_eq!(older.instance.container(), second);
}

#[tokio::test]
async fn a_container_of_ours_that_is_weaker_is_never_used() {
    let server = TestServer::new().start().await;
    server.shell("echo kept > file").await;
    let (name, options) = copied(&server.instance.container());
    let inspected = docker::inspect("container", &name);
    let entrypoint = inspected["Config"]["Entrypoint"]
        .as_array()
        .expect("an entrypoint");
    let entrypoint: Vec<&str> = entrypoint
        .iter()
        .map(|part| part.as_str().expect("text"))
        .collect();
    let image = inspected["Image"].as_str().expect("an image");
    let volume = format!("--volume={name}:/workspace");
    let uid = server.instance.uid();
    let user = format!("--user={uid}:{uid}");
    for weaker in [
        &[user.as_str()][..],
        &[&user, "--cap-drop=ALL"],
        &["--cap-drop=ALL"],
    ] {
        docker::output(&["rm", "--force", &name]);
        let run = [
            "run",
            "--detach",
            "--rm",
            "--network=none",
            &volume,
            "--entrypoint",
            entrypoint[0],
        ];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let found = docker::output(&[&run, weaker, &options, &[image], &entrypoint[1..]].concat());
        let result = server
            .shell("cat file; grep -E '^(CapBnd|NoNewPrivs|Uid)' /proc/self/status")
            .await;
        let ids = [&*uid; 4].join("\t");
        let seen = format!("kept\nUid:\t{ids}\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n");
        assert_eq!(result.stdout(), seen, "{weaker:?}: {}", result.0);
        assert_ne!(server.instance.container(), found, "{weaker:?}");
    }
}

#[tokio::test]
async fn a_busy_container_that_was_made_weaker_is_left_alone_and_not_used() {
    let server = TestServer::new().start().await;
    let running = start(&server, "sleep 3; echo end").await;
    let container = server.instance.container();
    docker::output(&["update", "--pids-limit", "-1", &container]);
    let strict = TestServer::on(&server.instance).start().await;
    let result = strict.shell("touch used").await;
    assert!(result.is_error(), "{}", result.0);
    assert_eq!(result.code(), "sandbox_unavailable", "{}", result.text());
    assert!(result.text().contains("PidsLimit"), "{}", result.text());
    // What runs there is not its to end. When it has ended, there is room.
    assert_eq!(self::result(running).await.stdout(), "end\n");
    eventually("a new container", SOON, async || {
        !strict.shell("ls -A used").await.is_error()
    })
    .await;
    assert_eq!(strict.shell("ls -A used 2> /dev/null").await.stdout(), "");
    assert_ne!(server.instance.container(), container);
}

#[tokio::test]
async fn without_its_image_a_call_says_so_and_with_it_again_the_next_one_works() {
    let kept = docker::Image::from_tools("true", &[]);
    let image = docker::Image(kept.name().replace(":latest", ":gone"));
    docker::output(&["tag", kept.name(), image.name()]);
    let server = TestServer::new().image(image.name()).start().await;
    server.shell("echo kept > file").await;
    docker::output(&["rmi", image.name()]);
    docker::output(&["rm", "--force", &server.instance.container()]);
    for _ in 0..2 {
        let result = server.shell("cat file").await;
        assert!(result.is_error(), "{}", result.0);
        assert_eq!(result.code(), "image_missing", "{}", result.text());
        assert!(result.text().contains(image.name()), "{}", result.text());
    }
    assert_eq!(server.instance.containers(), [""; 0]);
    docker::output(&["tag", kept.name(), image.name()]);
    let result = server.shell("cat file").await;
    assert_eq!(result.stdout(), "kept\n");
    assert!(restarted(&result).is_some(), "{}", result.0);
}
