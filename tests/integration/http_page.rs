//! The page for people, and the status of the sandbox that it shows.

pub mod browser;
mod commands;
mod sharing;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Directory, HttpServer, TestServer, docker, eventually, token_row};

/// The page's content security policy.
const POLICY: [&str; 10] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
];

/// The page and its parts.
const PARTS: [(&str, &str); 26] = [
    ("/", "text/html; charset=utf-8"),
    ("/page/style.css", "text/css; charset=utf-8"),
    ("/page/main.js", SCRIPT),
    ("/page/actions.js", SCRIPT),
    ("/page/api.js", SCRIPT),
    ("/page/commands.js", SCRIPT),
    ("/page/content.js", SCRIPT),
    ("/page/dialogs.js", SCRIPT),
    ("/page/dom.js", SCRIPT),
    ("/page/download.js", SCRIPT),
    ("/page/listing.js", SCRIPT),
    ("/page/order.js", SCRIPT),
    ("/page/outcome.js", SCRIPT),
    ("/page/preview.js", SCRIPT),
    ("/page/rows.js", SCRIPT),
    ("/page/sandbox.js", SCRIPT),
    ("/page/send.js", SCRIPT),
    ("/page/session.js", SCRIPT),
    ("/page/share.js", SCRIPT),
    ("/page/shares.js", SCRIPT),
    ("/page/sources.js", SCRIPT),
    ("/page/text.js", SCRIPT),
    ("/page/transfers.js", SCRIPT),
    ("/page/upload.js", SCRIPT),
    ("/page/view.js", SCRIPT),
    ("/page/workspaces.js", SCRIPT),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file with a token for each of these: its text, which is its name too, whose it is,
/// its scopes.
fn tokens_file(directory: &Directory, rows: &[(&str, &str, &str)]) -> String {
    let row = |(token, holder, scopes): &(&str, &str, &str)| {
        token_row(token, token, &format!("{holder}\nscopes = {scopes}"))
    };
    let path = format!("{}/tokens.toml", directory.text());
    let text: String = rows.iter().map(row).collect();
    std::fs::write(&path, text).expect("a file");
    path
}

/// A server with these tokens.
async fn with_tokens(directory: &Directory, rows: &[(&str, &str, &str)]) -> HttpServer {
    let server = TestServer::new().env("CASEMATE_AUTH", "tokens");
    let server = server.env("CASEMATE_TOKENS_FILE", &tokens_file(directory, rows));
    server.start_http().await
}

async fn ask(server: &HttpServer, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let request = server.request(method, path);
    let request = request.header("authorization", format!("Bearer {token}"));
    server.send(request, body.to_owned()).await
}

async fn status(server: &HttpServer) -> Value {
    let (code, text) = server.get("/status").await;
    assert_eq!(code, 200, "{text}");
    let status: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["success"], true);
    status["data"].clone()
}

#[tokio::test]
async fn the_page_is_open_to_everybody_and_may_do_no_more_than_it_says() {
    let directory = Directory::new(0);
    let server = with_tokens(&directory, &[]).await;
    for (path, kind) in PARTS {
        let answer = server.send(server.request("GET", path), "").await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.header("content-type"), kind);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        assert_eq!(policy.split("; ").collect::<Vec<_>>(), POLICY, "{path}");
        assert!(!answer.text().await.trim().is_empty(), "{path}");
    }
    let (code, _) = server.get("/status").await;
    assert_eq!(code, 401);
}

/// The text between each `before` and the next quote.
fn quoted(text: &str, before: &str, quote: char) -> Vec<String> {
    let rest = text.split(before).skip(1);
    let inside = rest.filter_map(|rest| rest.split(quote).next());
    inside.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_names_only_parts_that_are_served_and_each_is_named() {
    let server = TestServer::new().start_http().await;
    let mut named = vec!["/".to_owned()];
    for (path, _) in PARTS {
        let (_, text) = server.get(path).await;
        named.extend(
            quoted(&text, " src=\"", '"')
                .iter()
                .map(|part| format!("/{part}")),
        );
        let links = quoted(&text, "<link rel=\"stylesheet\" href=\"", '"');
        named.extend(links.iter().map(|part| format!("/{part}")));
        for import in [" from './", "import './"] {
            let modules = quoted(&text, import, '\'');
            named.extend(modules.iter().map(|part| format!("/page/{part}")));
        }
    }
    named.sort();
    named.dedup();
    let mut served = PARTS.map(|(path, _)| path);
    served.sort_unstable();
    assert_eq!(named, served);
}

#[tokio::test]
async fn the_page_names_no_other_host_and_makes_no_html_out_of_text() {
    let server = TestServer::new().start_http().await;
    for (path, _) in PARTS {
        let (_, text) = server.get(path).await;
        // The names of XML's vocabulary look like addresses, and are never requested.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for forbidden in [
            "http://",
            "https://",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "localStorage",
        ] {
            assert!(!text.contains(forbidden), "{path}: {forbidden}");
        }
    }
}

#[tokio::test]
async fn the_guard_stands_before_the_page_too() {
    let server = TestServer::new().start_http().await;
    for (path, _) in PARTS {
        let rebound = hyper::Request::builder()
            .uri(path)
            .header("host", "evil.example");
        assert_eq!(server.send(rebound, "").await.status(), 403);
        let other = server
            .request("GET", path)
            .header("origin", "http://evil.example");
        assert_eq!(server.send(other, "").await.status(), 403);
    }
}

#[tokio::test]
async fn the_status_starts_no_sandbox_and_says_what_it_may_use() {
    let server = TestServer::new().env("CASEMATE_MEMORY", "300m");
    let server = server.env("CASEMATE_PIDS", "77").start_http().await;
    for _ in 0..3 {
        let status = status(&server).await;
        assert_eq!(status["user"], "tester");
        assert_eq!(status["mode"], "persistent");
        assert_eq!(status["state"], "absent");
        assert_eq!(status["containers"], 0);
        assert_eq!(status["memory_bytes"], Value::Null);
        assert_eq!(status["processes"], Value::Null);
        assert_eq!(status["commands"], json!([]));
        assert_eq!(status["limits"]["memory_bytes"], 300 << 20);
        assert_eq!(status["limits"]["processes"], 77);
        assert_eq!(status["limits"]["cpus"], "1");
        assert_eq!(status["limits"]["idle_seconds"], 900);
    }
    assert_eq!(server.instance.containers(), [""; 0]);
    assert_eq!(server.instance.volumes(), [""; 0]);
}

#[tokio::test]
async fn the_status_shows_a_command_as_long_as_it_runs() {
    let server = TestServer::new().start_http().await;
    let command = json!({ "command": "sleep 300", "wait_seconds": 0 });
    let running = server.call("shell_exec", command).await;
    let id = running.field("command_id").clone();
    let seen = status(&server).await;
    assert_eq!(seen["state"], "running");
    assert_eq!(seen["containers"], 1);
    assert!(seen["memory_bytes"].as_u64() > Some(100_000), "{seen}");
    assert!(seen["cpu_ms"].as_u64() > Some(0), "{seen}");
    assert_eq!(seen["processes"], 1, "{seen}");
    assert_eq!(seen["commands"][0]["id"], id);
    assert_eq!(seen["commands"][0]["background"], false);
    let stop = json!({ "command_id": id, "stop": true });
    server.call("shell_exec", stop).await;
    eventually("no command", Duration::from_secs(5), || async {
        status(&server).await["commands"] == json!([])
    })
    .await;
    docker::output(&["rm", "-f", &server.instance.container()]);
    eventually("none", Duration::from_secs(10), || async {
        status(&server).await["state"] == "absent"
    })
    .await;
}

#[tokio::test]
async fn a_sandbox_is_invisible_to_others_and_without_the_scope() {
    let directory = Directory::new(0);
    let both = r#"["tools", "files"]"#;
    let rows = [
        ("of-alice", r#"user = "alice""#, both),
        ("of-bob", r#"user = "bob""#, both),
        ("of-carol", r#"user = "carol""#, r#"["tools"]"#),
    ];
    let server = with_tokens(&directory, &rows).await;
    let put = ask(&server, "of-alice", "PUT", "/files/content/a", "hers").await;
    assert_eq!(put.status(), 201);
    for (token, user, state) in [
        ("of-alice", "alice", "running"),
        ("of-bob", "bob", "absent"),
    ] {
        let answer = ask(&server, token, "GET", "/status", "").await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let status: Value = serde_json::from_str(&answer.text().await).expect("JSON");
        assert_eq!(status["data"]["user"], user);
        assert_eq!(status["data"]["state"], state);
        let is_known = !status["data"]["memory_bytes"].is_null();
        assert_eq!(is_known, user == "alice");
    }
    let refused = ask(&server, "of-carol", "GET", "/status", "").await;
    assert_eq!(refused.status(), 403);
    assert_eq!(server.instance.containers().len(), 1);
}
