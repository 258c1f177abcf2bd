//! The transport of 2024-11-05: a stream, and messages by POST.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, HttpServer, TestServer, docker, eventually};

/// A session that is open.
struct Session<'a> {
    server: &'a HttpServer,
    stream: Answer,
    endpoint: String,
}

impl<'a> Session<'a> {
    async fn open(server: &'a HttpServer) -> Self {
        let mut stream = server.send(server.request("GET", "/sse"), "").await;
        assert_eq!(stream.status(), 200);
        assert_eq!(stream.header("content-type"), "text/event-stream");
        let first = stream.event().await.expect("an event");
        assert_eq!(first.name, "endpoint");
        assert!(first.data.starts_with("/messages?sessionId="), "{first:?}");
        Self {
            server,
            stream,
            endpoint: first.data,
        }
    }

    async fn initialized(server: &'a HttpServer) -> Self {
        let mut session = Self::open(server).await;
        let params = json!({
            "protocolVersion": "2024-11-05",
            "capabilities": {},
            "clientInfo": { "name": "casemate-tests", "version": "0" },
        });
        let answer = session.ask(0, "initialize", params).await;
        assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(session.put(&initialized).await, 202);
        session
    }

    /// Posts a message: the status.
    async fn put(&self, message: &Value) -> u16 {
        let post = self.server.post(&self.endpoint);
        let answer = self.server.send(post, message.to_string()).await;
        answer.status().as_u16()
    }

    async fn start(&self, id: u64, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        assert_eq!(self.put(&message).await, 202);
    }

    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.start(id, method, params).await;
        let answer = self.stream.message().await.expect("an answer");
        assert_eq!(answer["id"], id);
        answer
    }

    async fn start_shell(&self, id: u64, command: &str) {
        let params = json!({ "name": "shell_exec", "arguments": { "command": command } });
        self.start(id, "tools/call", params).await;
    }
}

fn runs(server: &HttpServer, what: &str) -> bool {
    let containers = server.instance.containers();
    let mut rows = containers.iter().flat_map(|id| docker::top(id));
    rows.any(|(_, args)| args.contains(what))
}

#[tokio::test]
async fn a_session_begins_with_its_endpoint_and_answers_on_its_stream() {
    let server = TestServer::new().start_http().await;
    let mut session = Session::initialized(&server).await;
    let tools = session.ask(1, "tools/list", json!({})).await;
    assert_eq!(tools["result"]["tools"][0]["name"], "shell_exec");
    let call = json!({ "name": "shell_exec", "arguments": { "command": "echo hi" } });
    let answer = session.ask(2, "tools/call", call).await;
    assert_eq!(answer["result"]["structuredContent"]["stdout"], "hi\n");
    // Twenty at once; each is answered once.
    for id in 10..30 {
        session.start_shell(id, &format!("echo {id}")).await;
    }
    let mut answered = Vec::new();
    for _ in 10..30 {
        let answer = session.stream.message().await.expect("an answer");
        let id = answer["id"].as_u64().expect("an id");
        let stdout = &answer["result"]["structuredContent"]["stdout"];
        assert_eq!(*stdout, format!("{id}\n"));
        answered.push(id);
    }
    answered.sort_unstable();
    assert!(answered.into_iter().eq(10..30));
}

#[tokio::test]
async fn a_session_that_is_left_ends_what_runs_for_it() {
    let server = TestServer::new().start_http().await;
    let session = Session::initialized(&server).await;
    session
        .start_shell(1, "(setsid sleep 4244 &); sleep 4244")
        .await;
    eventually("it runs", Duration::from_secs(10), async || {
        runs(&server, "sleep 4244")
    })
    .await;
    let endpoint = session.endpoint.clone();
    drop(session);
    eventually("all of it is gone", Duration::from_secs(2), async || {
        !runs(&server, "sleep 4244")
    })
    .await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let late = server.send(server.post(&endpoint), ping.to_string()).await;
    assert_eq!(late.status(), 404);
}

#[tokio::test]
async fn a_cancelled_request_ends_its_command_and_no_other() {
    let server = TestServer::new().start_http().await;
    let mut session = Session::initialized(&server).await;
    session.start_shell(1, "sleep 4245").await;
    session.start_shell(2, "sleep 5; echo over").await;
    eventually("both run", Duration::from_secs(10), async || {
        runs(&server, "sleep 4245") && runs(&server, "sleep 5")
    })
    .await;
    let cancelled = json!({
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": { "requestId": 1 },
    });
    assert_eq!(session.put(&cancelled).await, 202);
    eventually("it is gone", Duration::from_secs(2), async || {
        !runs(&server, "sleep 4245")
    })
    .await;
    let answer = session.stream.message().await.expect("an answer");
    assert_eq!(answer["id"], 2);
    assert_eq!(answer["result"]["structuredContent"]["stdout"], "over\n");
}

#[tokio::test]
async fn invalid_messages_and_unknown_sessions_are_refused() {
    let server = TestServer::new().start_http().await;
    let session = Session::initialized(&server).await;
    let status = async |path: &str, body: &str| {
        let answer = server.send(server.post(path), body.to_owned()).await;
        answer.status().as_u16()
    };
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(status("/messages", ping).await, 400);
    assert_eq!(status("/messages?sessionId=", ping).await, 404);
    let unknown = "/messages?sessionId=00000000000000000000000000000000";
    assert_eq!(status(unknown, ping).await, 404);
    assert_eq!(status(&session.endpoint, "no json").await, 400);
    assert_eq!(status(&session.endpoint, "{}").await, 400);
    assert_eq!(status(&session.endpoint, ping).await, 202);
    let plain = server.request("POST", &session.endpoint);
    let plain = server.send(plain.header("content-type", "text/plain"), ping);
    assert_eq!(plain.await.status(), 415);
}

#[tokio::test]
async fn sessions_and_their_requests_are_bounded() {
    let server = TestServer::new().start_http().await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(Session::initialized(&server).await);
    }
    let more = server.send(server.request("GET", "/sse"), "").await;
    assert_eq!(more.status(), 429);
    drop(sessions.pop());
    eventually("there is room again", Duration::from_secs(2), async || {
        let more = server.send(server.request("GET", "/sse"), "").await;
        more.status() == 200
    })
    .await;

    let session = &sessions[0];
    let sleep = json!({ "name": "shell_exec", "arguments": { "command": "sleep 60" } });
    let mut statuses = Vec::new();
    for id in 0..70 {
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": sleep });
        statuses.push(session.put(&call).await);
    }
    assert_eq!(statuses[..64], [202; 64]);
    assert_eq!(statuses[64..], [429; 6]);
}

#[tokio::test]
async fn a_stop_answers_what_ends_in_time_and_then_ends_the_stream() {
    let mut server = TestServer::new().start_http().await;
    let mut stream = {
        let mut session = Session::initialized(&server).await;
        session.ask(1, "ping", json!({})).await;
        session.start_shell(2, "sleep 3; echo over").await;
        session.stream
    };
    server.signal("TERM");
    let start = Instant::now();
    let answer = stream.message().await.expect("an answer");
    assert_eq!(answer["result"]["structuredContent"]["stdout"], "over\n");
    assert_eq!(stream.message().await, None);
    assert!(server.wait().await.success());
    assert!(
        start.elapsed() < Duration::from_secs(9),
        "{:?}",
        start.elapsed()
    );
}
