//! Commands, files and the whole workspace for applications, over plain HTTP below `/v1`.

mod audited;
mod clients;
mod commands;
mod entries;
mod hang_up;
mod refusals;
mod users;
mod workspace;

use serde_json::{Value, json};

use super::http_files::client::{Headers, Reply, ask};
use crate::harness::{Application, HttpServer};

/// The header of a JSON body.
const JSON: (&str, &str) = ("content-type", "application/json");

/// One JSON request with its whole answer.
async fn post(server: &HttpServer, path: &str, body: &Value) -> Reply {
    ask(server, "POST", path, &[JSON], body.to_string()).await
}

/// Runs a command, which has an answer.
async fn exec(server: &HttpServer, body: &Value) -> Value {
    let reply = post(server, "/v1/exec", body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Runs a command for a user of an application.
async fn exec_as(app: &Application, user: &str, command: &str) -> Value {
    let body = json!({ "command": command }).to_string();
    let answer = send_as(app, user, "POST", "/v1/exec", body).await;
    assert_eq!(answer.0, 200, "{answer:?}");
    answer.1
}

/// A request for a user of an application: the status, and the answer as JSON.
async fn send_as(
    app: &Application,
    user: &str,
    method: &str,
    path: &str,
    body: String,
) -> (u16, Value) {
    let request = app.server.request(method, path).header(JSON.0, JSON.1);
    let answer = app.server.send(Application::of(user, request), body).await;
    let status = answer.status().as_u16();
    let text = answer.text().await;
    (status, serde_json::from_str(&text).expect("JSON"))
}

/// Status and code of an error, of any layer of the server.
fn code(reply: &Reply) -> (u16, String) {
    let json = reply.json();
    assert_eq!(json["success"], false, "{json}");
    let code = json["error"]["code"].as_str().expect("a code");
    (reply.status, code.to_owned())
}

/// A request with these headers and no body: status and code.
async fn refused(
    server: &HttpServer,
    method: &str,
    path: &str,
    headers: Headers<'_>,
) -> (u16, String) {
    code(&ask(server, method, path, headers, "").await)
}
