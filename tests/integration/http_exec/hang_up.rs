//! A client that leaves ends its command, unless that was answered `running` before.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;

use super::super::http_files::client::get;
use super::{JSON, exec};
use crate::harness::{HttpServer, TestServer, connect, docker, eventually};

/// In how much time what was hung up on is gone.
const GONE: Duration = Duration::from_secs(2);

const SOON: Duration = Duration::from_secs(20);

pub fn runs(server: &HttpServer, what: &str) -> bool {
    let containers = server.instance.containers();
    let mut all = containers
        .iter()
        .flat_map(|container| docker::top(container));
    all.any(|(_, args)| args.contains(what))
}

/// Sends a request and closes its connection once `begun` holds.
pub async fn hang_up(
    server: &HttpServer,
    method: &str,
    path: &str,
    body: String,
    mut begun: impl AsyncFnMut() -> bool,
) {
    let request = server.request(method, path).header(JSON.0, JSON.1);
    let request = request
        .body(http_body_util::Full::<bytes::Bytes>::from(body))
        .expect("a request");
    let (mut sender, connection) = connect(server.address).await;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let end = tokio::time::Instant::now() + SOON;
    loop {
        tokio::select! {
            answered = &mut answer => panic!("answered: {answered:?}"),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
        if begun().await {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "it did not begin");
    }
    connection.abort();
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_command_with_all_it_started() {
    let server = TestServer::new().start_http().await;
    exec(&server, &json!({ "command": "true" })).await;
    let body = json!({ "command": "(setsid sleep 887 &); sleep 888; touch ran-on" });
    let both = async || runs(&server, "sleep 887") && runs(&server, "sleep 888");
    hang_up(&server, "POST", "/v1/exec", body.to_string(), both).await;
    eventually("all is gone", GONE, async || {
        !runs(&server, "sleep 887") && !runs(&server, "sleep 888")
    })
    .await;
    let (status, _) = server.get("/v1/files/content/ran-on").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // Its place is free again, and the sandbox is the same.
    assert_eq!(
        exec(&server, &json!({ "command": "echo hi" })).await["stdout"],
        "hi\n"
    );
}

#[tokio::test]
async fn who_only_waits_for_a_running_command_leaves_it_alone() {
    let server = TestServer::new().start_http().await;
    let body =
        json!({ "command": "while [ ! -e go ]; do sleep 0.1; done; echo done", "wait_seconds": 0 });
    let begun = exec(&server, &body).await;
    let path = format!("/v1/exec/{}", begun["command_id"].as_str().expect("an id"));
    let waiting = format!("{path}?wait_seconds=60");
    let mut asked = 0;
    hang_up(&server, "GET", &waiting, String::new(), async || {
        asked += 1;
        asked > 10
    })
    .await;
    tokio::time::sleep(GONE).await;
    let now = get(&server, &path).await.json();
    assert_eq!(now["outcome"], "running", "{now}");
    exec(&server, &json!({ "command": "touch go" })).await;
    let ended = get(&server, &waiting).await.json();
    assert_eq!(ended["stdout"], "done\n", "{ended}");
}
