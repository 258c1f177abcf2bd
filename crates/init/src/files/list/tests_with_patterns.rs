use std::collections::BTreeSet;
use std::fs;

use casemate_protocol::Entry;
use casemate_protocol::entry::Type;
use casemate_protocol::failure::Code;
use proptest::prelude::*;

use super::super::testing::{Sandbox, paths, with_and_without_openat2};
use super::tests::{make, node, pages_of};
use super::*;

fn request(path: &str, pattern: &str) -> ListFilesRequest {
    ListFilesRequest {
        path: path.to_owned().into(),
        depth: MAX_DEPTH,
        limit: MAX_LIMIT,
        max_chars: MAX_CHARS,
        pattern: pattern.into(),
        ..ListFilesRequest::default()
    }
}

fn list(sandbox: &Sandbox, request: &ListFilesRequest) -> Result<Vec<String>, Code> {
    let listed = sandbox.workspace.list_files(request, &Cancel::default());
    let reply = listed.map_err(|failure| failure.code())?;
    assert!(!reply.more, "one page holds all");
    Ok(paths(&reply.entries))
}

#[test]
fn a_pattern_chooses_among_what_is_below_the_path() {
    with_and_without_openat2(|sandbox| {
        for file in [
            "a.rs",
            "src/a.rs",
            "src/b.txt",
            "src/t/c.rs",
            ".home/x.rs",
            ".git/y.rs",
        ] {
            sandbox.file(file, "");
        }
        sandbox.link("src/link.rs", "t");
        let list = |path, pattern| list(sandbox, &request(path, pattern)).expect("listed");
        let all = [".git/y.rs", "a.rs", "src/a.rs", "src/link.rs", "src/t/c.rs"];
        assert_eq!(list("", "*.rs"), all);
        assert_eq!(list("", "/*.rs"), ["a.rs"]);
        assert_eq!(list("", "src/*.rs"), ["src/a.rs", "src/link.rs"]);
        assert_eq!(
            list("src", "*.rs"),
            ["src/a.rs", "src/link.rs", "src/t/c.rs"]
        );
        assert_eq!(list("src", "src/*.rs"), [""; 0]);
        assert_eq!(list("", "**/"), [".git", "src", "src/t"]);
        assert_eq!(list("", "t"), ["src/t"]);
        // A link is no directory, also one to a directory.
        assert_eq!(list("", "link.rs/"), [""; 0]);
        // Ours are hidden, and asked for by path they are not.
        assert_eq!(list("", ".home/*"), [""; 0]);
        assert_eq!(list(".home", "*.rs"), [".home/x.rs"]);
        // A file is what is below its directory.
        assert_eq!(list("src/a.rs", "*.rs"), ["src/a.rs"]);
        assert_eq!(list("src/a.rs", "*.txt"), [""; 0]);
        assert_eq!(list("src/a.rs", "a.rs/"), [""; 0]);
    });
}

#[test]
fn the_depth_bounds_a_pattern_too() {
    let sandbox = Sandbox::new(true);
    for file in ["x", "a/x", "a/b/x"] {
        sandbox.file(file, "");
    }
    for (depth, expected) in [
        (1, &["x"][..]),
        (2, &["a/x", "x"]),
        (3, &["a/b/x", "a/x", "x"]),
    ] {
        let request = ListFilesRequest {
            depth,
            ..request("", "x")
        };
        assert_eq!(list(&sandbox, &request).expect("listed"), expected);
    }
    assert_eq!(list(&sandbox, &request("", "[")), Err(Code::BadPattern));
}

#[test]
fn a_match_behind_more_directories_than_are_held_is_found_in_one_page() {
    let sandbox = Sandbox::new(true);
    for number in 0..20_000 {
        fs::create_dir(sandbox.at(&format!("{number}"))).expect("directory");
    }
    sandbox.file("9999/needle", "");
    sandbox.file("z", "");
    let found = list(&sandbox, &request("", "needle")).expect("listed");
    assert_eq!(found, ["9999/needle"]);
    let found = list(&sandbox, &request("", "[z]")).expect("listed");
    assert_eq!(found, ["z"]);
}

#[test]
fn a_page_without_time_is_empty_and_says_where_to_go_on() {
    let sandbox = Sandbox::new(true);
    for file in ["a/1", "a/2", "b/needle"] {
        sandbox.file(file, "");
    }
    let mut request = request("", "needle");
    let mut went = Vec::new();
    let found = loop {
        let page = sandbox
            .workspace
            .list_for(Duration::ZERO, &request, &Cancel::default());
        let page = page.expect("listed");
        request.after = page.next;
        went.push(String::from_utf8_lossy(&request.after).into_owned());
        if !page.entries.is_empty() {
            break page.entries;
        }
        assert!(page.more);
    };
    assert_eq!(paths(&found), ["b/needle"]);
    // Files that do not match are not gone through one by one.
    assert_eq!(went, ["a", "b", "b/needle"]);
}

/// Patterns for the names of [`super::tests::NAMES`].
fn pattern() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("*"),
        Just("**"),
        Just("?"),
        Just("a"),
        Just("a*"),
        Just("[!a]*"),
        Just("{a,b}"),
        Just("{a/b,aa}"),
        Just("\\~"),
        Just("top"),
        Just("top"),
    ];
    let names = prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    (
        names,
        prop_oneof![Just(""), Just("/")],
        prop_oneof![Just(""), Just("/")],
    )
        .prop_map(|(names, front, end)| [front, &names, end].concat())
}

/// The plain way: everything, and what matches of it.
fn model(sandbox: &Sandbox, pattern: &str, depth: u32) -> BTreeSet<Vec<u8>> {
    let mut matcher = Pattern::parse(pattern)
        .expect("a pattern")
        .expect("not empty");
    let everything = ListFilesRequest {
        depth,
        ..request("", "")
    };
    let everything = pages_of(sandbox, everything, PAGE_TIMEOUT, |_| {});
    let mut matches = |entry: &Entry| {
        let wanted = entry.r#type() == Type::Directory || !matcher.directories_only;
        wanted && matcher.matches(&entry.path).expect("matched")
    };
    let matching = everything.iter().filter(|entry| matches(entry));
    matching.map(|entry| entry.path.to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn pages_together_are_all_that_matches_however_short_their_time_is(
        tree in node(),
        pattern in pattern(),
        depth in 1..6u32,
        limit in 1..9u32,
        max_chars in 1..60u32,
        hurry in any::<bool>(),
    ) {
        let sandbox = Sandbox::new(true);
        make(&sandbox.at("top"), &tree);
        let request = ListFilesRequest { depth, limit, max_chars, ..request("", &pattern) };
        let time = if hurry { Duration::ZERO } else { PAGE_TIMEOUT };
        let listed = pages_of(&sandbox, request, time, |_| {});
        let found: BTreeSet<_> = listed.iter().map(|entry| entry.path.to_vec()).collect();
        prop_assert_eq!(found.len(), listed.len(), "nothing twice");
        prop_assert_eq!(found, model(&sandbox, &pattern, depth), "{}", pattern);
    }
}
