//! Huge directories, trees and patterns can be listed, and the sandbox can be removed with them.

use std::time::Duration;

use serde_json::json;

use super::{cursor, entries, list, pages, paths};
use crate::harness::{CallResult, Server, TestServer, docker};

/// Characters of one page, as documented.
const CHARS: usize = 50_000;

/// Limit of PID 1's peak memory: it idles at 3 MiB, and four file threads hold a page and a
/// pattern each.
const MOST_KIB: u64 = 24 * 1024;

/// Peak memory of PID 1.
fn peak_kib(server: &Server) -> u64 {
    let pid = docker::pid(&server.instance.container());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("PID 1");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

/// Removes container and volume, within the deadline of a docker command.
fn remove(server: Server) {
    let instance = server.instance.clone();
    let volumes = instance.volumes();
    let container = instance.container();
    drop(server);
    docker::output(&["rm", "--force", &container]);
    docker::output(&["volume", "rm", &volumes[0]]);
    assert_eq!(instance.volumes(), [""; 0]);
}

/// Makes `many` with as many names as are asked for and a tenth as many
/// directories. Hard links, because they are made four times as fast as files;
/// ext4 has 65,000 to one file.
const MANY: &str = "
import os, sys
count = int(sys.argv[1])
os.mkdir('many')
os.chdir('many')
for number in range(count):
    if number % 50_000 == 0:
        first = f'{number:06}'
        open(first, 'w').close()
    else:
        os.link(first, f'{number:06}')
for number in range(count // 10):
    os.mkdir(f'd{number:05}')
";

async fn with_many(count: u32) -> Server {
    let server = TestServer::new().start().await;
    server.write("many.py", MANY).await;
    let make = json!({
        "command": format!("python3 many.py {count}"),
        "timeout_seconds": 300,
        "wait_seconds": 300,
    });
    let made = server.call("shell_exec", make).await;
    assert_eq!(made.exit_code(), 0, "{}", made.0);
    server
}

#[tokio::test]
async fn two_hundred_thousand_entries_are_paged_and_searched_in_bounded_memory() {
    let server = with_many(200_000).await;
    let mut arguments = json!({ "path": "many", "limit": 5000 });
    let mut seen = 0;
    for _ in 0..3 {
        let page = list(&server, arguments.clone()).await;
        assert!(page.text().chars().count() <= CHARS + 100);
        let expected: Vec<_> = (seen..)
            .map(|number| format!("many/{number:06}"))
            .take(entries(&page).len())
            .collect();
        assert_eq!(paths(&page), expected);
        seen += expected.len();
        arguments["cursor"] = cursor(&page).into();
    }
    assert!(seen > 3000, "{seen} entries in 3 pages");

    for (pattern, number) in [
        ("19999?", 10),
        ("*99999", 2),
        ("d*/", 20_000),
        ("**/none/*", 0),
        ("[!0-9]?9999", 2),
    ] {
        let arguments = json!({ "path": "many", "pattern": pattern, "limit": 5000 });
        let found = pages(&server, arguments, async |_| {}).await;
        assert_eq!(found.len(), number, "{pattern}");
        assert!(found.is_sorted());
    }
    let peak = peak_kib(&server);
    assert!(peak < MOST_KIB, "{peak} KiB");
    remove(server);
}

#[tokio::test]
async fn hostile_patterns_end_and_delay_no_other_call() {
    let server = with_many(20_000).await;
    let container = server.instance.container();
    let hostile = [
        "{".repeat(64) + "a" + &"}".repeat(64),
        "{0,00}".repeat(64) + "x",
        "{*0,0*}".repeat(64) + "x",
        "{**/0,*}/".repeat(64) + "x",
        "*0".repeat(500) + "x",
        "**/0/".repeat(200) + "x",
        "*0".to_owned() + &"?".repeat(1000),
        "[".repeat(1024),
        "*".repeat(1024),
    ];
    for pattern in hostile {
        let arguments = json!({ "path": "many", "pattern": &pattern });
        let (_, pending) = server.start_call("list_files", arguments).await;
        let calm = tokio::time::timeout(Duration::from_secs(5), server.shell("echo calm"));
        assert_eq!(calm.await.expect("in time").stdout(), "calm\n");
        let answer = pending.answer().await.expect("an answer");
        let result = CallResult(answer["result"].clone());
        assert_eq!(result.is_error(), pattern.starts_with('['), "{}", result.0);
    }
    assert_eq!(server.instance.container(), container);
    let peak = peak_kib(&server);
    assert!(peak < MOST_KIB, "{peak} KiB");
}

const DEEP: &str = "
import os
for level in range(5_000):
    os.mkdir('d')
    os.chdir('d')
    if level % 50 == 0:
        open('leaf', 'w').close()
";

#[tokio::test]
async fn a_tree_five_thousand_deep_is_listed_level_by_level_and_removed() {
    let server = TestServer::new().start().await;
    server.write("deep.py", DEEP).await;
    let made = server
        .shell("mkdir deep && cd deep && python3 ../deep.py")
        .await;
    assert_eq!(made.exit_code(), 0, "{}", made.0);

    let top = list(&server, json!({ "path": "deep", "depth": 64 })).await;
    assert_eq!(entries(&top).len(), 64 + 2);
    let leaves = list(&server, json!({ "path": "deep", "pattern": "leaf" })).await;
    assert_eq!(entries(&leaves).len(), 2);
    // As deep as a path can name, and from there 64 levels deeper.
    let far = ["deep", &"/d".repeat(2040)].concat();
    let below = list(&server, json!({ "path": far, "depth": 64, "limit": 5000 })).await;
    assert!(
        cursor(&below).len() > far.len(),
        "a page of long paths ends before"
    );
    let pattern = "d/".repeat(60) + "d";
    let deepest = list(&server, json!({ "path": far, "pattern": pattern })).await;
    assert_eq!(paths(&deepest), [[&far, "/", &pattern].concat()]);
    let too_far = ["deep", &"/d".repeat(2100)].concat();
    let refused = server.call("list_files", json!({ "path": too_far })).await;
    assert_eq!(refused.code(), "invalid_argument");

    let peak = peak_kib(&server);
    assert!(peak < MOST_KIB, "{peak} KiB");
    remove(server);
}
