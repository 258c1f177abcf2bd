//! What a server logs for its operator.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::harness::{Directory, TestServer, docker, eventually};

/// The warning of a server whose Engine's disk has no quotas.
const NO_QUOTA: &str = "the Engine cannot limit the size of volumes";

#[tokio::test]
async fn events_of_a_sandbox_are_logged_under_the_sandbox_and_not_under_a_call() {
    let directory = Directory::new(0);
    let log = Path::new(directory.text()).join("log");
    let server = TestServer::new()
        .env("CASEMATE_LOG", "info,rmcp=off")
        .log_to(&log)
        .start()
        .await;
    assert!(!server.write("a", "a").await.is_error());
    docker::output(&["rm", "--force", &server.instance.container()]);
    let ended = async || {
        let text = std::fs::read_to_string(&log).expect("a log");
        let ended = text.lines().find(|line| line.contains("container ended"));
        ended.map(str::to_owned)
    };
    eventually("the end is logged", Duration::from_secs(20), async || {
        ended().await.is_some()
    })
    .await;
    let line = ended().await.expect("it is there");
    assert!(line.contains("sandbox{user="), "{line}");
    assert!(
        line.contains("tester") && !line.contains("tool_call"),
        "{line}"
    );
    // A server over stdio does not warn about the Engine's disk.
    let text = std::fs::read_to_string(&log).expect("a log");
    assert!(!text.contains(NO_QUOTA), "{text}");
}

#[tokio::test]
async fn a_server_of_many_users_says_at_its_start_that_a_user_can_fill_the_disk() {
    let driver = docker::output(&["info", "--format", "{{.DriverStatus}}"]);
    let mut server = TestServer::new()
        .flag("--http", "127.0.0.1:0")
        .command()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let errors = server.stderr.take().expect("stderr");
    let mut lines = BufReader::new(errors).lines();
    let said = tokio::time::timeout(Duration::from_secs(20), async {
        while let Some(line) = lines.next_line().await.expect("UTF-8") {
            if line.contains(NO_QUOTA) {
                return;
            }
        }
        panic!("it ended");
    });
    // On XFS there may be quotas, and then there is no warning.
    assert!(said.await.is_ok() || driver.contains("xfs"), "{driver}");
}
