//! Files that come in: forms, single ones, and what interrupts them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
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
async fn a_form_stores_its_files_and_says_their_names_and_sizes() {
    let server = TestServer::new().start_http().await;
    let one = upload(&server, "", &[("a.txt", b"hello")]).await;
    assert_eq!(one.status, 200, "{one:?}");
    let data = json!({ "filename": "a.txt", "size": 5 });
    assert_eq!(one.json(), json!({ "success": true, "data": data }));
    assert_eq!(content(&server, "a.txt").await, "hello");

    let files: [(&str, &[u8]); 3] = [("b", b""), ("c", b"--"), ("a.txt", b"\r\n--x\r\n")];
    let several = upload(&server, "new%2Fdeep", &files).await;
    let data = json!({ "files": [
        { "filename": "b", "size": 0 },
        { "filename": "c", "size": 2 },
        { "filename": "a.txt", "size": 7 },
    ] });
    assert_eq!(several.json(), json!({ "success": true, "data": data }));
    assert_eq!(content(&server, "new/deep/a.txt").await, "\r\n--x\r\n");
    assert_eq!(content(&server, "new/deep/b").await, "");

    upload(&server, "", &[("a.txt", b"another")]).await;
    assert_eq!(content(&server, "a.txt").await, "another");
}

#[tokio::test]
async fn five_megabytes_come_back_byte_for_byte() {
    let server = TestServer::new().start_http().await;
    let file = noise(5_000_000);
    let reply = upload(&server, "", &[("data.bin", &file)]).await;
    let data = json!({ "filename": "data.bin", "size": 5_000_000 });
    assert_eq!(reply.data(), data);
    let reply = get(&server, "/files/download/data.bin").await;
    assert_eq!(reply.header("content-length"), "5000000");
    assert!(reply.body == file, "other bytes");
    let sum = server
        .shell("sha256sum < data.bin; stat -c %a data.bin")
        .await;
    assert!(sum.stdout().ends_with("  -\n644\n"), "{}", sum.0);
}

#[tokio::test]
async fn a_name_is_kept_exactly_or_refused() {
    let server = TestServer::new().start_http().await;
    for (sent, name) in [
        ("with space.txt", "with space.txt"),
        (r"C:\Users\me\cv.pdf", "cv.pdf"),
        ("../../etc/passwd", "passwd"),
        ("say %22hi%22", "say \"hi\""),
        (r#"say \"ho\""#, "say \"ho\""),
        ("naïve 日本.txt", "naïve 日本.txt"),
        ("-rf", "-rf"),
        ("100%25", "100%25"),
    ] {
        let reply = upload(&server, "in", &[(sent, b"x")]).await;
        assert_eq!(reply.data()["filename"], name, "{sent}");
        let path = json!({ "path": format!("in/{name}") });
        let found = server.call("read_file", path).await;
        assert_eq!(found.text(), "x", "{sent}: {}", found.0);
    }
    let long = "n".repeat(256);
    for sent in ["", "..", ".", "a/", "line%0Abreak", "a\tb", "a/..", &long] {
        let reply = upload(&server, "in", &[(sent, b"x")]).await;
        let wanted = (400, "invalid_argument".to_owned());
        assert_eq!(reply.error(), wanted, "{sent:?}");
    }
}

#[tokio::test]
async fn what_is_no_form_with_files_is_refused_and_says_what_is_stored_already() {
    let server = TestServer::new().start_http().await;
    let post = async |kind: &str, body: String| {
        ask(
            &server,
            "POST",
            "/files/upload",
            &[("content-type", kind)],
            body,
        )
        .await
    };
    let plain = post("text/plain", "x".to_owned()).await;
    assert_eq!(plain.error(), (415, "invalid_argument".to_owned()));
    let part = |field: &str| {
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; {field}\r\n\r\nx\r\n--{BOUNDARY}--\r\n"
        )
    };
    for body in [
        format!("--{BOUNDARY}--\r\n"),
        String::new(),
        "no boundary".to_owned(),
        part("name=\"file\""),
        part("name=\"other\"; filename=\"a\""),
        part("filename=\"a\""),
        part("name=\"file\"; filename=\"a\"").replace("--\r\n", ""),
    ] {
        let reply = post(FORM.1, body.clone()).await;
        let wanted = (400, "invalid_argument".to_owned());
        assert_eq!(reply.error(), wanted, "{body}");
    }
    let half = upload(&server, "", &[("first", b"1"), ("..", b"2")]).await;
    assert_eq!(half.status, 400);
    let message = half.json()["error"]["message"].to_string();
    assert!(message.contains("1 file before it is stored."), "{message}");
    assert_eq!(content(&server, "first").await, "1");
}

#[tokio::test]
async fn a_header_without_end_is_refused_before_it_fills_the_memory() {
    let server = TestServer::new().start_http().await;
    upload(&server, "", &[("warm", &noise(3 << 20))]).await;
    let before = server.memory();
    let head = Bytes::from(format!("--{BOUNDARY}\r\nX-Endless: "));
    let flood = stream::repeat(Bytes::from(vec![b'x'; 64 << 10])).take(1 << 12);
    let body = stream::iter([head]).chain(flood);
    let reply = stream_up(&server, "POST", "/files/upload", &[FORM], body).await;
    assert_eq!(reply.error(), (400, "invalid_argument".to_owned()));
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 16 << 10, "it grew by {grown} KiB");
}

#[tokio::test]
async fn what_is_over_the_limit_is_refused_and_the_old_file_stays() {
    let server = limited().await;
    let fits = noise(LIMIT);
    assert_eq!(put(&server, "file", fits.clone()).await.status, 201);
    let over = noise(LIMIT + 1);
    let wanted = (413, "too_large".to_owned());
    // Known by its length, before any of it is read.
    let reply = put(&server, "file", over.clone()).await;
    assert_eq!(reply.error(), wanted);
    assert!(reply.json()["error"]["message"].to_string().contains("64k"));
    // Found out on the way.
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
    assert_eq!(content(&server, "two").await, half);
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
async fn an_upload_that_breaks_off_leaves_the_old_file_and_nothing_beside_it() {
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
