//! Files that are not plain UTF-8, and names that only look like the one that was given.

use serde_json::json;

use crate::harness::{Server, TestServer};

async fn edit(server: &Server, path: &str, old: &str, new: &str) -> crate::harness::CallResult {
    let arguments = json!({ "path": path, "old_text": old, "new_text": new });
    server.call("edit_file", arguments).await
}

#[tokio::test]
async fn no_edit_and_no_append_leaves_two_encodings_in_one_file() {
    let server = TestServer::new().start().await;
    let made = server
        .shell(
            r"printf 'caf\xe9 = 1\n' > latin; printf '\xff\xfea\x00\n\x00' > wide;
            printf 'gr\xc3\xbc\xc3\x9fe\nbad \xff\n\xc3\xa4 = 1\n' > damaged; printf 'a\r\nb\r\n' > crlf",
        )
        .await;
    assert_eq!(made.field("exit_code"), 0);
    let refused = edit(&server, "latin", "= 1", "= \u{fc}").await;
    assert!(
        refused.text().starts_with("not_text: "),
        "{}",
        refused.text()
    );
    assert!(refused.text().contains("Latin-1"), "{}", refused.text());
    let edited = edit(&server, "latin", "= 1", "= 2").await;
    assert!(
        edited.text().contains("[the file is Latin-1"),
        "{}",
        edited.text()
    );
    let edited = edit(&server, "wide", "a", "\u{e9}").await;
    assert_eq!(edited.field("encoding"), "UTF-16LE");
    let append = json!({ "path": "wide", "content": "b\n", "mode": "append" });
    assert!(!server.call("write_file", append).await.is_error());
    // The line can be searched for as it is shown.
    let shown = server.read("damaged").await;
    assert!(shown.text().contains("\n\u{e4} = 1\n"), "{}", shown.text());
    let edited = edit(&server, "damaged", "\u{e4} = 1", "\u{e4} = 2").await;
    assert!(!edited.is_error(), "{}", edited.text());
    let edited = edit(&server, "crlf", "b", "b\nc").await;
    assert_eq!(edited.field("mixed_line_ends"), true);
    let bytes = server
        .shell("for f in latin wide damaged; do od -An -c -v $f | tr -s ' \\n' ' '; echo; done")
        .await;
    let expected = r" c a f 351 = 2 \n 
 377 376 351 \0 \n \0 b \0 \n \0 
 g r 303 274 303 237 e \n b a d 377 \n 303 244 = 2 \n 
";
    assert_eq!(bytes.stdout(), expected);
}

#[tokio::test]
async fn one_rule_for_links_and_rights_is_told_by_every_tool() {
    let server = TestServer::new().start().await;
    server
        .shell("echo old > file; ln file other; echo x > shut; chmod 444 shut")
        .await;
    let append = json!({ "path": "file", "content": "more\n", "mode": "append" });
    let appended = server.call("write_file", append).await;
    assert_eq!(appended.field("other_names"), 1);
    assert!(
        appended
            .text()
            .ends_with("[the file had 1 other name (hard links), which keeps the old content]"),
        "{}",
        appended.text()
    );
    let kept = server.shell("cat other; stat -c %h file").await;
    assert_eq!(kept.stdout(), "old\n1\n");
    let write = |mode: &str| json!({ "path": "shut", "content": "y", "mode": mode });
    for refused in [
        server.call("write_file", write("overwrite")).await,
        server.call("write_file", write("append")).await,
        edit(&server, "shut", "x", "y").await,
    ] {
        assert!(
            refused.text().starts_with("permission_denied: "),
            "{}",
            refused.text()
        );
        assert!(refused.text().contains("mode 0444"), "{}", refused.text());
    }
    assert_eq!(server.shell("cat shut").await.stdout(), "x\n");
}

#[tokio::test]
async fn a_name_that_looks_alike_is_named_and_a_pattern_is_explained() {
    let server = TestServer::new().start().await;
    server
        .shell("mkdir -p 'app/[id]' app/i; touch 'app/[id]/page' app/i/other")
        .await;
    server.write("dir/cafe\u{301}.txt", "x").await;
    let missing = server.read("dir/caf\u{e9}.txt").await;
    assert!(
        missing.text().starts_with("not_found: "),
        "{}",
        missing.text()
    );
    assert!(
        missing.text().contains(r"cafe\u{301}.txt"),
        "{}",
        missing.text()
    );
    let list = |pattern: &str| json!({ "path": ".", "pattern": pattern });
    let set = server.call("list_files", list("app/[id]/**")).await;
    let hint = set.field("hint").as_str().expect("a hint").to_owned();
    assert!(hint.ends_with(r"write \[id\]"), "{hint}");
    assert!(set.text().contains("app/i/other"), "{}", set.text());
    let name = server.call("list_files", list(r"app/\[id\]/**")).await;
    assert!(name.text().contains("app/[id]/page"), "{}", name.text());
    assert!(!name.text().contains("app/i/other"), "{}", name.text());
}
