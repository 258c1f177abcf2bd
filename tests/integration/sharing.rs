//! What users share: the tool, the resources of MCP, and links over HTTP, whole: the server signs
//! and checks, the files are in a sandbox, and other users try.

mod archives;
mod hostile;
mod matrix;
mod resources;
mod secrets;
mod tool;

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{CallResult, Directory, HttpServer, Instance, Reply, TestServer};

/// The keys of two deployments.
const KEY: [u8; 32] = [7; 32];
const OTHER_KEY: [u8; 32] = [8; 32];

/// What the page's own requests have, as a browser sends them.
const PAGE: [(&str, &str); 2] = [("sec-fetch-site", "same-origin"), ("x-casemate-page", "1")];

/// A person follows a link on another site.
const NAVIGATION: [(&str, &str); 2] = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
];

/// The files of a deployment: keys of links, tokens, and where it keeps its state.
#[derive(Debug)]
pub struct Deployment(Directory);

impl Deployment {
    pub fn new() -> Self {
        let deployment = Self(Directory::new(0));
        for (name, key) in [("key", KEY), ("other-key", OTHER_KEY)] {
            deployment.write(name, &BASE64_STANDARD.encode(key));
        }
        let row = |user: &str| {
            let digest = hex(&Sha256::digest(format!("cm_{user}")));
            format!("[[tokens]]\nname = \"{user}\"\nsha256 = \"{digest}\"\nuser = \"{user}\"\n")
        };
        deployment.write("tokens.toml", &(row("ada") + &row("bob")));
        deployment
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0.text())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// A server for one user, whose key is made in the state directory.
    pub fn alone(&self) -> TestServer {
        TestServer::new().env("XDG_STATE_HOME", &self.path("state"))
    }

    /// A server for the users of `cm_ada` and `cm_bob`.
    pub fn for_users(&self) -> TestServer {
        self.with_tokens(TestServer::new())
    }

    /// As [`Self::for_users`], with the containers of this instance.
    pub fn for_users_on(&self, instance: &Instance) -> TestServer {
        self.with_tokens(TestServer::on(instance))
    }

    fn with_tokens(&self, server: TestServer) -> TestServer {
        server
            .env("XDG_STATE_HOME", &self.path("state"))
            .env("CASEMATE_AUTH", "tokens")
            .env("CASEMATE_TOKENS_FILE", &self.path("tokens.toml"))
            .env("CASEMATE_LINK_KEY_FILE", &self.path("key"))
            .env("CASEMATE_WARM", "off")
    }
}

async fn send(server: &HttpServer, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = server.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut reply = server.send(request, "").await.reply().await;
    // Answers are compared.
    reply.headers.remove("date");
    reply
}

/// Opens a link with these headers.
async fn open(server: &HttpServer, path: &str, headers: &[(&str, &str)]) -> Reply {
    send(server, "GET", path, headers).await
}

/// Opens a link with the token of a user.
async fn open_as(server: &HttpServer, user: &str, path: &str) -> Reply {
    open(
        server,
        path,
        &[("authorization", &format!("Bearer cm_{user}"))],
    )
    .await
}

/// Calls a tool for a user of [`Deployment::for_users`].
pub async fn call(server: &HttpServer, user: &str, tool: &str, arguments: Value) -> CallResult {
    let params = json!({ "name": tool, "arguments": arguments });
    let (request, body) = server.question("2025-06-18", "tools/call", &params);
    let request = request.header("authorization", format!("Bearer cm_{user}"));
    server.send(request, body).await.result().await
}

async fn write(server: &HttpServer, user: &str, path: &str, content: &str) {
    let arguments = json!({ "path": path, "content": content });
    let written = call(server, user, "write_file", arguments).await;
    assert!(!written.is_error(), "{written:?}");
}

/// Runs a command that must succeed.
async fn run(server: &HttpServer, user: &str, command: &str) -> String {
    let result = call(server, user, "shell_exec", json!({ "command": command })).await;
    assert_eq!(result.exit_code(), 0, "{result:?}");
    result.stdout().to_owned()
}

/// Shares a path: the result, and the path of its link.
async fn share(server: &HttpServer, user: &str, path: &str) -> (CallResult, String) {
    let shared = call(server, user, "share", json!({ "path": path })).await;
    assert!(!shared.is_error(), "{shared:?}");
    let link = link_of(&shared);
    (shared, link)
}

/// The path of a link.
fn link_of(shared: &CallResult) -> String {
    let link = shared.field("link").as_str().expect("a link");
    let at = link.find("/s/").expect("the path of links");
    link[at..].to_owned()
}

/// The parts of a link: hash, id, end, signature.
fn parts(link: &str) -> Vec<String> {
    let token = link.strip_prefix("/s/").expect("a link");
    token.split('.').map(str::to_owned).collect()
}

/// A link as a server with `key` signs it, by what is documented.
fn signed(key: &[u8], instance: &str, user: &str, share: &str, expires: u64) -> String {
    let said = format!("{}.{share}.{expires}", hash_of(user));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let text = format!("casemate share 1\0{instance}\0{said}");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()));
    format!("/s/{said}.{signature}")
}

/// The hash of a local user: each part with its length before it.
fn hash_of(user: &str) -> String {
    let mut hash = Sha256::new();
    for part in ["local", user] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock").as_secs()
}

/// The session of a user who signs in on the page.
pub async fn session(server: &HttpServer, user: &str) -> String {
    let mut request = server.post("/sign-in");
    for (name, value) in PAGE {
        request = request.header(name, value);
    }
    let body = json!({ "token": format!("cm_{user}") }).to_string();
    let answer = server.send(request, body).await;
    let cookie = answer.header("set-cookie").split(';').next();
    cookie.expect("a cookie").to_owned()
}

/// The mode of a file of this host.
fn mode(path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    let file = fs::metadata(Path::new(path)).expect("it is there");
    file.permissions().mode() & 0o777
}
