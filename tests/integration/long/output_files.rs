//! Whole output in a file, and what that costs.

use serde_json::json;

use crate::harness::{Server, TestServer};

#[tokio::test]
async fn output_that_a_result_cannot_show_is_whole_in_the_file_it_names() {
    let server = TestServer::new().start().await;
    let result = server.shell("seq 1 200000; printf 'e\\xffe' >&2").await;
    assert_eq!(result.field("truncated"), true);
    assert_eq!(result.field("lossy"), true);
    let path = result
        .field("output_path")
        .as_str()
        .expect("a path")
        .to_owned();
    assert!(result.text().contains(&path), "{}", result.text().len());
    // The order of writes to two pipes is unknown.
    let check = format!(
        "tr -d 'e\\377' < {path} | cmp - <(seq 1 200000) && tr -cd 'e\\377' < {path} | od -An -c"
    );
    assert_eq!(server.shell(&check).await.stdout(), "   e 377   e\n");

    // Output that is shown whole leaves no file.
    assert!(
        server
            .shell("seq 1 1000")
            .await
            .field("output_path")
            .is_null()
    );
    assert_eq!(
        server.shell("ls .casemate/output | wc -l").await.stdout(),
        "1\n"
    );
}

/// Private memory of PID 1 in KiB: any process may read /proc/1/status.
async fn held(server: &Server) -> u64 {
    let status = server
        .shell("grep -E '^(RssAnon|VmHWM):' /proc/1/status")
        .await;
    let peak = status
        .stdout()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
    peak.unwrap_or_else(|| panic!("{}", status.0))
}

#[tokio::test]
async fn foreign_files_next_to_those_of_output_cost_pid_1_little() {
    let server = TestServer::new().start().await;
    let fill = "import os
os.makedirs('.casemate/output', exist_ok=True)
for n in range(150_000):
    os.close(os.open(f'.casemate/output/{n:032x}.log', os.O_CREAT | os.O_WRONLY))
";
    server.write("fill.py", fill).await;
    let fill = json!({
        "command": "python3 fill.py", "timeout_seconds": 600, "wait_seconds": 600,
    });
    let filled = server.call("shell_exec", fill).await;
    assert_eq!(filled.exit_code(), 0, "{}", filled.0);
    // The peak already includes the fixed cost of a first file: stacks of threads, and buffers.
    let before = held(&server).await;
    let result = server.shell("seq 100000").await;
    let path = result.field("output_path").as_str().expect("a path");
    let size = server.shell(&format!("wc -c < {path}")).await;
    assert_eq!(size.stdout(), "588895\n", "{}", size.0);
    let after = held(&server).await;
    assert!(after < before + 6 * 1024, "{before} KiB, then {after} KiB");
    assert_eq!(server.shell("echo fine").await.stdout(), "fine\n");
}

#[tokio::test]
async fn the_files_of_output_are_bounded_by_command_and_by_user() {
    let server = TestServer::new().start().await;
    for _ in 0..5 {
        let result = server.shell("head -c 20000000 /dev/zero").await;
        assert_eq!(result.field("stdout_bytes"), 20_000_000);
    }
    let sizes = server.shell("stat -c %s .casemate/output/*").await;
    let sizes: Vec<u64> = sizes
        .stdout()
        .lines()
        .filter_map(|size| size.parse().ok())
        .collect();
    assert!(sizes.iter().all(|size| *size <= 16 << 20), "{sizes:?}");
    assert!(
        sizes.iter().sum::<u64>() <= 64 << 20 && sizes.len() >= 2,
        "{sizes:?}"
    );
}
