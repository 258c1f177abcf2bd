//! Links, and directories that are exchanged during a call: nothing outside the workspace is
//! read, listed or written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{CallResult, Server, TestServer};

/// The answers of the tools for a path.
async fn answers(server: &Server, path: &str) -> [(CallResult, &'static str); 3] {
    [
        (server.read(path).await, "read"),
        (server.list(path).await, "list"),
        (server.write(path, "planted").await, "write"),
    ]
}

/// Paths through links that lead out of the workspace, or nowhere.
const LEADING_OUT: [&str; 24] = [
    "absolute",
    "a/b/relative",
    "top",
    "dots",
    "directory",
    "directory/file",
    "directory/new",
    "chain",
    "chain2",
    "dangling",
    "beside",
    "root",
    "pid1",
    "cwd",
    "cwd/l0",
    "fd",
    "exe",
    "thread/l0",
    "stdin",
    "self",
    "self/x",
    "ping",
    "pong",
    "l41",
];

#[tokio::test]
async fn links_of_every_kind_out_of_the_workspace_are_refused_by_every_tool() {
    let server = TestServer::new().start().await;
    let make = "mkdir -p a/b /tmp/out; echo canary > /tmp/out/file; \
        ln -s /tmp/out/file absolute; ln -s ../../../../tmp/out/file a/b/relative; \
        ln -s ../tmp/out/file top; ln -s /workspace/../tmp/out/file dots; \
        ln -s /tmp/out directory; ln -s absolute chain; ln -s a/b/relative chain2; \
        ln -s /tmp/out/none dangling; ln -s /workspace-evil/file beside; \
        ln -s /proc/self/root/tmp/out/file root; ln -s /proc/1/root/tmp/out/file pid1; \
        ln -s /proc/self/cwd cwd; ln -s /proc/self/fd/0 fd; ln -s /proc/self/exe exe; \
        ln -s /proc/thread-self/root/workspace thread; ln -s /dev/stdin stdin; \
        ln -s self self; ln -s pong ping; ln -s /workspace/ping pong; \
        echo end > l0; for i in $(seq 41); do ln -s l$((i-1)) l$i; done";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    for path in LEADING_OUT {
        for (result, tool) in answers(&server, path).await {
            assert_eq!(
                result.code(),
                "outside_workspace",
                "{tool} {path}: {}",
                result.0
            );
            assert!(!result.text().contains("canary"), "{tool} {path}");
        }
    }
    assert_eq!(server.read("l40").await.text(), "end\n");
    let outside = server
        .shell("cat /tmp/out/file; ls -A /tmp /tmp/out; ls / | grep evil")
        .await;
    assert_eq!(outside.stdout(), "canary\n/tmp:\nout\n\n/tmp/out:\nfile\n");
    // The target of a link is shown, not its content.
    let listed = server.list(".").await;
    assert!(
        listed.text().contains("absolute -> /tmp/out/file"),
        "{}",
        listed.text()
    );
}

#[tokio::test]
async fn links_inside_the_workspace_work_for_every_tool() {
    let server = TestServer::new().start().await;
    let make = "mkdir -p a/b; echo inside > a/b/file; ln -s /workspace/a/b absolute; \
        ln -s /workspace/ whole; ln -s //workspace//./a/../a slashes; ln -s ../b a/b/again; \
        ln -s a/b/ trailing; ln -s /workspace/a/b/file file; ln -s /workspace/a/b/made dangling";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    for path in [
        "absolute/file",
        "whole/a/b/file",
        "whole/whole/absolute/again/file",
        "slashes/b/file",
        "a/b/again/again/file",
        "trailing/file",
        "file",
    ] {
        assert_eq!(server.read(path).await.text(), "inside\n", "{path}");
    }
    for path in ["absolute", "slashes/b", "trailing", "a/b/again"] {
        let listed = server.list(path).await;
        assert!(
            listed.text().contains("/file") && !listed.is_error(),
            "{path}: {}",
            listed.0
        );
    }
    server.write("whole/absolute/file", "changed\n").await;
    assert_eq!(server.read("a/b/file").await.text(), "changed\n");
    server.write("dangling", "made\n").await;
    let made = server.shell("cat a/b/made; readlink dangling file").await;
    assert_eq!(
        made.stdout(),
        "made\n/workspace/a/b/made\n/workspace/a/b/file\n"
    );
}

/// Exchanges directories and files with links that lead out, as fast as possible:
/// renameat2(2) with RENAME_EXCHANGE, which leaves no moment without the name.
const EXCHANGE: &str = r#"
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
pairs = [(b"swap", b"out"), (b"etc", b"to-etc"), (b"file", b"to-file"), (b"deep/d", b"deep/l")]
while True:
    for one, other in pairs:
        if libc.renameat2(-100, one, -100, other, 2) != 0:
            raise OSError(ctypes.get_errno())
"#;

/// Calls during the exchange, and how many at a time.
const CALLS: usize = 10_000;
const AT_A_TIME: usize = 8;

/// One call of the mix, by number.
fn exchanged_call(number: usize) -> (&'static str, Value) {
    let write = |path: String| json!({ "path": path, "content": "inside\n" });
    match number % 10 {
        0 => ("read_file", json!({ "path": "swap/file" })),
        1 => ("read_file", json!({ "path": "file" })),
        2 => ("read_file", json!({ "path": "etc/passwd" })),
        3 => ("read_file", json!({ "path": "deep/d/../d/e/file" })),
        4 => (
            "read_file",
            json!({ "path": "swap/file", "encoding": "base64" }),
        ),
        5 => ("write_file", write("swap/file".to_owned())),
        6 => ("write_file", write(format!("swap/new{}/file", number % 50))),
        7 => ("write_file", write(format!("deep/d/e/new{}", number % 50))),
        8 => ("list_files", json!({ "path": "swap", "depth": 3 })),
        _ => ("list_files", json!({ "path": "deep", "depth": 4 })),
    }
}

/// Counts of the results of one kind of call.
#[derive(Debug, Default)]
struct Met {
    inside: AtomicUsize,
    refused: AtomicUsize,
}

impl Met {
    /// Asserts that nothing from outside is shown: neither content nor names.
    fn check(&self, tool: &str, result: &CallResult) {
        let whole = result.0.to_string();
        for outside in ["canary", "root:", "Y2FuYXJ5"] {
            assert!(!whole.contains(outside), "{whole}");
        }
        if !result.is_error() {
            self.inside.fetch_add(1, Ordering::Relaxed);
            if tool == "read_file" {
                let text = result.text();
                assert!(text == "inside\n" || text == "aW5zaWRlCg==", "{whole}");
            }
            return;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        // A link, or a former directory.
        let refused = ["outside_workspace", "not_directory", "not_found"];
        assert!(refused.contains(&result.code()), "{whole}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanging_names_with_links_during_ten_thousand_calls_never_leads_out() {
    let server = Arc::new(TestServer::new().start().await);
    let make = "mkdir -p swap etc deep/d/e /tmp/out/e; \
        echo canary | tee /tmp/out/file /tmp/out/e/file > /tmp/out/canary; \
        echo inside | tee swap/file etc/passwd deep/d/e/file > file; \
        ln -s /tmp/out out; ln -s /etc to-etc; ln -s /tmp/out/file to-file; ln -s ../../tmp/out deep/l; \
        find /tmp/out -printf '%p %i %T@ %C@\\n' | sort > /tmp/before";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    server.write("exchange.py", EXCHANGE).await;
    let start = "nice python3 exchange.py > /tmp/errors 2>&1 & echo $!";
    let exchanger = server.shell(start).await.stdout().trim().to_owned();

    let next = Arc::new(AtomicUsize::new(0));
    let met: Arc<[Met; 3]> = Arc::default();
    let callers: Vec<_> = (0..AT_A_TIME)
        .map(|_| {
            let (server, next, met) = (server.clone(), next.clone(), met.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CALLS {
                        return;
                    }
                    let (tool, arguments) = exchanged_call(number);
                    let result = server.call(tool, arguments).await;
                    let kind = ["read_file", "write_file", "list_files"];
                    let kind = kind.iter().position(|name| *name == tool).expect("a tool");
                    met[kind].check(tool, &result);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no call saw or did anything outside");
    }
    for met in met.iter() {
        let both = [&met.inside, &met.refused].map(|count| count.load(Ordering::Relaxed));
        assert!(
            both.iter().all(|count| *count > 0),
            "the race was not met: {met:?}"
        );
    }
    let stop = format!("kill {exchanger} && cat /tmp/errors");
    assert_eq!(
        server.shell(&stop).await.stdout(),
        "",
        "it exchanged to the end"
    );
    let outside = "find /tmp/out -printf '%p %i %T@ %C@\\n' | sort | diff /tmp/before - && \
        cat /tmp/out/file /tmp/out/e/file";
    let outside = server.shell(outside).await;
    assert_eq!(
        (outside.stdout(), outside.exit_code()),
        ("canary\ncanary\n", 0)
    );
}
