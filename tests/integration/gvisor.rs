//! The profile `high` on gVisor. Where the Engine does not have a runtime `runsc` only its refusal is
//! tested; `scripts/engine-lab` brings one that has (28.5-gvisor), and one whose runsc is too old
//! (26.1-gvisor).

mod memory;

use std::time::Duration;

use serde_json::json;

use crate::harness::{CallResult, Instance, Server, TestServer, docker, eventually, not_run};

/// What a hostile program tries.
const ATTACKS: &str = include_str!("gvisor/attacks.py");

/// What an error names where the runtime lacks something.
const REFUSAL: &str = "the container's kernel does not protect";

/// A server whose sandboxes run on gVisor, and its first call; `None`: there is none here.
async fn high(server: TestServer) -> Option<(Server, CallResult)> {
    let runtimes = docker::output(&["info", "--format", "{{json .Runtimes}}"]);
    if !runtimes.contains("\"runsc\"") {
        not_run("the Engine has no runtime runsc");
        return None;
    }
    let server = server.env("CASEMATE_PROFILE", "high").start().await;
    let first = server.shell("cat /proc/version").await;
    Some((server, first))
}

/// As [`high`], where the runtime has all that a sandbox needs.
async fn on_gvisor(server: TestServer) -> Option<Server> {
    let (server, first) = high(server).await?;
    if first.is_error() && first.text().contains(REFUSAL) {
        not_run("this runsc is refused, as another test proves");
        return None;
    }
    assert!(first.stdout().contains("gvisor"), "{}", first.0);
    Some(server)
}

#[tokio::test]
async fn a_runsc_that_lacks_something_is_refused_by_name_and_leaves_nothing_that_runs() {
    let Some((server, first)) = high(TestServer::new()).await else {
        return;
    };
    if !first.is_error() {
        return not_run("this runsc lacks nothing");
    }
    assert_eq!(first.code(), "sandbox_unavailable", "{}", first.0);
    for part in [REFUSAL, "pidfds", "install a newer runsc"] {
        assert!(first.text().contains(part), "{part}: {}", first.0);
    }
    let again = server.write("a", "b").await;
    assert!(again.text().contains(REFUSAL), "{}", again.0);
    let within = Duration::from_secs(30);
    eventually("its containers end", within, async || {
        server.instance.containers().is_empty()
    })
    .await;
}

/// Root of that kernel would be root of the host.
#[tokio::test]
async fn a_runtime_whose_kernel_is_the_hosts_is_refused() {
    if docker::is_podman() {
        return not_run("Podman has no choice of runtimes");
    }
    let server = TestServer::new()
        .env("CASEMATE_PROFILE", "high")
        .env("CASEMATE_RUNTIME", "runc");
    let server = server.start().await;
    let first = server.shell("id").await;
    assert_eq!(first.code(), "sandbox_unavailable", "{}", first.0);
    let said = format!("{REFUSAL} the host's kernel from");
    assert!(first.text().contains(&said), "{}", first.0);
    let within = Duration::from_secs(30);
    eventually("its containers end", within, async || {
        server.instance.containers().is_empty()
    })
    .await;
}

#[tokio::test]
async fn without_the_runtime_no_server_starts_and_the_error_says_what_to_do() {
    let instance = Instance::new();
    let mut command = instance.command(&["serve"]);
    let output = command
        .env("CASEMATE_PROFILE", "high")
        .env("CASEMATE_RUNTIME", "runsc-that-is-not-there")
        .output()
        .expect("it ran");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("runsc-that-is-not-there"), "{said}");
    assert!(
        said.contains("install") || said.contains("Podman"),
        "{said}"
    );
    assert_eq!(instance.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_sandbox_of_the_profile_high_is_gvisors_and_its_code_is_the_user_without_capabilities() {
    let Some(server) = on_gvisor(TestServer::new()).await else {
        return;
    };
    let id = server.instance.container();
    let stored = docker::inspect("container", &id);
    assert_eq!(stored["HostConfig"]["Runtime"], "runsc");
    assert_eq!(stored["HostConfig"]["NetworkMode"], "none");
    let uid = server.instance.uid();
    let ids = server.shell("id -u; id -g; id -G; umask").await;
    let expected = format!("{uid}\n{uid}\n{uid}\n0022\n");
    assert_eq!(ids.stdout(), expected);
    let status = server
        .shell("grep -E '^(Uid|Gid|Cap|NoNewPrivs|Seccomp)' /proc/self/status | tr -s '\\t ' ' '")
        .await;
    let four = [uid.as_str(); 4].join(" ");
    for line in [
        &format!("Uid: {four}"),
        &format!("Gid: {four}"),
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ] {
        let stdout = status.stdout();
        assert!(stdout.lines().any(|it| it == line), "{line}: {stdout}");
    }
    // What the file tools write is the user's, too, and they write what is the user's.
    for content in ["1", "2"] {
        let written = server.write("a", content).await;
        assert_eq!(written.code(), "", "{}", written.0);
    }
    let owner = server.shell("stat -c %u a; cat a; chmod 400 a").await;
    assert_eq!(owner.stdout(), format!("{uid}\n2"));
    // As the user, and not as PID 1's real one.
    assert_eq!(server.write("a", "3").await.code(), "permission_denied");
}

#[tokio::test]
async fn nothing_that_the_users_code_does_reaches_pid_1_or_a_supervisor() {
    let Some(server) = on_gvisor(TestServer::new()).await else {
        return;
    };
    let before = server.instance.container();
    let arguments = json!({ "command": "python3 -", "stdin": ATTACKS, "timeout_seconds": 60 });
    let attacked = server.call("shell_exec", arguments).await;
    let said = attacked.stdout();
    assert!(said.contains("succeeded []"), "{}", attacked.0);
    // Without a supervisor and PID 1's threads it would prove little.
    assert!(!said.contains("targets 1 "), "{said}");
    assert!(!said.contains("threads 1\n"), "{said}");
    let next = server.shell("echo whole").await;
    assert_eq!(next.stdout(), "whole\n");
    assert_eq!(server.instance.container(), before, "PID 1 lives");
}

#[tokio::test]
async fn a_fork_bomb_meets_the_limit_of_processes_and_the_sandbox_lives() {
    let server = TestServer::new()
        .env("CASEMATE_PIDS", "64")
        .env("CASEMATE_MEMORY", "1g");
    let Some(server) = on_gvisor(server).await else {
        return;
    };
    let before = server.instance.container();
    let bomb = "python3 -c 'import os, time\nforked = 0\ntry:\n while forked < 400:\n  \
                if os.fork() == 0: time.sleep(60); os._exit(0)\n  forked += 1\n\
                except OSError as error: print(forked, error.strerror)'";
    let result = server.shell(bomb).await;
    let (forked, why) = result.stdout().trim().split_once(' ').expect("two words");
    // The command's own process counts as PID 1's user's, under which it was forked.
    assert!(
        forked
            .parse::<u32>()
            .is_ok_and(|it| (60..=64).contains(&it)),
        "{}",
        result.0
    );
    assert_eq!(why, "Resource temporarily unavailable");
    assert_eq!(server.shell("echo next").await.stdout(), "next\n");
    assert_eq!(server.instance.container(), before);
}
