//! `notifications/cancelled` over Streamable HTTP: it ends its request and nothing else,
//! whichever server of the instance gets it.

use std::time::Duration;

use hyper::http::request::Builder;
use serde_json::{Value, json};

use crate::harness::{
    Answer, HttpServer, SettingFile, TestServer, clients, docker, eventually, token_row,
};

/// A token that speaks for an application's users.
const TOKEN: &str = "cm_of-a-test";

/// A cancelled request is gone within this time.
const GONE: Duration = Duration::from_secs(2);

/// The newest version in which clients cancel by a notification.
const VERSION: &str = "2025-11-25";

/// One conversation of one user with one server.
struct Window<'a> {
    server: &'a HttpServer,
    user: &'a str,
    session: Option<String>,
}

impl<'a> Window<'a> {
    /// Without a session id, as hand-written older clients work.
    fn bare(server: &'a HttpServer, user: &'a str) -> Self {
        Self {
            server,
            user,
            session: None,
        }
    }

    /// With the session id that the server gives.
    async fn open(server: &'a HttpServer, user: &'a str) -> Self {
        let params = json!({
            "protocolVersion": VERSION,
            "capabilities": {},
            "clientInfo": { "name": "casemate-tests", "version": "0" },
        });
        let window = Self::bare(server, user);
        let answer = window.post(&json!(0), "initialize", &params).await;
        let session = answer.header("mcp-session-id").to_owned();
        assert_eq!(session.len(), 32, "{session:?}");
        Self {
            session: Some(session),
            ..window
        }
    }

    fn request(&self) -> Builder {
        let request = self
            .server
            .post("/mcp")
            .header("mcp-protocol-version", VERSION)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("x-casemate-user", self.user);
        match &self.session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        }
    }

    async fn post(&self, id: &Value, method: &str, params: &Value) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.server.send(self.request(), body.to_string()).await
    }

    async fn call(&self, id: Value, tool: &str, arguments: Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments });
        self.post(&id, "tools/call", &params).await
    }

    /// A command that runs long enough.
    async fn sleeps(&self, id: Value, seconds: u32) -> Answer {
        let command = format!("(setsid sleep {seconds} &); sleep {seconds}; touch ran-on");
        let arguments = json!({ "command": command, "timeout_seconds": 60 });
        let answer = self.call(id, "shell_exec", arguments).await;
        let shown = format!("sleep {seconds} runs");
        eventually(&shown, Duration::from_secs(10), async || {
            runs(self.server, seconds)
        })
        .await;
        answer
    }

    async fn cancel(&self, id: Value) {
        let params = json!({ "requestId": id, "reason": "a test" });
        let body =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        let answer = self.server.send(self.request(), body.to_string()).await;
        assert_eq!(answer.status(), 202);
    }
}

fn runs(server: &HttpServer, seconds: u32) -> bool {
    let what = format!("sleep {seconds}");
    let containers = server.instance.containers();
    let mut all = containers
        .iter()
        .flat_map(|container| docker::top(container));
    all.any(|(_, args)| args.contains(&what))
}

async fn is_gone(server: &HttpServer, seconds: u32) {
    let shown = format!("sleep {seconds} is gone");
    eventually(&shown, GONE, async || !runs(server, seconds)).await;
}

/// Servers of one instance for an application, which names its user in each request.
struct Application {
    first: HttpServer,
    second: HttpServer,
    _tokens: SettingFile,
}

impl Application {
    async fn start(server: impl Fn(TestServer) -> TestServer) -> Self {
        let tokens = SettingFile::new(&token_row("app", TOKEN, "delegate = true"));
        let set = |made: TestServer| {
            server(made)
                .env("CASEMATE_AUTH", "tokens")
                .env("CASEMATE_TOKENS_FILE", &tokens.text())
        };
        let first = set(TestServer::new()).start_http().await;
        let second = set(TestServer::on(&first.instance)).start_http().await;
        Self {
            first,
            second,
            _tokens: tokens,
        }
    }
}

#[tokio::test]
async fn a_cancelled_request_ends_with_its_tree_and_those_like_it_go_on() {
    let servers = Application::start(|server| server).await;
    let ada = Window::open(&servers.first, "ada").await;
    let other_window = Window::open(&servers.first, "ada").await;
    // A user who learns another's session id gains nothing by it.
    let bob = Window {
        user: "bob",
        session: ada.session.clone(),
        ..Window::bare(&servers.first, "bob")
    };
    assert_ne!(ada.session, other_window.session);
    let (mut cancelled, _text, _other, _bob) = (
        ada.sleeps(json!(1), 8401).await,
        ada.sleeps(json!("1"), 8402).await,
        other_window.sleeps(json!(1), 8403).await,
        bob.sleeps(json!(1), 8404).await,
    );
    ada.cancel(json!(1)).await;
    is_gone(&servers.first, 8401).await;
    assert_eq!(
        cancelled.message().await,
        None,
        "a cancelled request is not answered"
    );
    for seconds in [8402, 8403, 8404] {
        assert!(runs(&servers.first, seconds), "{seconds} was cancelled too");
    }
    bob.cancel(json!(1)).await;
    is_gone(&servers.first, 8404).await;
    assert!(runs(&servers.first, 8402) && runs(&servers.first, 8403));
    // The id of a request that is over or never existed: nothing happens.
    ada.cancel(json!(1)).await;
    ada.cancel(json!(77)).await;
    let next = ada
        .call(json!(2), "shell_exec", json!({ "command": "ls" }))
        .await;
    assert_eq!(next.result().await.stdout(), "");
}

#[tokio::test]
async fn a_request_of_another_server_of_the_instance_is_cancelled_too() {
    let servers = Application::start(|server| server).await;
    let here = Window::open(&servers.first, "ada").await;
    let there = Window {
        server: &servers.second,
        user: "ada",
        session: here.session.clone(),
    };
    let bob = Window::open(&servers.first, "bob").await;
    let answer = here.sleeps(json!(1), 8411).await;
    let _more = (
        here.sleeps(json!(2), 8412).await,
        bob.sleeps(json!(1), 8413).await,
    );
    // The second server has made nothing and has no channel yet.
    there.cancel(json!(1)).await;
    is_gone(&servers.first, 8411).await;
    assert_eq!(answer.result().await.outcome(), "cancelled");
    assert!(runs(&servers.first, 8412) && runs(&servers.first, 8413));
    assert_eq!(
        servers.first.instance.containers().len(),
        2,
        "none is made for it"
    );
    // And over the channel that it has.
    let command = json!({ "command": "true" });
    there
        .call(json!(3), "shell_exec", command)
        .await
        .result()
        .await;
    there.cancel(json!(2)).await;
    is_gone(&servers.first, 8412).await;
    let nobody = Window::open(&servers.second, "carol").await;
    nobody.cancel(json!(1)).await;
    assert_eq!(
        servers.first.instance.containers().len(),
        2,
        "none is made for it"
    );
}

#[tokio::test]
async fn without_a_session_id_only_an_unambiguous_request_is_cancelled() {
    let servers = Application::start(|server| server).await;
    let ada = Window::bare(&servers.first, "ada");
    let session = Window::open(&servers.first, "ada").await;
    let _answers = (
        ada.sleeps(json!(1), 8421).await,
        session.sleeps(json!(1), 8422).await,
    );
    ada.cancel(json!(1)).await;
    is_gone(&servers.first, 8421).await;
    assert!(runs(&servers.first, 8422), "it has a session");
    // Two windows that cannot be told apart: on one server, and on two.
    let elsewhere = Window::bare(&servers.second, "ada");
    for (other, [first, second]) in [(&ada, [8423, 8424]), (&elsewhere, [8425, 8426])] {
        let answers = (
            ada.sleeps(json!(2), first).await,
            other.sleeps(json!(2), second).await,
        );
        ada.cancel(json!(2)).await;
        tokio::time::sleep(GONE).await;
        assert!(runs(&servers.first, first) && runs(&servers.first, second));
        drop(answers);
        is_gone(&servers.first, first).await;
        is_gone(&servers.first, second).await;
    }
}

#[tokio::test]
async fn a_file_call_that_waits_is_cancelled_and_never_done() {
    let servers = Application::start(|server| server.env("CASEMATE_CALLS_PER_USER", "1")).await;
    let ada = Window::open(&servers.first, "ada").await;
    let command = ada.sleeps(json!(1), 8431).await;
    let content = json!({ "path": "written", "content": "" });
    let mut waiting = ada.call(json!(2), "write_file", content).await;
    ada.cancel(json!(2)).await;
    while let Some(event) = waiting.event().await {
        assert!(event.is_comment(), "{event:?}");
    }
    ada.cancel(json!(1)).await;
    is_gone(&servers.first, 8431).await;
    drop(command);
    let listed = ada
        .call(json!(3), "shell_exec", json!({ "command": "ls" }))
        .await;
    assert_eq!(listed.result().await.stdout(), "");
}

#[tokio::test]
async fn clients_that_others_wrote_cancel_by_abort_and_by_time_out() {
    let server = TestServer::new().start_http().await;
    let url = format!("http://{}/mcp", server.address);
    server.shell("true").await;
    for way in ["sdk", "mcp-remote"] {
        for how in ["abort", "time-out"] {
            let Some(mut client) = clients::script("cancel.mjs") else {
                return;
            };
            // It says how long the tree of its command outlived the cancellation.
            let said = clients::succeeds(client.args([way, how, &url])).await;
            let gone: u64 = said.trim().parse().expect("milliseconds");
            assert!(gone < 2000, "{way}, {how}: {gone} ms");
        }
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(server.shell("ls").await.stdout(), "", "one ran on");
}
