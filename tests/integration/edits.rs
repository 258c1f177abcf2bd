//! `edit_file`: exactly the requested edit, or an error that helps to correct it.

use serde_json::json;

use crate::harness::{CallResult, Server, TestServer};

async fn edit(server: &Server, old: &str, new: &str) -> CallResult {
    let arguments = json!({ "path": "file", "old_text": old, "new_text": new });
    server.call("edit_file", arguments).await
}

#[tokio::test]
async fn an_edit_shows_what_changed_in_both_halves_and_keeps_the_rest() {
    let server = TestServer::new().start().await;
    server
        .shell("seq 9 > file; chmod 751 file; ln -s file link")
        .await;
    let arguments = json!({ "path": "link", "old_text": "5\n", "new_text": "fünf\n5.5\n" });
    let edited = server.call("edit_file", arguments).await;
    let text = "2\n3\n4\nfünf\n5.5\n6\n7\n8\n";
    assert_eq!(edited.field("replaced"), 1);
    assert_eq!(edited.field("size"), 26);
    assert_eq!(
        edited.field("excerpts"),
        &json!([{ "start_line": 2, "text": text }])
    );
    assert_eq!(
        edited.text(),
        format!(
            "edited link: 1 replacement (26 bytes)\n[from line 2]\n{}",
            text.trim_end()
        )
    );
    let kept = server
        .shell("stat -c '%a %F' file link; tail -n 1 file; ls -A | grep tmp")
        .await;
    assert_eq!(kept.stdout(), "751 regular file\n777 symbolic link\n9\n");

    server.write("file", &"x = 1\n".repeat(500)).await;
    let all = json!({ "path": "file", "old_text": "1", "new_text": "2", "replace_all": true });
    let edited = server.call("edit_file", all).await;
    assert_eq!(edited.field("replaced"), 500);
    assert!(
        edited.field("not_shown").as_u64().is_some_and(|n| n >= 400),
        "{}",
        edited.0
    );
    assert!(
        edited.text().contains("more not shown]"),
        "{}",
        edited.text()
    );
    assert_eq!(server.shell("sort -u file").await.stdout(), "x = 2\n");
}

#[tokio::test]
async fn a_text_that_is_not_there_once_leads_to_the_one_that_is() {
    let server = TestServer::new().start().await;
    let content = "def one():\n\treturn 1\n\ndef two():\n\treturn 1\n";
    server.write("file", content).await;
    let several = edit(&server, "return 1", "return 2").await;
    assert_eq!(several.code(), "several_matches");
    assert!(
        several.text().contains("2 times, at lines 2, 5. "),
        "{}",
        several.text()
    );
    let spaces = edit(&server, "def two():\n    return 1", "x").await;
    assert_eq!(spaces.code(), "no_match");
    let says = spaces.text();
    assert!(says.contains("white space it is at line 4"), "{says}");
    assert!(says.ends_with("\ndef two():\n\treturn 1"), "{says}");
    let closest = edit(&server, "def too():", "x").await;
    assert!(closest.text().contains("line 4"), "{}", closest.text());
    let nothing = edit(&server, "class Elsewhere(Base):", "x").await;
    assert!(
        nothing.text().contains("Read the file"),
        "{}",
        nothing.text()
    );
    assert_eq!(server.read("file").await.text(), content);

    server.shell("printf 'one\\r\\ntwo\\r\\n' > file").await;
    let ends = edit(&server, "one\ntwo\n", "x").await;
    assert!(ends.text().contains("line endings"), "{}", ends.text());
    // Line ends outside the edited text stay as they are.
    assert!(!edit(&server, "two", "2").await.is_error());
    assert_eq!(
        server
            .shell("od -c -A n file")
            .await
            .stdout()
            .replace(' ', ""),
        "one\\r\\n2\\r\\n\n"
    );
}

#[tokio::test]
async fn an_edit_that_cannot_be_made_says_why_and_changes_nothing() {
    let server = TestServer::new().start().await;
    let make = "mkdir directory; mkfifo fifo; ln -s /etc/passwd out; echo a > shut; chmod 000 shut; \
                head -c 8388609 /dev/zero > large; printf 'caf\\351 old' > file";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    for (path, old, new, code) in [
        ("missing/below", "a", "b", "not_found"),
        ("directory", "a", "b", "is_directory"),
        ("fifo", "a", "b", "not_regular"),
        ("out", "root", "b", "outside_workspace"),
        ("shut", "a", "b", "permission_denied"),
        ("large", "a", "b", "too_large"),
        ("../file", "a", "b", "outside_workspace"),
        ("file", "", "b", "invalid_argument"),
        ("file", "old", "old", "invalid_argument"),
        ("file", "old", &"x".repeat(3 << 20), "invalid_argument"),
    ] {
        let arguments = json!({ "path": path, "old_text": old, "new_text": new });
        let refused = server.call("edit_file", arguments).await;
        assert_eq!(refused.code(), code, "{path}: {}", refused.text());
    }
    // Bytes that are not text do not prevent an edit.
    assert!(!edit(&server, "old", "new").await.is_error());
    let seen = server.shell("od -c -A n file; ls").await;
    assert_eq!(
        seen.stdout(),
        "   c   a   f 351       n   e   w\ndirectory\nfifo\nfile\nlarge\nout\nshut\n"
    );
}

#[tokio::test]
async fn with_the_core_tools_there_is_no_edit_file() {
    let core = TestServer::new()
        .env("CASEMATE_TOOLS", "core")
        .start()
        .await;
    let names = async |server: &Server| {
        let answer = server.rpc.request("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().expect("tools").clone();
        tools
            .iter()
            .map(|tool| tool["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&core).await,
        ["shell_exec", "write_file", "read_file", "list_files"]
    );
    let arguments = json!({ "path": "file", "old_text": "a", "new_text": "b" });
    let (_, pending) = core.start_call("edit_file", arguments).await;
    let answer = pending.answer().await.expect("an answer");
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|m| m.contains("unknown tool"))
    );
    let all = TestServer::on(&core.instance).start().await;
    assert_eq!(names(&all).await.len(), 6);
}
