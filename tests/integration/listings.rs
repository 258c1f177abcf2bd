//! Listings: patterns, the form of names, and cursors.

use serde_json::{Value, json};

use crate::harness::{CallResult, Server, TestServer};

mod large;

async fn list(server: &Server, arguments: Value) -> CallResult {
    let result = server.call("list_files", arguments).await;
    assert!(!result.is_error(), "{}", result.0);
    result
}

fn entries(result: &CallResult) -> &[Value] {
    result.field("entries").as_array().expect("entries")
}

fn paths(result: &CallResult) -> Vec<&str> {
    let paths = entries(result).iter().map(|entry| &entry["path"]);
    paths.map(|path| path.as_str().expect("a path")).collect()
}

fn cursor(result: &CallResult) -> &str {
    result.field("next_cursor").as_str().expect("a cursor")
}

/// All pages, with at most `limit` entries each; `between` runs after each.
async fn pages(
    server: &Server,
    mut arguments: Value,
    mut between: impl AsyncFnMut(&str),
) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = list(server, arguments.clone()).await;
        assert!(page.text().lines().count() <= entries(&page).len() + 1);
        all.extend(paths(&page).into_iter().map(str::to_owned));
        if cursor(&page).is_empty() {
            return all;
        }
        assert_ne!(arguments["cursor"], cursor(&page), "no way on");
        arguments["cursor"] = cursor(&page).into();
        if let Some(last) = all.last() {
            between(last).await;
        }
    }
}

#[tokio::test]
async fn a_pattern_finds_names_at_any_depth_and_paths_where_they_are() {
    let server = TestServer::new().start().await;
    let make = "mkdir -p src/t/deep .git && touch a.rs b.md src/a.rs src/b.txt src/t/c.rs \
                src/t/deep/d.rs .git/e.rs .home/f.rs && ln -s t src/link.rs";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    let all_rs = [
        ".git/e.rs",
        "a.rs",
        "src/a.rs",
        "src/link.rs",
        "src/t/c.rs",
        "src/t/deep/d.rs",
    ];
    for (arguments, expected) in [
        (json!({ "pattern": "*.rs" }), &all_rs[..]),
        (json!({ "pattern": "**/*.rs" }), &all_rs),
        (json!({ "pattern": "*.rs", "depth": 1 }), &["a.rs"]),
        (json!({ "pattern": "/*.{rs,md}" }), &["a.rs", "b.md"]),
        (
            json!({ "pattern": "src/*.rs" }),
            &["src/a.rs", "src/link.rs"],
        ),
        (
            json!({ "pattern": "src/**/[cd].rs" }),
            &["src/t/c.rs", "src/t/deep/d.rs"],
        ),
        (json!({ "pattern": "?.txt" }), &["src/b.txt"]),
        (
            json!({ "pattern": "*.rs", "path": "src/t" }),
            &["src/t/c.rs", "src/t/deep/d.rs"],
        ),
        (
            json!({ "pattern": "/*.rs", "path": "/workspace/src/t" }),
            &["src/t/c.rs"],
        ),
        (
            json!({ "pattern": "*/", "path": "src" }),
            &["src/t", "src/t/deep"],
        ),
        (json!({ "pattern": "f.rs" }), &[]),
        (
            json!({ "pattern": "f.rs", "path": ".home" }),
            &[".home/f.rs"],
        ),
        (json!({ "pattern": "" }), &[".git", "a.rs", "b.md", "src"]),
    ] {
        let found = list(&server, arguments.clone()).await;
        assert_eq!(paths(&found), expected, "{arguments}");
    }
    let link = list(&server, json!({ "pattern": "link.rs" })).await;
    assert_eq!(entries(&link)[0]["target"], "t");
    assert!(link.text().ends_with("src/link.rs -> t"), "{}", link.text());
    let none = list(&server, json!({ "pattern": "*.c" })).await;
    assert_eq!(none.text(), "[no entries]");
}

#[tokio::test]
async fn an_invalid_pattern_is_refused_with_the_reason() {
    let server = TestServer::new().start().await;
    for (pattern, problem) in [
        ("[a-", "missing ']'"),
        ("{a", "missing '}'"),
        ("a}", "missing '{'"),
        ("[z-a]", "'z' > 'a'"),
        ("a\\", "dangling"),
        ("!*.rs", "exclude"),
        ("../*", "`..`"),
        ("/workspace/*.rs", "leave it away"),
        (&"{a}".repeat(100), "64 groups"),
        (&"a".repeat(2000), "1024 bytes"),
    ] {
        let refused = server
            .call("list_files", json!({ "pattern": pattern }))
            .await;
        assert_eq!(refused.code(), "invalid_argument", "{pattern}");
        let text = refused.text();
        assert!(
            text.contains("`pattern`") && text.contains(problem),
            "{text}"
        );
    }
}

#[tokio::test]
async fn odd_names_are_matched_paged_and_shown_as_plain_text() {
    let server = TestServer::new().start().await;
    let make = "mkdir odd && cd odd && touch $'new\\nline' $'esc\\e[31m' $'bidi\\u202e' $'\\xff\\xfe' \
                'back\\slash' ' ' ./-rf && ln -s $'to\\n\\xff' link";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    let shown = [
        "odd/ ",
        "odd/-rf",
        r"odd/back\slash",
        r"$'odd/bidi\xe2\x80\xae'",
        r"$'odd/esc\x1b[31m'",
        "odd/link",
        r"$'odd/new\x0aline'",
        r"$'odd/\xff\xfe'",
    ];
    for arguments in [
        json!({ "path": "odd", "limit": 1 }),
        json!({ "path": "odd", "limit": 1, "pattern": "*" }),
        json!({ "pattern": "odd/*", "limit": 3 }),
    ] {
        assert_eq!(pages(&server, arguments, async |_| {}).await, shown);
    }
    let all = list(&server, json!({ "path": "odd" })).await;
    assert_eq!(entries(&all)[5]["target"], r"$'to\x0a\xff'");
    assert_eq!(all.text().lines().count(), shown.len());
    assert!(!all.text().contains(['\u{1b}', '\u{202e}', '\u{fffd}']));
    for (pattern, found) in [
        ("new?line", shown[6]),
        ("??", shown[7]),
        ("*\\\\*", shown[2]),
    ] {
        let listed = list(&server, json!({ "pattern": pattern })).await;
        assert_eq!(paths(&listed), [found], "{pattern}");
    }
}

#[tokio::test]
async fn a_cursor_survives_what_happens_between_two_pages() {
    let server = TestServer::new().start().await;
    let make = "mkdir a b d && touch a/1 a/2 b/1 c d/1";
    assert_eq!(server.shell(make).await.exit_code(), 0);
    for pattern in ["", "*"] {
        let arguments = json!({ "depth": 2, "limit": 1, "pattern": pattern });
        let listed = pages(&server, arguments, async |last: &str| {
            let change = match last {
                // The entry of the cursor is gone.
                "a/1" => "rm -r a",
                // A directory was replaced by a link that leads out.
                "b" => "rm -r b; ln -s /etc b",
                // Before the cursor, and after it.
                "c" => "mkdir a; touch a/0 cc",
                _ => return,
            };
            assert_eq!(server.shell(change).await.exit_code(), 0);
        });
        assert_eq!(listed.await, ["a", "a/1", "b", "c", "cc", "d", "d/1"]);
        let again = "rm -r a b cc; mkdir a b && touch a/1 a/2 b/1";
        assert_eq!(server.shell(again).await.exit_code(), 0);
    }
}
