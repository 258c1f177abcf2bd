//! Calls at the pace of a person and a model over stdio MCP: one every two seconds in
//! ephemeral mode, beside the plain design (create a container, run, remove it); and
//! the first call of a conversation, beside a later one.
//!
//! ```sh
//! make bench
//! ```

#![allow(missing_docs, clippy::print_stdout, clippy::expect_used)]

#[path = "stdio/median.rs"]
mod median;
#[path = "stdio/summary.rs"]
mod summary;
#[path = "../examples/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    WaitContainerOptions,
};
use criterion::{Criterion, SamplingMode};
use futures_util::StreamExt as _;
use serde_json::json;
use support::{Session, text};
use tokio::runtime::Runtime;

/// Between two calls.
const PACE: Duration = Duration::from_secs(2);

/// Criterion's smallest.
const SAMPLES: usize = 10;

/// From a client's first question for the tools to its first call.
const THOUGHT: Duration = Duration::from_secs(1);

const EPHEMERAL: &str = "ephemeral, every 2 s";
const FIRST: &str = "first call, 1 s after tools/list";

fn main() {
    let runtime = Runtime::new().expect("runtime");
    let instance = format!("bench-{}", std::process::id());
    let mut criterion = Criterion::default().configure_from_args();
    ephemeral(&mut criterion, &runtime, &instance);
    first(&mut criterion, &runtime, &instance);
    criterion.final_summary();
    remove(&instance);
    summary::print(&[
        (EPHEMERAL, "plain", "20x faster"),
        (FIRST, "warm", "as fast"),
    ]);
}

fn ephemeral(criterion: &mut Criterion, runtime: &Runtime, instance: &str) {
    let flags = ["--mode", "ephemeral"];
    let session = runtime
        .block_on(Session::start(instance, "bench", &flags))
        .expect("session");
    let docker = Docker::connect_with_defaults().expect("docker");
    // The image is prepared, and a spare waits.
    runtime.block_on(call(&session));
    let mut group = criterion.benchmark_group(EPHEMERAL);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(SAMPLES)
        .warm_up_time(PACE)
        .measurement_time(PACE * 20);
    group.bench_function("casemate", |bencher| {
        bencher.iter_custom(|count| {
            runtime.block_on(async {
                let mut time = Duration::ZERO;
                for _ in 0..count {
                    tokio::time::sleep(PACE).await;
                    time += timed(&session).await;
                }
                time
            })
        });
    });
    group.bench_function("plain", |bencher| {
        bencher.iter(|| runtime.block_on(create_run_remove(&docker)));
    });
    group.finish();
    runtime.block_on(session.end()).expect("end");
}

fn first(criterion: &mut Criterion, runtime: &Runtime, instance: &str) {
    let mut group = criterion.benchmark_group(FIRST);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(SAMPLES)
        .warm_up_time(PACE)
        .measurement_time(PACE * 20);
    let mut users = 0;
    group.bench_function("casemate", |bencher| {
        bencher.iter_custom(|count| {
            let mut time = Duration::ZERO;
            for _ in 0..count {
                users += 1;
                time += runtime.block_on(first_call(instance, &format!("first{users}")));
            }
            time
        });
    });
    let session = runtime
        .block_on(Session::start(instance, "first1", &[]))
        .expect("session");
    runtime.block_on(call(&session));
    group.bench_function("warm", |bencher| {
        bencher.iter(|| runtime.block_on(call(&session)));
    });
    group.finish();
    runtime.block_on(session.end()).expect("end");
}

/// Of a user who has no container yet.
async fn first_call(instance: &str, user: &str) -> Duration {
    let session = Session::start(instance, user, &[]).await.expect("session");
    session.tools().await.expect("the tools");
    tokio::time::sleep(THOUGHT).await;
    let time = timed(&session).await;
    session.end().await.expect("end");
    time
}

async fn timed(session: &Session) -> Duration {
    let start = Instant::now();
    call(session).await;
    start.elapsed()
}

/// All containers and volumes. Those of ephemeral mode end with their server, a moment
/// later.
fn remove(instance: &str) {
    let label = format!("label=io.casemate.instance={instance}");
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(args).output();
        String::from_utf8_lossy(&output.expect("docker").stdout).into_owned()
    };
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        let filter = ["--quiet", "--filter", label.as_str()];
        for id in docker(&[&["ps", "--all"], &filter[..]].concat()).lines() {
            docker(&["rm", "--force", id]);
        }
        let volumes = docker(&[&["volume", "ls"], &filter[..]].concat());
        if volumes.is_empty() {
            return;
        }
        for volume in volumes.lines() {
            docker(&["volume", "rm", volume]);
        }
    }
}

async fn call(session: &Session) {
    let arguments = json!({ "command": "true" });
    let result = session.call("shell_exec", arguments).await;
    let result = result.expect("the server answers");
    assert_ne!(result.is_error, Some(true), "{}", text(&result));
}

/// What the plain design does for each call, at its best: no volume, no hardening.
async fn create_run_remove(docker: &Docker) {
    let body = ContainerCreateBody {
        image: Some("casemate-tools:latest".to_owned()),
        cmd: Some(["bash", "-c", "true"].map(str::to_owned).into()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let created = docker.create_container(None::<CreateContainerOptions>, body);
    let id = created.await.expect("create").id;
    let started = docker.start_container(&id, None::<StartContainerOptions>);
    started.await.expect("start");
    let mut ended = docker.wait_container(&id, None::<WaitContainerOptions>);
    let ended = ended.next().await.expect("an answer").expect("it ends");
    assert_eq!(ended.status_code, 0);
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    let removed = docker.remove_container(&id, Some(force));
    removed.await.expect("remove");
}
