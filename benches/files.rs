//! What a page of a file or a directory costs over stdio MCP, by the size of what
//! it is a page of.
//!
//! The first lines of a file cost themselves and the counting of the lines after
//! them, for 64 MiB at the most. Lines far down cost the reading of all before
//! them, to count them. A page of a directory costs the reading of all its names,
//! because the kernel has them in no order, and one `stat` for each entry that is
//! shown. A directory that cannot hold a match of the pattern costs nothing.
//!
//! ```sh
//! make bench
//! ```

#![allow(missing_docs, clippy::print_stdout, clippy::expect_used)]

#[path = "stdio/median.rs"]
mod median;
#[path = "stdio/plain.rs"]
#[allow(dead_code, reason = "used here to find the container and remove it")]
mod plain;
#[path = "../examples/support/mod.rs"]
mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, SamplingMode};
use serde_json::{Value, json};
use support::{Session, text};
use tokio::runtime::Runtime;

/// Files of lines of 16 bytes, and directories of empty files.
const MAKE: &str = r#"
import os
line = "fifteen letters\n"
for name, size in ("1KiB", 1 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20), ("1GiB", 1 << 30):
    with open(name, "w") as file:
        for _ in range(max(1, size >> 20)):
            file.write(line * (min(size, 1 << 20) // len(line)))
for count in 10, 1_000, 100_000:
    os.mkdir(str(count))
    for number in range(count):
        open(f"{count}/{number:06}", "w").close()
"#;

/// A group, and its calls: a name, the tool and its arguments.
type Group = (&'static str, Vec<(&'static str, &'static str, Value)>);

fn main() {
    let runtime = Runtime::new().expect("runtime");
    let instance = format!("bench-files-{}", std::process::id());
    let session = runtime
        .block_on(Session::start(&instance, "bench", &[]))
        .expect("session");
    runtime.block_on(make(&session));
    let container = runtime.block_on(plain::Container::of(&instance));

    let groups = [reads(), far_reads(), writes(), lists(), far_lists()];
    let mut criterion = Criterion::default().configure_from_args();
    for group in &groups {
        measure(&mut criterion, &runtime, &session, group);
    }
    criterion.final_summary();

    runtime.block_on(session.end()).expect("end");
    plain::remove(&runtime, &container);
    print(&groups);
}

async fn make(session: &Session) {
    let script = json!({ "path": "make.py", "content": MAKE });
    call(session, "write_file", script).await;
    let run = json!({
        "command": "python3 make.py && rm make.py",
        "timeout_seconds": 600,
        "wait_seconds": 600,
    });
    let made = session.call("shell_exec", run).await.expect("an answer");
    let outcome = made.structured_content.expect("an outcome");
    assert_eq!(outcome["exit_code"], 0, "{outcome}");
}

fn reads() -> Group {
    let of = |size| (size, "read_file", json!({ "path": size }));
    let calls = ["1KiB", "64KiB", "1MiB", "1GiB"].map(of);
    ("first lines of a file", calls.to_vec())
}

fn far_reads() -> Group {
    let of = |size, start_line: u32| {
        let last = json!({ "path": size, "start_line": start_line });
        (size, "read_file", last)
    };
    let calls = [
        of("64KiB", (64 << 10) / 16 - 9),
        of("1MiB", (1 << 20) / 16 - 9),
        of("1GiB", (1 << 30) / 16 - 9),
    ];
    ("last 10 lines of a file", calls.to_vec())
}

fn writes() -> Group {
    let of = |(size, bytes): (_, usize)| {
        let content = "fifteen letters\n".repeat(bytes / 16);
        let arguments = json!({ "path": "written", "content": content });
        (size, "write_file", arguments)
    };
    let sizes = [("1KiB", 1 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
    ("write a file", sizes.map(of).to_vec())
}

fn lists() -> Group {
    let of = |count| (count, "list_files", json!({ "path": count }));
    let calls = ["10", "1000", "100000"].map(of);
    ("first 500 of a directory", calls.to_vec())
}

fn far_lists() -> Group {
    let last = URL_SAFE_NO_PAD.encode("100000/099499");
    let calls = [
        ("last 500", json!({ "path": "100000", "cursor": last })),
        (
            "10 by pattern",
            json!({ "path": "100000", "pattern": "*9999?" }),
        ),
        ("pattern elsewhere", json!({ "pattern": "10/*" })),
    ];
    let calls = calls.map(|(name, arguments)| (name, "list_files", arguments));
    ("others of 100,000", calls.to_vec())
}

fn measure(criterion: &mut Criterion, runtime: &Runtime, session: &Session, group: &Group) {
    let (name, calls) = group;
    let mut measured = criterion.benchmark_group(*name);
    measured
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    for (what, tool, arguments) in calls {
        measured.bench_function(*what, |bencher| {
            bencher.iter(|| runtime.block_on(call(session, tool, arguments.clone())));
        });
    }
    measured.finish();
}

async fn call(session: &Session, tool: &'static str, arguments: Value) {
    let result = session
        .call(tool, arguments)
        .await
        .expect("the server answers");
    assert_ne!(result.is_error, Some(true), "{}", text(&result));
}

/// One line a call, with its ratio to the first of its group.
fn print(groups: &[Group]) {
    println!("\n{:<28} {:<22} {:>12}", "page", "of", "median");
    for (group, calls) in groups {
        let medians: Vec<_> = calls
            .iter()
            .filter_map(|(what, ..)| Some((what, median::median(group, what)?)))
            .collect();
        for (what, nanos) in &medians {
            let ratio = nanos / medians[0].1;
            println!(
                "{group:<28} {what:<22} {:>12} {ratio:>8.1}x",
                median::millis(*nanos)
            );
        }
    }
}
