//! Servers with different settings.

use super::{restarted, result, start};
use crate::harness::{CallResult, Server, TestServer};

/// Where the kernel shows the sandbox's memory limit, in either version of
/// cgroups.
const MEMORY: &str = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2> /dev/null";

/// The memory limit that a command sees, in MiB.
async fn memory(server: &Server) -> (u64, CallResult) {
    let result = server.shell(MEMORY).await;
    let limit = result
        .stdout()
        .lines()
        .next()
        .and_then(|line| line.parse::<u64>().ok());
    (
        limit.unwrap_or_else(|| panic!("no limit: {}", result.0)) >> 20,
        result,
    )
}

/// Whether the result says that the container has other settings; both forms must agree.
fn other_settings(result: &CallResult) -> bool {
    let said = result.field("sandbox")["other_settings"] == true;
    assert_eq!(
        said,
        result.text().contains("other settings"),
        "{}",
        result.0
    );
    said
}

#[tokio::test]
async fn the_settings_of_the_later_server_hold_and_are_not_replaced_back() {
    let older = TestServer::new()
        .env("CASEMATE_MEMORY", "300m")
        .start()
        .await;
    assert_eq!(memory(&older).await.0, 300);
    let first = older.instance.container();
    let newer = TestServer::on(&older.instance)
        .env("CASEMATE_MEMORY", "200m")
        .start()
        .await;
    let (limit, result) = memory(&newer).await;
    assert_eq!(limit, 200);
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox was asked to end, for newer settings, for room or by the operator")
    );
    let second = older.instance.container();
    assert_ne!(first, second);
    // The older server uses it as it is, so it stays.
    let (limit, result) = memory(&older).await;
    assert_eq!(limit, 200);
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox was asked to end, for newer settings, for room or by the operator")
    );
    for server in [&newer, &older, &newer, &older] {
        let (limit, result) = memory(server).await;
        assert_eq!(
            (limit, restarted(&result), other_settings(&result)),
            (200, None, false)
        );
    }
    assert_eq!(older.instance.container(), second);
    // A busy container is used as it is, and one result says so.
    let running = start(&older, "until [ -e go ]; do sleep 0.1; done; echo end").await;
    let newest = TestServer::on(&older.instance)
        .env("CASEMATE_MEMORY", "100m")
        .start()
        .await;
    let (limit, result) = memory(&newest).await;
    assert_eq!(
        (limit, restarted(&result), other_settings(&result)),
        (200, None, true)
    );
    let (limit, result) = memory(&newest).await;
    assert_eq!(
        (limit, restarted(&result), other_settings(&result)),
        (200, None, false)
    );
    older.write("go", "").await;
    assert_eq!(self::result(running).await.stdout(), "end\n");
    assert_eq!(older.instance.container(), second);
}
