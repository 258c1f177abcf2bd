//! Requests that are wrong, too large or too slow, and connections that say nothing:
//! they are refused, cost no memory and delay no other caller.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{HttpServer, MODERN, TestServer};

/// An address without an Engine.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

async fn server() -> HttpServer {
    TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .start_http()
        .await
}

/// Sends bytes as they are; the status of the answer, if there is an answer.
async fn raw(server: &HttpServer, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    // It may have answered and closed before all is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.windows(2).any(|pair| pair == b"\r\n") {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    text.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
}

async fn healthy(server: &HttpServer) {
    let start = Instant::now();
    assert_eq!(server.get("/healthz").await.0, 200);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

fn head(server: &HttpServer, more: &str) -> String {
    let host = server.address;
    format!(
        "POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn invalid_requests_are_answered_with_a_400_status() {
    let server = server().await;
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(100_000));
    let many = (0..200)
        .map(|at| format!("x-{at}: a\r\n"))
        .collect::<String>();
    let large = format!("x: {}\r\n", "a".repeat(64 * 1024));
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no HTTP".to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\x00: a\r\n\r\n".to_vec(),
        long.into_bytes(),
        head(&server, &many).into_bytes(),
        head(&server, &large).into_bytes(),
        head(&server, "content-length: -1\r\n").into_bytes(),
        head(&server, "content-length: 99999999\r\n").into_bytes(),
        head(&server, "content-length: 1\r\n")
            .into_bytes()
            .into_iter()
            .chain(*b"{")
            .collect(),
        head(&server, "transfer-encoding: chunked\r\n\r\nZZ\r\n").into_bytes(),
    ] {
        let status = raw(&server, &bytes).await.expect("a status");
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert!((400..500).contains(&status), "{status}: {shown:?}");
        healthy(&server).await;
    }
}

#[tokio::test]
async fn invalid_messages_are_answered_with_a_400_status() {
    let server = server().await;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let deep_arguments = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"shell_exec","arguments":{{"command":{deep}}}}}}}"#
    );
    for (body, status) in [
        (String::new(), 400),
        ("{".to_owned(), 400),
        ("\u{0}\u{1}\u{2}".to_owned(), 400),
        ("null".to_owned(), 400),
        ("[]".to_owned(), 400),
        ("{}".to_owned(), 400),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#.to_owned(),
            400,
        ),
        (deep, 400),
        (deep_arguments, 400),
        (format!("\"{}\"", "a".repeat(9 << 20)), 413),
    ] {
        let shown: String = body.chars().take(60).collect();
        let answer = server.send(server.post("/mcp"), body).await;
        assert_eq!(answer.status(), status, "{shown}");
        let error = answer.answer().await;
        assert!(error["error"]["code"].is_number(), "{shown}: {error}");
        healthy(&server).await;
    }
    let plain = server
        .request("POST", "/mcp")
        .header("content-type", "text/plain");
    let plain = plain.header("accept", "application/json, text/event-stream");
    assert_eq!(server.send(plain, "{}").await.status(), 415);
    // Without `Accept` the answer is plain JSON.
    let unaccepting = server.request("POST", "/mcp");
    let unaccepting = unaccepting.header("content-type", "application/json");
    assert_eq!(server.send(unaccepting, "{}").await.status(), 400);
    let anything = server.request("POST", "/mcp").header("accept", "*/*");
    let anything = anything.header("content-type", "application/json");
    let list = r#"{ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }"#;
    let answer = server.send(anything, list).await;
    assert_eq!(answer.status(), 200, "as curl asks");
    assert_eq!(answer.answer().await["id"], 1);
    assert_eq!(server.get("/mcp").await.0, 405);
    assert_eq!(server.get("/nowhere").await.0, 404);
}

#[tokio::test]
async fn half_open_connections_delay_no_caller_and_cost_little() {
    let server = server().await;
    healthy(&server).await;
    let before = server.memory();
    let mut held = Vec::new();
    for at in 0..300 {
        let mut stream = TcpStream::connect(server.address)
            .await
            .expect("it accepts");
        let begun: &[u8] = match at % 3 {
            0 => b"",
            1 => b"POST /mcp HTTP/1.1\r\nhost: ",
            _ => b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
        };
        stream.write_all(begun).await.expect("it takes it");
        held.push(stream);
        if at % 50 == 0 {
            healthy(&server).await;
        }
    }
    healthy(&server).await;
    let tools = server.ask(MODERN, "tools/list", &json!({})).await;
    assert!(tools.answer().await["result"]["tools"].is_array());
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn half_open_connections_do_not_hold_up_the_end() {
    let mut server = server().await;
    let mut held = Vec::new();
    for begun in [&b""[..], b"POST /mcp HTTP/1.1\r\nhost: "] {
        let mut stream = TcpStream::connect(server.address)
            .await
            .expect("it accepts");
        stream.write_all(begun).await.expect("it takes it");
        held.push(stream);
    }
    healthy(&server).await;
    let start = Instant::now();
    server.signal("TERM");
    assert!(server.wait().await.success());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn many_large_and_broken_requests_leave_the_memory_as_it_was() {
    let server = server().await;
    let large = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"write_file","arguments":{{"path":"a","content":"{}"}}}}}}"#,
        "a".repeat(3 << 20)
    );
    let round = async || {
        for _ in 0..10 {
            let answer = server.send(server.post("/mcp"), large.clone()).await;
            assert_eq!(answer.status(), 200);
            let broken = server
                .send(server.post("/mcp"), large[1..].to_owned())
                .await;
            assert_eq!(broken.status(), 400);
            let cut = head(&server, "content-length: 4000000\r\n") + &large[..1 << 20];
            let mut stream = TcpStream::connect(server.address)
                .await
                .expect("it accepts");
            stream.write_all(cut.as_bytes()).await.expect("it takes it");
        }
    };
    round().await;
    let before = server.memory();
    for _ in 0..5 {
        round().await;
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    healthy(&server).await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let server = server().await;
    let start = Instant::now();
    let slow = head(&server, "content-length: 100\r\n") + "{";
    assert_eq!(raw(&server, slow.as_bytes()).await, Some(408));
    let took = start.elapsed();
    assert!(
        took > Duration::from_secs(29) && took < Duration::from_secs(35),
        "{took:?}"
    );
    // An incomplete head gets no answer.
    healthy(&server).await;
}
