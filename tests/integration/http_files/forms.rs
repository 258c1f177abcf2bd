//! Uploads by a form.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::client::{BOUNDARY, FORM, ask, content, get, noise, stream_up, upload};
use crate::harness::TestServer;

#[tokio::test]
async fn a_form_stores_its_files_and_says_their_names_and_sizes() {
    let server = TestServer::new().start_http().await;
    let one = upload(&server, "", &[("a.txt", b"hello")]).await;
    assert_eq!(one.status, 200, "{one:?}");
    let file = json!({ "filename": "a.txt", "size": 5 });
    let data = json!({ "filename": "a.txt", "size": 5, "files": [file] });
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
    let data = reply.data();
    assert_eq!(
        (&data["filename"], &data["size"]),
        (&json!("data.bin"), &json!(5_000_000))
    );
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
async fn invalid_forms_are_refused_and_the_error_lists_stored_files() {
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
    // A small form is checked completely before anything is stored.
    let half = upload(&server, "", &[("first", b"1"), ("..", b"2")]).await;
    assert_eq!(half.status, 400);
    let message = half.json()["error"]["message"].to_string();
    assert!(!message.contains("stored"), "{message}");
    assert_eq!(get(&server, "/files/content/first").await.status, 404);
    let large = noise(2 << 20);
    let half = upload(&server, "", &[("first", &large), ("..", b"2")]).await;
    assert_eq!(half.status, 400);
    let message = half.json()["error"]["message"].to_string();
    assert!(message.contains("1 file before it is stored."), "{message}");
    assert_eq!(content(&server, "first").await, large);
}

#[tokio::test]
async fn two_files_of_one_name_in_one_form_are_refused() {
    let server = TestServer::new().start_http().await;
    let conflict = (409, "exists".to_owned());
    let files: [(&str, &[u8]); 3] = [("index.html", b"a"), ("b", b"b"), ("x/index.html", b"c")];
    let reply = upload(&server, "", &files).await;
    assert_eq!(reply.error(), conflict);
    let message = reply.json()["error"]["message"].to_string();
    assert!(
        message.contains("index.html") && !message.contains("stored"),
        "{message}"
    );
    assert_eq!(get(&server, "/files/list").await.data()["total"], 0);

    let large = noise(2 << 20);
    let reply = upload(&server, "", &[("same", &large), ("same", b"other")]).await;
    assert_eq!(reply.error(), conflict);
    let message = reply.json()["error"]["message"].to_string();
    assert!(message.contains("1 file before it is stored."), "{message}");
    assert_eq!(content(&server, "same").await, large);
    // In two forms the later file replaces the earlier one, as always.
    assert_eq!(upload(&server, "", &[("same", b"new")]).await.status, 200);
}

#[tokio::test]
async fn a_plus_in_a_path_is_a_space_or_is_asked_about() {
    let server = TestServer::new().start_http().await;
    let reply = upload(&server, "c++", &[("main.c", b"x")]).await;
    assert_eq!(reply.error(), (400, "invalid_argument".to_owned()));
    assert!(reply.json()["error"]["message"].to_string().contains("%2B"));
    assert_eq!(get(&server, "/files/list?path=c++").await.status, 400);
    assert_eq!(
        upload(&server, "c%2B%2B", &[("main.c", b"x")]).await.status,
        200
    );
    assert_eq!(
        upload(&server, "my+notes", &[("a", b"x")]).await.status,
        200
    );
    assert_eq!(server.shell("ls").await.stdout(), "c++\nmy notes\n");
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
