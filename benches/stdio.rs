//! The whole server over stdio MCP, beside the plain design (the Engine's own
//! exec and archive API) and the host itself, in one run.
//!
//! ```sh
//! make bench
//! ```

#![allow(missing_docs, clippy::print_stdout, clippy::expect_used)]

#[path = "stdio/median.rs"]
mod median;
#[path = "stdio/plain.rs"]
mod plain;
#[path = "stdio/summary.rs"]
mod summary;
#[path = "../examples/support/mod.rs"]
mod support;

use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use serde_json::{Value, json};
use support::{Session, text};
use tokio::runtime::Runtime;

/// Size of the file that is read and written: 1 KiB.
const SIZE: usize = 1024;

/// What the summary compares.
const ROWS: [summary::Row; 7] = [
    ("shell_exec true", "plain", "25x faster"),
    ("shell_exec true", "host", "at most 1.3x the host's time"),
    ("read_file 1 KiB", "plain", "60x faster"),
    ("write_file 1 KiB", "plain", "60x faster"),
    ("list_files 1 KiB", "plain", "60x faster"),
    ("50 commands at once", "plain", "all in 1 s"),
    ("80 commands by 8 workers", "plain", "30x more a second"),
];

/// Workers that each run one command after the other, and how many.
const WORKERS: usize = 8;
const EACH: usize = 10;

/// Commands at once in one sandbox.
const AT_ONCE: usize = 50;

fn main() {
    let runtime = Runtime::new().expect("runtime");
    let instance = format!("bench-{}", std::process::id());
    let session = runtime
        .block_on(Session::start(&instance, "bench", &[]))
        .expect("session");
    let container = runtime.block_on(ready(&session, &instance));

    let mut criterion = Criterion::default().configure_from_args();
    shell(&mut criterion, &runtime, &session, &container);
    files(&mut criterion, &runtime, &session, &container);
    many(&mut criterion, &runtime, &session, &container);
    workers(&mut criterion, &runtime, &session, &container);
    criterion.final_summary();

    runtime.block_on(session.end()).expect("end");
    plain::remove(&runtime, &container);
    summary::print(&ROWS);
}

async fn ready(session: &Session, instance: &str) -> plain::Container {
    let file = json!({ "path": "file.txt", "content": "x".repeat(SIZE) });
    let written = session.call("write_file", file).await.expect("write_file");
    assert_ne!(written.is_error, Some(true), "{}", text(&written));
    plain::Container::of(instance).await
}

fn shell(
    criterion: &mut Criterion,
    runtime: &Runtime,
    session: &Session,
    container: &plain::Container,
) {
    let mut group = criterion.benchmark_group("shell_exec true");
    group
        .sampling_mode(SamplingMode::Flat)
        .measurement_time(Duration::from_secs(8));
    group.bench_function("host", |bencher| {
        bencher.iter(plain::on_host);
    });
    group.bench_function("casemate", |bencher| {
        bencher
            .iter(|| runtime.block_on(call(session, "shell_exec", json!({ "command": "true" }))));
    });
    group.sample_size(30).bench_function("plain", |bencher| {
        bencher.iter(|| runtime.block_on(container.exec(&["bash", "-c", "true"])));
    });
    group.finish();
}

fn files(
    criterion: &mut Criterion,
    runtime: &Runtime,
    session: &Session,
    container: &plain::Container,
) {
    let content = "x".repeat(SIZE);
    let calls: [(&'static str, Value); 3] = [
        ("read_file", json!({ "path": "file.txt" })),
        (
            "write_file",
            json!({ "path": "file.txt", "content": content }),
        ),
        ("list_files", json!({ "path": "." })),
    ];
    for (tool, arguments) in calls {
        let mut group = criterion.benchmark_group(format!("{tool} 1 KiB"));
        group
            .sampling_mode(SamplingMode::Flat)
            .measurement_time(Duration::from_secs(5));
        group.bench_function("casemate", |bencher| {
            bencher.iter(|| runtime.block_on(call(session, tool, arguments.clone())));
        });
        group.sample_size(30).bench_function("plain", |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    match tool {
                        "read_file" => container.get("/workspace/file.txt").await,
                        "write_file" => {
                            container
                                .put("/workspace", "plain.txt", content.as_bytes())
                                .await
                        }
                        _ => container.exec(&["ls", "-la", "/workspace"]).await,
                    }
                })
            });
        });
        group.finish();
    }
}

fn many(
    criterion: &mut Criterion,
    runtime: &Runtime,
    session: &Session,
    container: &plain::Container,
) {
    let mut group = criterion.benchmark_group(format!("{AT_ONCE} commands at once"));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("casemate", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let calls =
                    (0..AT_ONCE).map(|_| call(session, "shell_exec", json!({ "command": "true" })));
                futures_util::future::join_all(calls).await
            })
        });
    });
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let calls = (0..AT_ONCE).map(|_| container.exec(&["bash", "-c", "true"]));
                futures_util::future::join_all(calls).await
            })
        });
    });
    group.finish();
}

fn workers(
    criterion: &mut Criterion,
    runtime: &Runtime,
    session: &Session,
    container: &plain::Container,
) {
    let name = format!("{} commands by {WORKERS} workers", WORKERS * EACH);
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("casemate", |bencher| {
        bencher.iter(|| {
            let worker = |_| async {
                for _ in 0..EACH {
                    call(session, "shell_exec", json!({ "command": "true" })).await;
                }
            };
            runtime.block_on(futures_util::future::join_all((0..WORKERS).map(worker)))
        });
    });
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            let worker = |_| async {
                for _ in 0..EACH {
                    container.exec(&["bash", "-c", "true"]).await;
                }
            };
            runtime.block_on(futures_util::future::join_all((0..WORKERS).map(worker)))
        });
    });
    group.finish();
}

async fn call(session: &Session, tool: &'static str, arguments: Value) {
    let result = session
        .call(tool, arguments)
        .await
        .expect("the server answers");
    assert_ne!(result.is_error, Some(true), "{}", text(&result));
}
