//! `read_file` on files that are not plain UTF-8, on unusual files, and against sed.

mod pages;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{CallResult, Server, TestServer, docker};

/// The structured fields except the text.
fn facts(result: &CallResult) -> &Value {
    assert!(result.0.get("structuredContent").is_none());
    &result.0["_meta"]["io.casemate/file"]
}

async fn write_bytes(server: &Server, path: &str, bytes: &[u8]) {
    let content = STANDARD.encode(bytes);
    let arguments = json!({ "path": path, "content": content, "encoding": "base64" });
    let written = server.call("write_file", arguments).await;
    assert!(!written.is_error(), "{}", written.0);
}

async fn lines(server: &Server, path: &str, start: u64, most: u64) -> CallResult {
    let arguments = json!({ "path": path, "start_line": start, "max_lines": most });
    server.call("read_file", arguments).await
}

/// Reads, and asserts that the answer comes within a second.
async fn at_once(server: &Server, arguments: Value) -> CallResult {
    let read = server.call("read_file", arguments.clone());
    let answer = tokio::time::timeout(Duration::from_secs(1), read).await;
    answer.unwrap_or_else(|_| panic!("not within a second: {arguments}"))
}

#[tokio::test]
async fn text_in_other_encodings_is_decoded_and_says_so() {
    let server = TestServer::new().start().await;
    let make = "printf 'zwölf 😀\\nb\\n' > plain; (printf '\\xef\\xbb\\xbf'; cat plain) > marked; \
                (printf '\\xff\\xfe'; iconv -t UTF-16LE plain) > little; \
                (printf '\\xfe\\xff'; iconv -t UTF-16BE plain) > big; \
                printf 'zw\\xf6lf\\nb\\n' > latin; printf '\\xef\\xbb\\xbf' > mark";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    let plain = server.read("plain").await;
    assert_eq!(plain.text(), "zwölf 😀\nb\n");
    assert_eq!(facts(&plain)["encoding"], "utf-8");
    assert_eq!(
        (&facts(&plain)["lines"], &facts(&plain)["total_lines"]),
        (&json!(2), &json!(2))
    );
    for (path, text, encoding, said) in [
        ("marked", plain.text(), "utf-8-bom", "byte order mark"),
        ("little", plain.text(), "utf-16le", "UTF-16 LE"),
        ("big", plain.text(), "utf-16be", "UTF-16 BE"),
        ("latin", "zwölf\nb\n", "latin-1", "not UTF-8"),
    ] {
        let whole = server.read(path).await;
        let note = whole.text().strip_prefix(text).expect("the text first");
        assert!(
            note.starts_with("[encoding: ") && note.contains(said),
            "{note}"
        );
        assert_eq!(facts(&whole)["encoding"], encoding);
        let part = lines(&server, path, 2, 1).await;
        let closing = part.text().strip_prefix("b\n").expect("the second line");
        assert!(
            closing.starts_with("[lines 2-2 of 2; encoding: "),
            "{closing}"
        );
        assert!(closing.contains(said), "{closing}");
    }
    let mark = server.read("mark").await;
    assert!(
        mark.text()
            .starts_with("[the file is empty; encoding: UTF-8")
    );
}

#[tokio::test]
async fn text_that_stops_being_utf_8_is_read_to_its_end() {
    let server = TestServer::new().start().await;
    let make = "yes ü | head -30000 > file; printf 'r\\xf6t\\n' >> file; yes ü | head -9 >> file";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    assert_eq!(
        facts(&lines(&server, "file", 1, 9).await)["encoding"],
        "utf-8"
    );
    let damaged = lines(&server, "file", 30_001, 1).await;
    assert!(
        damaged
            .text()
            .starts_with("röt\n[lines 30001-30001 of 30010; next: start_line=30002; ")
    );
    assert!(damaged.text().contains("not UTF-8"), "{}", damaged.text());
    let after = lines(&server, "file", 30_002, 9).await;
    assert_eq!(
        after.text(),
        "ü\n".repeat(9) + "[lines 30002-30010 of 30010]"
    );
}

#[tokio::test]
async fn images_are_shown_by_their_first_bytes_up_to_a_bound() {
    let server = TestServer::new().start().await;
    let body = [0, 1, 2, 3];
    for (name, signature, kind) in [
        ("png.txt", &b"\x89PNG\r\n\x1a\n"[..], "image/png"),
        ("jpeg", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("gif.jpg", b"GIF89a", "image/gif"),
        ("webp", b"RIFF\x0c\0\0\0WEBP", "image/webp"),
    ] {
        let bytes = [signature, &body].concat();
        write_bytes(&server, name, &bytes).await;
        let shown = server.read(name).await;
        let image = &shown.0["content"][0];
        assert_eq!(
            (&image["type"], &image["mimeType"]),
            (&json!("image"), &json!(kind))
        );
        assert_eq!(image["data"], STANDARD.encode(&bytes));
        assert_eq!(facts(&shown)["mime_type"], kind);
        assert_eq!(facts(&shown)["size"], bytes.len());
        let said = shown.0["content"][1]["text"].as_str().expect("a last line");
        assert!(said.contains(kind), "{said}");
        let arguments = json!({ "path": name, "encoding": "base64" });
        let bytes_of_it = server.call("read_file", arguments).await;
        assert_eq!(bytes_of_it.text(), STANDARD.encode(&bytes));
    }

    server
        .shell("truncate -s 700000 png.txt; cp jpeg large; truncate -s 700001 large")
        .await;
    let largest = server.read("png.txt").await;
    assert_eq!(largest.0["content"][0]["type"], "image");
    assert!(largest.0.to_string().len() < 1_000_000);
    let large = server.read("large").await;
    assert_eq!(large.code(), "too_large");
    for said in ["700001", "700000", "shell_exec", "download"] {
        assert!(large.text().contains(said), "{}", large.text());
    }
    let other = server
        .shell("cp /usr/bin/env binary; echo 'GIF89a is a signature' > text")
        .await;
    assert_eq!(other.exit_code(), 0);
    let binary = server.read("binary").await;
    assert_eq!(binary.code(), "not_text");
    assert!(binary.text().contains("base64"), "{}", binary.text());
    assert_eq!(server.read("text").await.text(), "GIF89a is a signature\n");
}

#[tokio::test]
async fn odd_files_are_answered_within_a_second() {
    let server = TestServer::new().start().await;
    let make = "mkfifo fifo; mkdir directory; echo secret > shut; chmod 0 shut; \
                python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'; \
                ln -s fifo to-fifo; truncate -s 2147483647 zeros; yes line | head -2000 > sparse; \
                cp sparse utf-16; truncate -s 2147483647 sparse; \
                (printf '\\xff\\xfe'; iconv -t UTF-16LE sparse 2>/dev/null | head -c 20000) > utf-16; \
                truncate -s 2147483647 utf-16";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    docker::beside(
        &server.instance.container(),
        "mknod -m 666 /workspace/null c 1 3",
    );
    for (path, code) in [
        ("fifo", "not_regular"),
        ("to-fifo", "not_regular"),
        ("socket", "not_regular"),
        ("null", "not_regular"),
        ("directory", "is_directory"),
        ("shut", "permission_denied"),
        ("zeros", "not_text"),
        ("missing", "not_found"),
    ] {
        let text = at_once(&server, json!({ "path": path })).await;
        assert_eq!(text.code(), code, "{path}: {}", text.0);
        if path != "zeros" {
            let arguments = json!({ "path": path, "encoding": "base64" });
            assert_eq!(at_once(&server, arguments).await.code(), code, "{path}");
        }
    }
    for path in ["sparse", "utf-16"] {
        let first = at_once(&server, json!({ "path": path })).await;
        let closing = first.text().lines().last().expect("a closing line");
        assert!(
            closing.starts_with("[lines 1-2000 of more than 2000; next: start_line=2001"),
            "{closing}"
        );
        let beyond = at_once(
            &server,
            json!({ "path": path, "start_line": 1_000_000_000 }),
        )
        .await;
        assert!(
            beyond.text().contains("the file has 2001 lines"),
            "{}",
            beyond.text()
        );
        let arguments = json!({ "path": path, "encoding": "base64", "offset": 2_147_483_640 });
        let end = at_once(&server, arguments).await;
        assert_eq!(
            end.text(),
            "AAAAAAAAAA==\n[bytes 2147483640-2147483646 of 2147483647]"
        );
    }
}

#[tokio::test]
async fn a_file_that_grows_all_the_while_has_an_end() {
    let server = TestServer::new().start().await;
    let grow = "(while :; do echo growing; done > grow) & echo $!";
    let writer = server.shell(grow).await.stdout().trim().to_owned();
    let mut sizes = Vec::new();
    while sizes.len() < 20 {
        let read = at_once(&server, json!({ "path": "grow" })).await;
        assert!(!read.is_error(), "{}", read.0);
        sizes.push(facts(&read)["size"].as_u64().expect("a size"));
        let shown = read
            .text()
            .lines()
            .filter(|line| *line == "growing")
            .count();
        assert!(shown <= 2000, "{shown} lines");
    }
    server.shell(&format!("kill {writer}")).await;
    assert!(
        sizes.is_sorted() && sizes.first() < sizes.last(),
        "{sizes:?}"
    );
}
