//! The file tools: exact content, whole pages, and nothing outside the workspace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{Server, TestServer};

/// The paths of a listing.
async fn paths(server: &Server, arguments: serde_json::Value) -> (Vec<String>, String) {
    let result = server.call("list_files", arguments).await;
    assert!(!result.is_error(), "{}", result.0);
    let entries = result.field("entries").as_array().expect("entries");
    let path = |entry: &serde_json::Value| entry["path"].as_str().expect("a path").to_owned();
    let cursor = result.field("next_cursor").as_str().expect("a cursor");
    (entries.iter().map(path).collect(), cursor.to_owned())
}

#[tokio::test]
async fn written_content_is_read_back_and_both_forms_agree() {
    let server = TestServer::new().start().await;
    let written = server.write("a/b/note.txt", "zwölf\n日本\n").await;
    assert_eq!(written.text(), "created a/b/note.txt (14 bytes)");
    assert_eq!(written.field("created"), true);
    assert_eq!(written.field("size"), 14);
    assert_eq!(server.read("a/b/note.txt").await.text(), "zwölf\n日本\n");
    assert_eq!(
        server.shell("cat a/b/note.txt").await.stdout(),
        "zwölf\n日本\n"
    );
    let replaced = server.write("/workspace/a/b/note.txt", "").await;
    assert_eq!(replaced.field("created"), false);
    assert_eq!(
        server.read("a/b/note.txt").await.text(),
        "[the file is empty]"
    );

    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let content = STANDARD.encode(&bytes);
    let arguments = json!({ "path": "bytes", "content": content, "encoding": "base64" });
    assert_eq!(
        server.call("write_file", arguments).await.field("size"),
        100_000
    );
    let mut read = Vec::new();
    while read.len() < bytes.len() {
        let arguments = json!({ "path": "bytes", "encoding": "base64", "offset": read.len() });
        let part = server.call("read_file", arguments).await;
        assert!(part.0.get("structuredContent").is_none());
        let text = part.text().lines().next().expect("base64");
        read.extend(STANDARD.decode(text).expect("base64"));
    }
    assert_eq!(read, bytes);
    assert_eq!(server.read("bytes").await.code(), "not_text");
}

#[tokio::test]
async fn a_long_file_is_read_in_parts_that_say_how_to_go_on() {
    let server = TestServer::new().start().await;
    server
        .shell(
            "seq 5000 > long; printf 'a\\r\\nb' > crlf; head -c 9000 /dev/zero | tr '\\0' x > line",
        )
        .await;
    let first = server.read("long").await;
    assert!(
        first
            .text()
            .ends_with("\n2000\n[lines 1-2000 of 5000; next: start_line=2001]")
    );
    let arguments = json!({ "path": "long", "start_line": 4999, "max_lines": 5 });
    let last = server.call("read_file", arguments).await;
    assert_eq!(last.text(), "4999\n5000\n[lines 4999-5000 of 5000]");
    assert_eq!(last.0["_meta"]["io.casemate/file"]["total_lines"], 5000);
    assert_eq!(server.read("crlf").await.text(), "a\r\nb");
    let line = server.read("line").await;
    assert!(line.text().starts_with(&"x".repeat(2000)) && line.text().contains("7000 more"));
}

#[tokio::test]
async fn a_write_is_atomic_and_keeps_the_permissions() {
    let server = TestServer::new().start().await;
    server
        .shell("umask 077; echo old > script; chmod 750 script; ln -s script link")
        .await;
    server.write("link", "new\n").await;
    let facts = server
        .shell("stat -c '%a %F' script; readlink link; cat script; ls -A")
        .await;
    assert_eq!(
        facts.stdout(),
        "750 regular file\nscript\nnew\n.casemate\n.home\nlink\nscript\n"
    );

    // A reader sees the old content or the new, never a mix or nothing.
    let reader = server.shell_that_ends(
        "until [ -e written ]; do c=$(sort -u big 2>&1 | wc -l); [ $c = 1 ] || echo mix $c; done",
        120,
    );
    let writers = async {
        for letter in ["a", "b"].iter().cycle().take(60) {
            let content = format!("{letter}\n").repeat(100_000);
            assert!(!server.write("big", &content).await.is_error());
        }
        server.write("written", "").await;
    };
    server.write("big", "a\n").await;
    let (read, ()) = tokio::join!(reader, writers);
    assert_eq!((read.stdout(), read.exit_code()), ("", 0));
    let rest = server.shell("find . -name '*tmp*'").await;
    assert_eq!(rest.stdout(), "");
}

#[tokio::test]
async fn a_listing_is_sorted_paged_and_exact_about_odd_names() {
    let server = TestServer::new().start().await;
    let make = "mkdir -p d/sub && for i in $(seq -w 1 30); do echo $i > d/f$i; done; touch d/sub/x; \
                ln -s /etc/passwd d/link; mkfifo d/pipe; touch $'d/a\\nb\\e[31m' $'d/\\xff'";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    let (all, end) = paths(&server, json!({ "path": "d", "depth": 2 })).await;
    assert_eq!(end, "");
    assert_eq!(all.len(), 30 + 6);
    for name in [r"$'d/a\x0ab\x1b[31m'", r"$'d/\xff'"] {
        assert!(all.contains(&name.to_owned()), "{name}: {all:?}");
    }
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let arguments = json!({ "path": "d", "depth": 2, "limit": 7, "cursor": cursor });
        let (page, next) = paths(&server, arguments).await;
        assert!(page.len() <= 7);
        paged.extend(page);
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    assert_eq!(paged, all);
    let listed = server.list("d").await;
    let entry = |path: &str| {
        let entries = listed.field("entries").as_array().expect("entries");
        entries
            .iter()
            .find(|entry| entry["path"] == path)
            .expect("the entry")
            .clone()
    };
    assert_eq!(entry("d/link")["target"], "/etc/passwd");
    assert_eq!(entry("d/pipe")["type"], "other");
    assert_eq!(entry("d/sub")["type"], "directory");
    assert_eq!(entry("d/f01")["size"], 3);
    assert!(listed.text().contains("d/link -> /etc/passwd") && listed.text().contains("d/sub/"));
    // Hidden unless asked for.
    assert_eq!(paths(&server, json!({})).await.0, ["d"]);
    assert!(!server.list(".home").await.is_error());
}

#[tokio::test]
async fn no_path_leads_out_of_the_workspace() {
    let server = TestServer::new().start().await;
    for (path, code) in [
        ("../../etc/passwd", "outside_workspace"),
        ("/etc/passwd", "outside_workspace"),
        ("/workspace/../workspace-evil", "outside_workspace"),
        ("a\0b", "invalid_argument"),
        ("", "invalid_argument"),
        (&"x/".repeat(2500), "invalid_argument"),
        ("a/", "is_directory"),
        ("missing", "not_found"),
        (".home", "is_directory"),
        ("-rf", "not_found"),
    ] {
        let shown: String = path.chars().take(40).collect();
        assert_eq!(server.read(path).await.code(), code, "{shown:?}");
    }
    assert_eq!(server.write("-rf", "fine").await.field("path"), "-rf");
    let large = "x".repeat((3 << 20) + 1);
    let refused = server.write("large", &large).await;
    assert!(refused.text().contains("3145728"), "{}", refused.text());
}

#[tokio::test]
async fn links_out_are_refused_and_links_inside_work() {
    let server = TestServer::new().start().await;
    let make = "mkdir in; echo inside > in/file; ln -s /etc/passwd out; ln -s / root; \
                ln -s /proc/self/root/etc magic; ln -s nowhere dangling; ln -s loop loop; \
                ln -s /workspace/in/file absolute; ln -s ../in in/again; mkfifo fifo; \
                ln -s ../../../../../../etc up; ln -s /tmp/planted plant";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    for (path, code) in [
        ("out", "outside_workspace"),
        ("root/etc/passwd", "outside_workspace"),
        ("magic/passwd", "outside_workspace"),
        ("up/passwd", "outside_workspace"),
        ("dangling", "not_found"),
        ("loop", "outside_workspace"),
        ("fifo", "not_regular"),
        ("in", "is_directory"),
        ("in/file/x", "not_directory"),
    ] {
        let result = server.read(path).await;
        assert_eq!(result.code(), code, "{path}: {}", result.0);
        assert!(!result.text().contains("root:"), "{path}");
    }
    assert_eq!(server.write("plant", "x").await.code(), "outside_workspace");
    assert_eq!(
        server.write("root/tmp/x", "x").await.code(),
        "outside_workspace"
    );
    assert_eq!(server.list("root").await.code(), "outside_workspace");
    assert_eq!(server.shell("ls /tmp/planted /tmp/x").await.exit_code(), 2);
    for path in ["absolute", "in/again/file", "in/again/again/file"] {
        assert_eq!(server.read(path).await.text(), "inside\n", "{path}");
    }
    server.write("absolute", "changed\n").await;
    assert_eq!(server.read("in/file").await.text(), "changed\n");
}

#[tokio::test]
async fn wrong_arguments_are_refused_by_name() {
    let server = TestServer::new().start().await;
    for (tool, arguments, named) in [
        (
            "read_file",
            json!({ "path": "a", "lines": 3 }),
            "`max_lines`",
        ),
        (
            "read_file",
            json!({ "path": "a", "start_line": 0 }),
            "`start_line`",
        ),
        (
            "read_file",
            json!({ "path": "a", "max_lines": 0 }),
            "1 to 50000",
        ),
        (
            "read_file",
            json!({ "path": "a", "encoding": "hex" }),
            "`encoding`",
        ),
        ("read_file", json!({}), "path"),
        (
            "write_file",
            json!({ "path": "a", "content": "*", "encoding": "base64" }),
            "`content`",
        ),
        ("write_file", json!({ "path": "a" }), "content"),
        ("list_files", json!({ "depth": 65 }), "1 to 64"),
        ("list_files", json!({ "limit": 0 }), "1 to 5000"),
        ("list_files", json!({ "cursor": "%" }), "`cursor`"),
    ] {
        let result = server.call(tool, arguments).await;
        assert_eq!(result.code(), "invalid_argument", "{}", result.0);
        assert!(result.text().contains(named), "{named}: {}", result.text());
    }
    assert_eq!(paths(&server, json!({})).await.0.len(), 0);
}
