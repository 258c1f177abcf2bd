//! A server over HTTP, and what clients send it. Requests are written out here, not
//! by an SDK: the tests decide what the server gets.

mod addresses;
mod answer;
mod reply;

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::AbortHandle;

pub use answer::Answer;
pub use reply::Reply;

use super::{CallResult, Instance, TestServer, allowed, host};

/// How long a server may take to listen, and to end: it gives calls 10 s.
const START: Duration = Duration::from_secs(10);

const END: Duration = Duration::from_secs(20);

/// No answer may take longer.
const DEADLINE: Duration = Duration::from_secs(90);

/// The version that needs no handshake.
pub const MODERN: &str = "2026-07-28";

/// A server that listens. Dropping it kills it.
#[derive(Debug)]
pub struct HttpServer {
    /// The instance of its containers.
    pub instance: Instance,
    /// The process.
    pub child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its metrics are, with CASEMATE_ADMIN.
    pub admin: Option<SocketAddr>,
}

impl TestServer {
    /// Starts it with HTTP, on a free port.
    pub async fn start_http(self) -> HttpServer {
        let server = self.flag("--http", "127.0.0.1:0");
        let mut command = server.command();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if server.log().is_none() {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().expect("the server starts");
        let listening = async {
            match child.stderr.take() {
                Some(errors) => addresses::of_stderr(errors).await,
                None => addresses::of_file(server.log().expect("a log")).await,
            }
        };
        let listening = tokio::time::timeout(allowed(START), listening).await;
        let (admin, address) = listening.expect("it listens in time");
        HttpServer {
            instance: server.instance().clone(),
            address,
            admin,
            child,
        }
    }
}

impl Drop for HttpServer {
    /// Before its instance is cleaned, as for [`super::Server`].
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let end = Instant::now() + allowed(END);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::yield_now();
        }
    }
}

impl HttpServer {
    /// A request to a path, with the Host of the server.
    pub fn request(&self, method: &str, path: &str) -> Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
    }

    /// A POST of a JSON text as an MCP client sends it.
    pub fn post(&self, path: &str) -> Builder {
        self.request("POST", path)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
    }

    /// Sends it over a new connection, which is closed when the answer is dropped.
    pub async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Answer {
        self.send_to(self.address, request, body).await
    }

    /// As [`Self::send`], to another address of the server.
    pub async fn send_to(
        &self,
        address: SocketAddr,
        request: Builder,
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = request.body(Full::new(body.into())).expect("a request");
        let (mut sender, connection) = connect(address).await;
        let answer = tokio::time::timeout(allowed(DEADLINE), sender.send_request(request));
        let response = answer.await.expect("an answer in time");
        Answer::from((response.expect("an answer"), connection))
    }

    /// `GET` of a path: the status and the text.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.send(self.request("GET", path), "").await;
        (answer.status(), answer.text().await)
    }

    /// A request of a version at `/mcp`, and its body.
    pub fn question(&self, version: &str, method: &str, params: &Value) -> (Builder, String) {
        let (body, head) = message(version, method, params);
        let mut request = self.post("/mcp");
        for (header, value) in head {
            request = request.header(header, value);
        }
        let name = params["name"].as_str();
        if let Some(name) = name.filter(|_| version == MODERN) {
            request = request.header("mcp-name", name);
        }
        (request, body.to_string())
    }

    /// Starts a request of a version at `/mcp`.
    pub async fn ask(&self, version: &str, method: &str, params: &Value) -> Answer {
        let (request, body) = self.question(version, method, params);
        self.send(request, body).await
    }

    /// Calls a tool at `/mcp` and does not wait for the result.
    pub async fn start_call(&self, version: &str, tool: &str, arguments: Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments });
        self.ask(version, "tools/call", &params).await
    }

    /// Calls a tool at `/mcp`.
    pub async fn call(&self, tool: &str, arguments: Value) -> CallResult {
        self.start_call(MODERN, tool, arguments)
            .await
            .result()
            .await
    }

    /// Runs a command.
    pub async fn shell(&self, command: &str) -> CallResult {
        self.call("shell_exec", json!({ "command": command })).await
    }

    /// Its metrics, as Prometheus reads them. It was started with `CASEMATE_ADMIN`.
    pub async fn metrics(&self) -> String {
        let address = self.admin.expect("an admin address");
        let request = Request::builder().uri("/metrics");
        let request = request.header("host", address.to_string());
        let answer = self.send_to(address, request, "").await;
        assert_eq!(answer.status(), 200);
        answer.text().await
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(status.expect("kill").success());
    }

    /// Its exit status.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(allowed(END), self.child.wait()).await;
        ended.expect("it ends in time").expect("an exit status")
    }

    /// Memory that it holds, in KiB.
    pub fn memory(&self) -> u64 {
        host::resident_kib(&self.child.id().expect("it runs").to_string())
    }

    /// CPU time that it has used, of which the kernel counts hundredths of a second.
    pub fn cpu_time(&self) -> Duration {
        let pid = self.child.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        // proc(5): after the name, which may have anything in it, utime is the 12th field
        // and stime the 13th.
        let (_, fields) = stat.rsplit_once(") ").expect("fields");
        let times = fields.split(' ').skip(11).take(2);
        let ticks: u64 = times.map(|time| time.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 10)
    }
}

/// A connection, and what ends it.
pub async fn connect<B>(address: SocketAddr) -> (SendRequest<B>, AbortHandle)
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let stream = TcpStream::connect(address).await.expect("it accepts");
    let connected = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = connected.expect("a connection");
    (sender, tokio::spawn(connection).abort_handle())
}

/// A request as its version has it, and the headers that go with it.
fn message(version: &str, method: &str, params: &Value) -> (Value, Vec<(&'static str, String)>) {
    let mut params = params.clone();
    let mut head = Vec::new();
    if method != "initialize" {
        head.push(("mcp-protocol-version", version.to_owned()));
    }
    if version == MODERN {
        head.push(("mcp-method", method.to_owned()));
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = json!(version);
        meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "tests", "version": "0" });
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
    }
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    (body, head)
}
