//! The requests of a chat backend to Casemate: files over plain HTTP, tools over MCP.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// The version of MCP that needs no handshake before a call.
const MCP_VERSION: &str = "2025-06-18";

/// Requests for one user of the application. The token is the application's: a delegate's.
pub struct Casemate {
    http: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    token: String,
    user: String,
}

impl Casemate {
    /// For `user`, who has a sandbox and a workspace from the first request on.
    pub fn new(address: SocketAddr, token: &str, user: &str) -> Self {
        Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            address,
            token: token.to_owned(),
            user: user.to_owned(),
        }
    }

    /// Stores a file of the user in the workspace.
    pub async fn upload(&self, path: &str, content: Vec<u8>) -> anyhow::Result<()> {
        let path = format!("/v1/files/content/{path}");
        self.send(Method::PUT, &path, content).await?;
        Ok(())
    }

    /// The tools, as a model wants to know them.
    pub async fn tools(&self) -> anyhow::Result<Vec<Value>> {
        let result = self.mcp("tools/list", json!({})).await?;
        let tools = result["tools"].as_array().context("no tools")?;
        Ok(tools.clone())
    }

    /// Calls a tool. An error of the tool is a result too, which the model reads.
    pub async fn call(&self, tool: &str, arguments: &Value) -> anyhow::Result<Value> {
        let params = json!({ "name": tool, "arguments": arguments });
        self.mcp("tools/call", params).await
    }

    async fn mcp(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = self
            .send(Method::POST, "/mcp", message.to_string().into())
            .await?;
        // Server-sent events: notifications, then the answer.
        let text = std::str::from_utf8(&body)?;
        let mut data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let last = data.rfind(|data| !data.trim().is_empty());
        let mut answer: Value = serde_json::from_str(last.context("no answer")?)?;
        ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        Ok(answer["result"].take())
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .header("x-casemate-user", &self.user)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", MCP_VERSION)
            .body(Full::from(body))?;
        let (head, body) = self.http.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let said = String::from_utf8_lossy(&body);
        ensure!(head.status.is_success(), "{path}: {}: {said}", head.status);
        Ok(body)
    }
}
