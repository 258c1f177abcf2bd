//! A thousand calls of one user through two servers, at the moments when the container ends
//! because it was idle for a second: no call is lost, each runs once, and there is never more
//! than one container.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::harness::{Instance, Server, TestServer, docker};

/// Pauses between bursts, in milliseconds: before the idle end, at it, and while the container
/// ends.
const PAUSES: [u64; 10] = [900, 1000, 1020, 980, 1040, 1100, 1010, 990, 1060, 1030];

/// Calls of one burst, through both servers by turns: 1,000 in all.
const BURST: usize = 100;

/// One of the calls, of which every fourth writes a file and the others run a command.
async fn call(server: &Server, n: usize) {
    if n % 4 == 3 {
        let written = server.write(&format!("files/{n}"), &n.to_string()).await;
        assert!(!written.is_error(), "call {n}: {}", written.0);
    } else {
        let result = server.shell(&format!("echo {n} >> count; echo {n}")).await;
        assert_eq!(result.outcome(), "exited", "call {n}: {}", result.0);
        assert_eq!(result.stdout(), format!("{n}\n"), "call {n}: {}", result.0);
    }
}

/// Collects the user's containers until it is dropped, and asserts that there are never two at
/// once.
async fn watch(instance: &Instance, seen: &mut HashSet<String>) {
    loop {
        let label = instance.label();
        let list = ["ps", "--quiet", "--no-trunc", "--filter", &label];
        let running = docker::lines(&list);
        assert!(running.len() <= 1, "containers of one user: {running:?}");
        seen.extend(running);
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_thousand_calls_through_two_servers_around_idle_ends_are_each_run_once() {
    let instance = Instance::new();
    let server = TestServer::on(&instance)
        .env("CASEMATE_IDLE_TIMEOUT", "1s")
        .env("CASEMATE_WARM", "off");
    let servers = [server.clone().start().await, server.start().await];
    let mut seen = HashSet::new();
    let calls = async {
        for (round, pause) in PAUSES.into_iter().enumerate() {
            let burst = (0..BURST).map(|n| call(&servers[n % 2], round * BURST + n));
            join_all(burst).await;
            // A fixed pause on purpose: the container may end in it.
            sleep(Duration::from_millis(pause)).await;
        }
    };
    tokio::select! {
        () = calls => {}
        () = watch(&instance, &mut seen) => {}
    }
    let count = servers[0].shell("sort -n count; ls files | sort -n").await;
    let found: Vec<usize> = count
        .stdout()
        .lines()
        .map(|n| n.parse().expect("a number"))
        .collect();
    let all: BTreeSet<usize> = found.iter().copied().collect();
    assert_eq!(found.len(), all.len(), "a call was run twice");
    assert!(all.into_iter().eq(0..PAUSES.len() * BURST), "{}", count.0);
    assert!(seen.len() > PAUSES.len() / 3, "idle ends: {}", seen.len());
    eprintln!("{} containers, one after the other", seen.len());
}
