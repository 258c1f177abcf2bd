//! What a large file costs on its way in and out: bytes a second, the growth of the server,
//! and the cost of small calls of the same user at the same time. Through the library, so
//! without HTTP; this process is the server.
//!
//! ```sh
//! cargo bench --bench transfers -- [MEBIBYTES]
//! ```

#![allow(missing_docs, clippy::print_stdout, clippy::expect_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use casemate::config::{
    Config, Environment as _, MapEnvironment, ProcessEnvironment, SettingsArgs,
};
use casemate::engine::{Engine, locate};
use casemate::sandbox::{Manager, Sandbox, UploadOptions};
use futures_util::{StreamExt as _, stream};
use tokio::runtime::Runtime;

/// What one chunk of an HTTP body may be.
const CHUNK: usize = 64 * 1024;

fn main() {
    let mut mebibytes = std::env::args().filter_map(|argument| argument.parse().ok());
    let size = mebibytes.next_back().unwrap_or(1024_u64) << 20;
    let mut environment = MapEnvironment {
        os_user: "bench".to_owned(),
        ..MapEnvironment::default()
    };
    let instance = format!("bench-transfers-{}", std::process::id());
    let name = ("CASEMATE_INSTANCE".into(), instance.as_str().into());
    environment.variables.extend([name]);
    let config = Config::load(SettingsArgs::default(), &environment).expect("settings");
    let variable = |name: &str| ProcessEnvironment.variable(name)?.into_string().ok();
    let engine = Engine::new(locate(&variable).expect("an engine")).expect("engine");
    Runtime::new().expect("runtime").block_on(async {
        let user = config.user.clone();
        let manager = Manager::new(config, engine);
        let sandbox = manager.sandbox(&user.into());
        sandbox.stat("").await.expect("warm");
        println!(
            "alone: small calls {:?}",
            small_calls(&sandbox, Duration::from_secs(2)).await
        );
        for round in 0..2 {
            println!("round {round}");
            beside(&sandbox, "up", size, upload(&sandbox, size)).await;
            beside(&sandbox, "down", size, download(&sandbox, size)).await;
        }
        manager.close().await;
    });
    let label = format!("label=io.casemate.instance={instance}");
    let script = format!(
        "docker ps -aq --filter {label} | xargs -r docker rm -f; \
         docker volume ls -q --filter {label} | xargs -r docker volume rm -f"
    );
    let removed = std::process::Command::new("sh")
        .args(["-c", &script])
        .output();
    removed.expect("removed");
}

async fn beside(sandbox: &Sandbox, way: &str, size: u64, transfer: impl Future<Output = ()>) {
    let before = resident();
    let start = Instant::now();
    let (calls, most) = {
        let mut took = Vec::new();
        let mut most = before;
        let calls = async {
            loop {
                let start = Instant::now();
                sandbox.stat("").await.expect("a small call");
                took.push(start.elapsed());
                most = most.max(resident());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = transfer => {}
            () = calls => {}
        }
        (took, most)
    };
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let speed = size as f64 / 1e6 / seconds;
    println!(
        "{way}: {speed:.0} MB/s, server +{} KiB, small calls {:?}",
        most.saturating_sub(before),
        quantiles(calls)
    );
}

async fn upload(sandbox: &Sandbox, size: u64) {
    let chunk = Bytes::from(vec![0xa5; CHUNK]);
    let chunks = size / CHUNK as u64;
    let content = stream::iter((0..chunks).map(move |_| Ok(chunk.clone()))).boxed();
    let options = UploadOptions {
        limit: size,
        ..UploadOptions::default()
    };
    let done = sandbox.upload("large", options, content).await;
    assert_eq!(done.expect("uploaded").size, size);
}

async fn download(sandbox: &Sandbox, size: u64) {
    let mut download = sandbox.download("large", 0, None).await.expect("begun");
    let mut read = 0;
    while let Some(chunk) = download.content.next().await {
        read += chunk.expect("content").len() as u64;
    }
    assert_eq!(read, size);
}

async fn small_calls(sandbox: &Sandbox, within: Duration) -> [Duration; 3] {
    let mut took = Vec::new();
    let end = Instant::now() + within;
    while Instant::now() < end {
        let start = Instant::now();
        sandbox.stat("").await.expect("a small call");
        took.push(start.elapsed());
    }
    quantiles(took)
}

/// Median, the 95th of 100, the longest.
fn quantiles(mut took: Vec<Duration>) -> [Duration; 3] {
    took.sort_unstable();
    let at = |share: usize| {
        took.get(took.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    [at(50), at(95), took.last().copied().unwrap_or_default()]
}

/// Of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse().ok()).expect("VmRSS")
}
