//! A server for an application that has its own users.

use hyper::http::request::Builder;
use serde_json::{Value, json};

use super::{CallResult, HttpServer, MODERN, SettingFile, TestServer, token_row};

/// A token that speaks for an application's users.
const TOKEN: &str = "cm_of-a-test";

/// A server for an application, which names its user in each request.
#[derive(Debug)]
pub struct Application {
    /// The server.
    pub server: HttpServer,
    _tokens: SettingFile,
}

impl Application {
    /// The token that it has.
    pub const TOKEN: &str = TOKEN;

    /// Starts it, with a token for all users.
    pub async fn start(server: TestServer) -> Self {
        let tokens = SettingFile::new(&token_row("app", TOKEN, "delegate = true"));
        let server = server
            .env("CASEMATE_AUTH", "tokens")
            .env("CASEMATE_TOKENS_FILE", &tokens.text());
        Self {
            server: server.start_http().await,
            _tokens: tokens,
        }
    }

    /// A request for this user.
    pub fn of(user: &str, request: Builder) -> Builder {
        request
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("x-casemate-user", user)
    }

    /// Calls a tool for this user.
    pub async fn call(&self, user: &str, tool: &str, arguments: Value) -> CallResult {
        let params = json!({ "name": tool, "arguments": arguments });
        let (request, body) = self.server.question(MODERN, "tools/call", &params);
        let answer = self.server.send(Self::of(user, request), body).await;
        assert_eq!(answer.status(), 200);
        answer.result().await
    }

    /// Runs a command for this user.
    pub async fn shell(&self, user: &str, command: &str) -> CallResult {
        let arguments = json!({ "command": command });
        self.call(user, "shell_exec", arguments).await
    }

    /// Posts a ping to a session: status and text.
    pub async fn ping(&self, user: &str, endpoint: &str) -> (u16, String) {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let request = Self::of(user, self.server.post(endpoint));
        let answer = self.server.send(request, ping).await;
        (answer.status().as_u16(), answer.text().await)
    }
}
