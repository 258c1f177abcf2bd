//! Uploads that are interrupted, too large, or conditional.

use std::time::Duration;

use futures_util::stream;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{BOUNDARY, FORM, ask, content, form, get, noise, put, stream_up, upload};
use crate::harness::{HttpServer, TestServer, eventually};

/// An upload limit that a test reaches at once.
const LIMIT: usize = 64 << 10;

async fn limited() -> HttpServer {
    let server = TestServer::new().env("CASEMATE_UPLOAD_LIMIT", "64k");
    server.start_http().await
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_and_the_old_file_stays() {
    let server = limited().await;
    let fits = noise(LIMIT);
    assert_eq!(put(&server, "file", fits.clone()).await.status, 201);
    let over = noise(LIMIT + 1);
    let wanted = (413, "too_large".to_owned());
    // Known by its length, before any of it is read.
    let reply = put(&server, "file", over.clone()).await;
    assert_eq!(reply.error(), wanted);
    assert!(reply.json()["error"]["message"].to_string().contains("64k"));
    // Noticed while it arrives.
    let parts = stream::iter([over.slice(..LIMIT / 2), over.slice(LIMIT / 2..)]);
    let path = "/files/content/file";
    assert_eq!(
        stream_up(&server, "PUT", path, &[], parts).await.error(),
        wanted
    );
    assert_eq!(
        upload(&server, "", &[("file", &over)]).await.error(),
        wanted
    );
    // The files of one form together.
    let half = over.slice(..LIMIT / 2);
    let three: [(&str, &[u8]); 3] = [("one", &half), ("two", &half), ("file", b"1")];
    assert_eq!(upload(&server, "", &three).await.error(), wanted);
    assert_eq!(content(&server, "file").await, fits);
    assert_eq!(get(&server, "/files/content/one").await.status, 404);
    // A form so long that no file of it can fit.
    let long = upload(&server, "", &[("file", &noise(2 << 20))]).await;
    assert_eq!(long.error(), wanted);
    let length = [
        ("content-length", "99999999999"),
        ("expect", "100-continue"),
    ];
    let reply = head_only(&server, &length).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

/// The first bytes of the answer to a `PUT` whose body never comes.
async fn head_only(server: &HttpServer, headers: &[(&str, &str)]) -> String {
    let mut socket = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    let mut head = format!(
        "PUT /files/content/file HTTP/1.1\r\nHost: {}\r\n",
        server.address
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    socket
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .expect("sent");
    let mut answer = vec![0; 64];
    let read = socket.read(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    answer.truncate(read.expect("in time").expect("an answer"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_broken_upload_leaves_the_old_file_and_nothing_else() {
    let server = TestServer::new().start_http().await;
    put(&server, "file", "old").await;
    let part = noise(8 << 20);
    let length = (part.len() * 2).to_string();
    for (method, path, kind) in [
        ("PUT", "/files/content/file", "text/plain"),
        ("POST", "/files/upload", FORM.1),
    ] {
        let mut socket = TcpStream::connect(server.address)
            .await
            .expect("it accepts");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n",
            server.address
        );
        socket.write_all(head.as_bytes()).await.expect("sent");
        let form = form(&[("file", &part)]);
        let body = if method == "PUT" {
            &part
        } else {
            &form.slice(..part.len())
        };
        socket.write_all(body).await.expect("sent");
        eventually("it is being stored", Duration::from_secs(20), async || {
            temporary(&server).await == "1\n"
        })
        .await;
        drop(socket);
        eventually("nothing is left", Duration::from_secs(20), async || {
            temporary(&server).await == "0\n"
        })
        .await;
        assert_eq!(content(&server, "file").await, "old");
    }
}

/// How many temporary files there are.
async fn temporary(server: &HttpServer) -> String {
    let count = server.shell("ls -A | grep -c casemate-tmp").await;
    count.stdout().to_owned()
}

#[tokio::test]
async fn conditions_make_a_file_once_and_change_only_the_one_that_was_meant() {
    let server = TestServer::new().start_http().await;
    let path = "/files/content/file";
    let put = async |name: &str, value: &str, body: &'static str| {
        ask(&server, "PUT", path, &[(name, value)], body).await
    };
    let failed = (412, "precondition_failed".to_owned());
    assert_eq!(put("if-match", "*", "0").await.error(), failed);
    let made = put("if-none-match", "*", "1").await;
    assert_eq!(made.status, 201);
    assert_eq!(made.data(), json!({ "filename": "file", "size": 1 }));
    let again = put("if-none-match", "*", "2").await;
    assert_eq!(again.error(), (412, "exists".to_owned()));
    let tag = get(&server, path).await.header("etag").to_owned();
    assert_eq!(put("if-match", "\"other\"", "3").await.error(), failed);
    assert_eq!(put("if-none-match", &tag, "4").await.error(), failed);
    assert_eq!(content(&server, "file").await, "1");
    assert_eq!(put("if-match", &tag, "55").await.status, 200);
    assert_eq!(put("if-match", &tag, "6").await.error(), failed);
    let range = put("content-range", "bytes 0-0/2", "7").await;
    assert_eq!(range.error(), (400, "invalid_argument".to_owned()));
    assert_eq!(content(&server, "file").await, "55");
    let deleted = ask(&server, "DELETE", path, &[("if-match", &tag)], "").await;
    assert_eq!(deleted.error(), failed);
    assert_eq!(content(&server, "file").await, "55");
}

#[tokio::test]
async fn of_many_that_make_a_file_at_once_one_does() {
    let server = TestServer::new().start_http().await;
    put(&server, "warm", "").await;
    let put = async |body: String| {
        let new = [("if-none-match", "*")];
        ask(&server, "PUT", "/files/content/once", &new, body).await
    };
    let made = futures_util::future::join_all((0..8).map(|nth| put(nth.to_string()))).await;
    let winners = made.iter().filter(|reply| reply.status == 201);
    assert_eq!(winners.count(), 1, "{made:?}");
    let losers = made.iter().filter(|reply| reply.status == 412);
    assert_eq!(losers.count(), 7, "{made:?}");
}

/// A request written out by hand, and the head of its answer.
async fn by_hand(server: &HttpServer, head: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    let head = format!(
        "{head}\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    socket.write_all(body).await.expect("sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_in_a_coding_is_not_stored_as_if_it_had_none() {
    let server = TestServer::new().start_http().await;
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";
    let headers = |coding| [("content-encoding", coding), FORM];
    for coding in ["gzip", "br", "zstd", "x-gzip", "identity, gzip"] {
        for (method, path) in [
            ("PUT", "/files/content/a"),
            ("PUT", "/files/content/a?unpack=tar"),
            ("POST", "/files/upload"),
        ] {
            let reply = ask(&server, method, path, &headers(coding), &gzip[..]).await;
            assert_eq!(
                reply.error(),
                (415, "invalid_argument".to_owned()),
                "{coding}"
            );
            assert_eq!(reply.header("accept-encoding"), "identity");
        }
    }
    let mcp = server.post("/mcp").header("content-encoding", "gzip");
    let mcp = server.send(mcp, &gzip[..]).await;
    assert_eq!(
        (mcp.status().as_u16(), mcp.header("accept-encoding")),
        (415, "identity")
    );
    let form = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--{BOUNDARY}--\r\n"
    );
    let part = ask(&server, "POST", "/files/upload", &[FORM], form).await;
    assert_eq!(part.error(), (415, "invalid_argument".to_owned()));
    let chunked = "PUT /files/content/a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked";
    let answer = by_hand(&server, chunked, b"3\r\nabc\r\n0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    assert_eq!(get(&server, "/files/list").await.data()["total"], 0);
    let plain = ask(
        &server,
        "PUT",
        "/files/content/a",
        &headers("identity"),
        "hello",
    )
    .await;
    assert_eq!(plain.status, 201);
    let chunked = "PUT /files/content/a HTTP/1.1\r\nTransfer-Encoding: chunked";
    let answer = by_hand(&server, chunked, b"3\r\nabc\r\n0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(content(&server, "a").await, "abc");
}

/// The rule of the tools holds for uploads too.
#[tokio::test]
async fn a_read_only_file_stays_and_other_names_of_a_replaced_one_are_counted() {
    let server = limited().await;
    server
        .shell("echo old > file; ln file other; echo x > shut; chmod 444 shut")
        .await;
    let refused = put(&server, "shut", "new").await;
    assert_eq!(refused.error(), (403, "permission_denied".to_owned()));
    let large = noise(LIMIT - 1);
    for content in [noise(5), large] {
        server.shell("ln -f file other").await;
        let reply = put(&server, "file", content).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["data"]["other_names"], 1);
    }
    let kept = server.shell("cat shut; stat -c %h file other").await;
    assert_eq!(kept.stdout(), "x\n1\n1\n");
}
