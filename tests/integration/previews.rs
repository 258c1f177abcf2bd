//! Previews: applications and sites of a sandbox, each at its own host name, through the real server,
//! in real sandboxes.

mod browser;
mod cookies;
mod ended;
mod groups;
mod headers;
mod limits;
mod ports;
mod silent;
mod sites;
mod streams;
mod tickets;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::harness::{CallResult, HttpServer, Reply, eventually};
use crate::sharing::Deployment;

/// How long a program in a sandbox may take to listen.
const LISTENING: Duration = Duration::from_secs(20);

/// A program of the tests: answers what it was asked, and more by path.
const PROGRAM: &str = include_str!("previews/program.py");

/// A preview: its host, and the cookie of who has opened it.
#[derive(Debug, Clone)]
struct Preview {
    host: String,
    link: String,
    cookie: String,
}

impl Preview {
    fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    /// A request with the cookie.
    async fn get(&self, server: &HttpServer, path: &str) -> Reply {
        self.send(server, "GET", path, &[], "").await
    }

    async fn send(
        &self,
        server: &HttpServer,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let cookie = [("cookie", self.cookie.as_str())];
        let headers = [&cookie[..], headers].concat();
        send(server, &self.host, method, path, &headers, body).await
    }
}

/// A request to this host, which is one of the server's.
async fn send(
    server: &HttpServer,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Reply {
    let request = hyper::Request::builder().method(method).uri(path);
    let request = request.header("host", host);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let mut answer = server.send(request, body).await;
    let headers = std::mem::take(answer.response.headers_mut());
    let status = answer.status().as_u16();
    let body = answer.response.body_mut().collect().await;
    Reply {
        status,
        headers,
        body: body.map_or_else(|_| Bytes::from("broken off"), |body| body.to_bytes()),
    }
}

/// The host and the token of a link.
fn parts(link: &str) -> (String, String) {
    let (_, rest) = link.split_once("://").expect("a scheme");
    let (host, token) = rest.split_once("/.casemate/open#").expect("a link");
    (host.to_owned(), token.to_owned())
}

/// What our page does with a ticket.
async fn exchange(server: &HttpServer, host: &str, ticket: &str) -> Reply {
    exchange_at(server, &format!("http://{host}"), ticket).await
}

/// As [`exchange`], where browsers have another scheme.
async fn exchange_at(server: &HttpServer, origin: &str, ticket: &str) -> Reply {
    let (_, host) = origin.split_once("://").expect("a scheme");
    let headers = [
        ("origin", origin),
        ("content-type", "application/json"),
        ("sec-fetch-site", "same-origin"),
    ];
    let body = json!({ "ticket": ticket }).to_string();
    send(server, host, "POST", "/.casemate/open", &headers, body).await
}

/// Opens a link that opens without sign-in.
async fn opened(server: &HttpServer, link: &str) -> Preview {
    let (host, token) = parts(link);
    with_ticket(server, &host, &token, link).await
}

/// Opens a preview with a ticket, or with a link that opens without sign-in.
async fn with_ticket(server: &HttpServer, host: &str, ticket: &str, link: &str) -> Preview {
    let reply = exchange(server, host, ticket).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    Preview {
        host: host.to_owned(),
        link: link.to_owned(),
        cookie: cookie_of(&reply),
    }
}

/// The cookie of an answer.
fn cookie_of(reply: &Reply) -> String {
    let cookie = reply.header("set-cookie").split(';').next();
    cookie.expect("a cookie").to_owned()
}

/// A server for one user, and where it keeps its key.
async fn server() -> (Deployment, HttpServer) {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    (deployment, server)
}

fn link_of(shared: &CallResult) -> String {
    let link = shared.field("preview_link").as_str();
    link.unwrap_or_else(|| panic!("no link: {shared:?}"))
        .to_owned()
}

/// Starts the program of the tests on a port, and waits until it listens.
async fn start(server: &HttpServer, port: u16) {
    let arguments = json!({ "path": "program.py", "content": PROGRAM });
    let written = server.call("write_file", arguments).await;
    assert!(!written.is_error(), "{written:?}");
    run(server, &format!("python3 program.py {port}")).await;
    listens(server, port).await;
}

/// Starts a command that stays.
async fn run(server: &HttpServer, command: &str) {
    let arguments = json!({ "command": command, "timeout_seconds": 600, "wait_seconds": 0 });
    let started = server.call("shell_exec", arguments).await;
    assert!(!started.is_error(), "{started:?}");
}

async fn listens(server: &HttpServer, port: u16) {
    let probe =
        format!("python3 -c 'import socket; socket.create_connection((\"localhost\", {port}))'");
    let listens = async || server.shell(&probe).await.exit_code() == 0;
    eventually("it listens", LISTENING, listens).await;
}

/// A port with the program of the tests, shared and opened.
async fn shown(server: &HttpServer, port: u16) -> Preview {
    start(server, port).await;
    let shared = server.call("share", json!({ "port": port })).await;
    opened(server, &link_of(&shared)).await
}
