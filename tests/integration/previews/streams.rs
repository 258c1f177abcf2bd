//! Bytes in both directions, of any number, as they come.

use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::harness::allowed;

/// As many as the tests send; more than fits into any buffer on the way.
const LARGE: usize = 100 << 20;

/// What the server may hold more after that many bytes, in KiB.
const HELD_KIB: u64 = 24 << 10;

/// The block that `/large` repeats.
fn block() -> Vec<u8> {
    (0..=255).cycle().take(256 * 256).collect()
}

#[tokio::test]
async fn a_hundred_megabytes_pass_in_each_direction_and_none_is_held() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let before = server.memory();
    let request = hyper::Request::builder()
        .uri(format!("/large?{LARGE}"))
        .header("host", &preview.host)
        .header("cookie", &preview.cookie);
    let mut answer = server.send(request, "").await;
    assert_eq!(answer.header("content-length"), LARGE.to_string());
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(frame) = answer.response.body_mut().frame().await {
        let data = frame.expect("a whole answer").into_data().expect("data");
        hash.update(&data);
        length += data.len();
    }
    assert_eq!(length, LARGE);
    let mut wanted = Sha256::new();
    let block = block();
    (0..LARGE / block.len()).for_each(|_| wanted.update(&block));
    let wanted = wanted.finalize();
    assert_eq!(hash.finalize(), wanted);

    let up = Bytes::from(block.repeat(LARGE / block.len()));
    let reply = preview.send(&server, "POST", "/upload", &[], up).await;
    let hex: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((reply.status, reply.text()), (200, hex.as_str()));
    let held = server.memory().saturating_sub(before);
    assert!(held < HELD_KIB, "{held} KiB more");
}

#[tokio::test]
async fn events_come_one_by_one() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let request = hyper::Request::builder()
        .uri("/events")
        .header("host", &preview.host)
        .header("cookie", &preview.cookie);
    let mut answer = server.send(request, "").await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let start = Instant::now();
    let first = answer.event().await.expect("an event");
    assert_eq!(first.data, "0");
    assert!(
        start.elapsed() < allowed(Duration::from_millis(1500)),
        "it waited for the others"
    );
    for number in 1..5 {
        assert_eq!(
            answer.event().await.expect("an event").data,
            number.to_string()
        );
    }
    assert!(answer.event().await.is_none());
}

/// The head of a request for a WebSocket.
pub fn head(preview: &Preview, origin: &str) -> String {
    format!(
        "GET /socket HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{origin}\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        preview.host, preview.cookie
    )
}

/// A WebSocket of the program, by hand: the head of its answer, and the stream.
pub async fn websocket(
    server: &HttpServer,
    preview: &Preview,
    origin: &str,
) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    let head = head(preview, origin);
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.expect("a head");
        answer.push(byte);
    }
    (String::from_utf8(answer).expect("UTF-8"), stream)
}

/// Sends a short text over a WebSocket, and expects it back.
pub async fn echoes(stream: &mut TcpStream, text: &str) {
    let mask = [1, 2, 3, 4];
    let length = u8::try_from(text.len()).expect("short");
    let masked = text
        .bytes()
        .enumerate()
        .map(|(at, byte)| byte ^ mask[at % 4]);
    let head = [0x81, 0x80 | length];
    let frame: Vec<u8> = head.into_iter().chain(mask).chain(masked).collect();
    stream.write_all(&frame).await.expect("sent");
    let mut echo = vec![0; 2 + text.len()];
    stream.read_exact(&mut echo).await.expect("an echo");
    assert_eq!(&echo[2..], text.as_bytes());
}

#[tokio::test]
async fn a_websocket_echoes_and_needs_the_origin_of_the_preview() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let own = format!("Origin: {}\r\n", preview.origin());
    for other in ["", "Origin: http://evil.test\r\n", "Origin: null\r\n"] {
        let (head, _) = websocket(&server, &preview, other).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{other}: {head}");
    }
    let (head, mut stream) = websocket(&server, &preview, &own).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // The accept of the key that the standard has as its example.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    for text in ["hello", "a", "the third"] {
        echoes(&mut stream, text).await;
    }
    // It ends with its share, while it is open.
    server.shell("rm .casemate/shares/*.json").await;
    let end = tokio::time::timeout(allowed(Duration::from_secs(30)), stream.read_u8());
    assert!(end.await.expect("it ends").is_err());
}

/// The sandbox is replaced while a WebSocket is open.
#[tokio::test]
async fn an_open_connection_ends_with_its_container() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let own = format!("Origin: {}\r\n", preview.origin());
    let (head, mut stream) = websocket(&server, &preview, &own).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    crate::harness::docker::quietly(&["rm", "--force", &server.instance.container()]);
    let end = tokio::time::timeout(allowed(Duration::from_secs(30)), stream.read_u8());
    assert!(end.await.expect("it ends").is_err());
}

/// A preview that somebody looks at is use of the sandbox: neither it nor the program ends.
#[tokio::test]
async fn what_somebody_looks_at_does_not_stop() {
    let deployment = Deployment::new();
    let server = deployment
        .alone()
        .env("CASEMATE_IDLE_TIMEOUT", "5s")
        .env("CASEMATE_BACKGROUND_TTL", "20s")
        .env("CASEMATE_WARM", "off");
    let server = server.start_http().await;
    let arguments = json!({ "path": "program.py", "content": PROGRAM });
    server.call("write_file", arguments).await;
    // What its command leaves running, which ends some time after the last call.
    server.shell("python3 program.py 8000 > out 2>&1 &").await;
    listens(&server, 8000).await;
    let shared = server.call("share", json!({ "port": 8000 })).await;
    let preview = opened(&server, &link_of(&shared)).await;
    let own = format!("Origin: {}\r\n", preview.origin());
    let (_, mut stream) = websocket(&server, &preview, &own).await;
    // Longer than both; nothing else is asked of the sandbox.
    tokio::time::sleep(Duration::from_secs(32)).await;
    echoes(&mut stream, "still").await;
    drop(stream);
    let stops = async || server.instance.containers().is_empty();
    eventually("it stops without a viewer", Duration::from_secs(60), stops).await;
}
