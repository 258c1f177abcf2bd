//! Authentication over HTTP, and the pages that may call: whole servers are asked, by clients and
//! by attackers who pose as clients.

mod clients;
mod forged;
mod groups;
mod guard;
mod issuer;
mod jwt;
mod key;
pub mod oidc_issuer;
mod sign_in;
mod tokens;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use hyper::http::request::Builder;
use serde_json::{Value, json};

use super::harness::{
    Answer, CallResult, Directory, HttpServer, SettingFile, TestServer, eventually, token_row,
};

/// A protocol version whose requests need only this header.
const VERSION: (&str, &str) = ("mcp-protocol-version", "2025-06-18");

/// How long a change of a file may go unnoticed.
const SOON: Duration = Duration::from_secs(15);

/// A request for the tools with these extra headers.
fn for_tools(server: &HttpServer, headers: &[(&str, &str)]) -> Builder {
    let request = server.post("/mcp").header(VERSION.0, VERSION.1);
    headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

/// Asks for the tools.
async fn ask(server: &HttpServer, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    server
        .send(for_tools(server, headers), body.to_string())
        .await
}

/// The status of the answer, and its challenge.
async fn asked(server: &HttpServer, headers: &[(&str, &str)]) -> (u16, String) {
    let answer = ask(server, headers).await;
    (
        answer.status().as_u16(),
        answer.header("www-authenticate").to_owned(),
    )
}

/// The same with one token.
async fn with_token(server: &HttpServer, token: &str) -> (u16, String) {
    asked(server, &[("authorization", &format!("Bearer {token}"))]).await
}

/// Calls a tool.
async fn call(
    server: &HttpServer,
    headers: &[(&str, &str)],
    tool: &str,
    arguments: Value,
) -> CallResult {
    let params = json!({ "name": tool, "arguments": arguments });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = for_tools(server, headers);
    server.send(request, body.to_string()).await.result().await
}

/// A server whose whole log is kept.
async fn logged(server: TestServer) -> (HttpServer, SettingFile) {
    let log = SettingFile::new("");
    let server = server.env("CASEMATE_LOG", "trace").log_to(&log.path());
    let server = server.start_http().await;
    (server, log)
}

/// `casemate` with these arguments, which ends at once: its code, output and errors.
fn casemate(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = std::process::Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_casemate")])
        .args(arguments)
        .envs(variables.iter().copied())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .stdin(Stdio::null())
        .output()
        .expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}
