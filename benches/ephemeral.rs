//! Ephemeral mode over stdio MCP, one command every two seconds, as a person and a
//! model work, beside the plain design: create a container, run, remove it.
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

const GROUP: &str = "ephemeral, every 2 s";

fn main() {
    let runtime = Runtime::new().expect("runtime");
    let instance = format!("bench-{}", std::process::id());
    let flags = ["--mode", "ephemeral"];
    let session = runtime
        .block_on(Session::start(&instance, "bench", &flags))
        .expect("session");
    let docker = Docker::connect_with_defaults().expect("docker");
    // The image is prepared, and a spare waits.
    runtime.block_on(call(&session));

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group(GROUP);
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
                    let start = Instant::now();
                    call(&session).await;
                    time += start.elapsed();
                }
                time
            })
        });
    });
    group.bench_function("plain", |bencher| {
        bencher.iter(|| runtime.block_on(create_run_remove(&docker)));
    });
    group.finish();
    criterion.final_summary();

    runtime.block_on(session.end()).expect("end");
    let volume = std::process::Command::new("docker")
        .args(["volume", "ls", "--quiet", "--filter"])
        .arg(format!("label=io.casemate.instance={instance}"))
        .output()
        .expect("docker");
    let name = String::from_utf8_lossy(&volume.stdout).trim().to_owned();
    remove_volume(&name);
    summary::print(&[(GROUP, "plain", "20x faster")]);
}

/// Its containers end with the server, a moment later.
fn remove_volume(name: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let removed = std::process::Command::new("docker")
            .args(["volume", "rm", name])
            .output();
        if removed.is_ok_and(|removed| removed.status.success()) {
            return;
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
