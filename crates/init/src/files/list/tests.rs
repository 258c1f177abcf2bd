use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use casemate_protocol::Entry;
use casemate_protocol::entry::Type;
use casemate_protocol::failure::Code;
use proptest::prelude::*;
use rustix::fs::{CWD, mkdirat, mknodat};

use super::super::testing::{Sandbox, code, paths, with_and_without_openat2, without_privilege};
use super::*;

#[test]
fn a_tree_is_listed_in_preorder_to_the_depth_asked_for() {
    with_and_without_openat2(|sandbox| {
        for file in ["b", "a/z", "a/b/c/d", "a-b", "a.b/x"] {
            sandbox.file(file, "");
        }
        let list = |path, depth| paths(&sandbox.list(path, depth).expect("listed"));
        assert_eq!(list("", 1), ["a", "a-b", "a.b", "b"]);
        let two = ["a", "a/b", "a/z", "a-b", "a.b", "a.b/x", "b"];
        assert_eq!(list("", 2), two);
        assert_eq!(list("", 64).len(), 9);
        assert_eq!(list("a", 2), ["a/b", "a/b/c", "a/z"]);
        assert_eq!(list("a/b/c", 1), ["a/b/c/d"]);
    });
}

#[test]
fn each_entry_says_what_is_there() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("file", "12345");
        let at = sandbox.at("file");
        fs::set_permissions(&at, fs::Permissions::from_mode(0o4751)).expect("chmod");
        let before = std::time::UNIX_EPOCH - std::time::Duration::from_millis(2500);
        let opened = fs::File::options().append(true).open(&at);
        opened
            .and_then(|file| file.set_modified(before))
            .expect("time");
        sandbox.dir("directory");
        sandbox.link("inside", "file");
        sandbox.link("out", "/etc/passwd");
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, sandbox.at("fifo"), FileType::Fifo, mode, 0).expect("FIFO");
        let _listener = UnixListener::bind(sandbox.at("socket")).expect("socket");

        let entries = sandbox.list("", 2).expect("listed");
        let kinds: Vec<_> = entries.iter().map(Entry::r#type).collect();
        assert_eq!(
            paths(&entries),
            ["directory", "fifo", "file", "inside", "out", "socket"]
        );
        let expected = [
            Type::Directory,
            Type::Fifo,
            Type::File,
            Type::Symlink,
            Type::Symlink,
            Type::Socket,
        ];
        assert_eq!(kinds, expected);
        let file = &entries[2];
        assert_eq!((file.size, file.mode, file.modified_ms), (5, 0o4751, -2500));
        assert_eq!(file.target, "");
        assert_eq!(entries[3].target, "file");
        assert_eq!(entries[4].target, "/etc/passwd");

        let one = sandbox.list("file", 1).expect("listed");
        assert_eq!(one, std::slice::from_ref(file));
        let fifo = sandbox.list("fifo", 1).expect("listed");
        assert_eq!(fifo[0].r#type(), Type::Fifo);
    });
}

#[test]
fn a_link_is_followed_in_the_path_and_nowhere_below() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("real/file", "");
        sandbox.link("real/self", "../real");
        sandbox.link("link", "real");
        let listed = sandbox.list("link", 64).expect("listed");
        assert_eq!(paths(&listed), ["link/file", "link/self"]);
    });
}

#[test]
fn our_own_directories_are_hidden_unless_named() {
    with_and_without_openat2(|sandbox| {
        for file in [
            ".casemate/output/1.log",
            ".home/.profile",
            "a/.home/x",
            ".git/x",
        ] {
            sandbox.file(file, "");
        }
        let listed = sandbox.list("", 2).expect("listed");
        assert_eq!(paths(&listed), [".git", ".git/x", "a", "a/.home"]);
        let named = sandbox.list(".casemate", 2).expect("listed");
        assert_eq!(
            paths(&named),
            [".casemate/output", ".casemate/output/1.log"]
        );
        let below = sandbox.list(".casemate/output", 1).expect("listed");
        assert_eq!(paths(&below), [".casemate/output/1.log"]);
        assert_eq!(sandbox.list(".home", 1).expect("listed").len(), 1);
        // Also when a cursor points into them.
        let behind = sandbox.list_page("", 3, 10, 1000, b".casemate/output");
        assert_eq!(paths(&behind.expect("listed").entries)[0], ".git");
    });
}

#[test]
fn names_of_any_bytes_are_listed() {
    let sandbox = Sandbox::new(true);
    let names: [&[u8]; 5] = [b"\x01", b" ", b"\x1b[31m", b"new\nline", b"\xff\xfe"];
    for name in names {
        fs::write(sandbox.at("").join(OsStr::from_bytes(name)), "").expect("file");
    }
    let listed = sandbox.list("", 1).expect("listed");
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert!(listed.iter().map(|entry| &entry.path[..]).eq(sorted));
}

#[test]
fn a_directory_that_cannot_be_read_is_shown_and_not_entered() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("a/file", "");
        sandbox.file("searched/file", "");
        sandbox.file("shut/file", "");
        fs::set_permissions(sandbox.at("searched"), fs::Permissions::from_mode(0o444))
            .expect("chmod");
        fs::set_permissions(sandbox.at("shut"), fs::Permissions::from_mode(0o0)).expect("chmod");
        without_privilege(|| {
            let entries = sandbox.list("", 2).expect("listed");
            let shown = ["a", "a/file", "searched", "searched/file", "shut"];
            assert_eq!(paths(&entries), shown);
            // Its name may be read, and nothing else of it.
            assert_eq!(entries[3].r#type(), Type::Unspecified);
            let itself = sandbox.list("shut", 1).map(|_| ());
            assert_eq!(itself, Err(Code::PermissionDenied));
        });
    });
}

#[test]
fn bounds_of_a_listing_are_checked() {
    let sandbox = Sandbox::new(true);
    sandbox.file("a/b", "");
    let page = |path, depth, limit, max_chars, after: &[u8]| {
        let page = sandbox.list_page(path, depth, limit, max_chars, after);
        page.map(|reply| reply.entries.len())
    };
    assert_eq!(page("", 64, 5000, MAX_CHARS, b""), Ok(2));
    for (depth, limit, max_chars) in [
        (0, 1, 1),
        (65, 1, 1),
        (1, 0, 1),
        (1, 5001, 1),
        (1, 1, 0),
        (1, 1, MAX_CHARS + 1),
    ] {
        assert_eq!(page("", depth, limit, max_chars, b""), Err(Code::Invalid));
    }
    for after in [&b"x"[..], b"b/c", b"ab", b"/", b"a//b", b"a/.", b"a/x\0"] {
        assert_eq!(page("a", 1, 1, 1, after), Err(Code::Invalid));
    }
    assert_eq!(page("a", 1, 1, 1, b"a/.."), Err(Code::OutsideWorkspace));
    assert_eq!(
        page("", 1, 1, 1, &[b'x'; MAX_AFTER + 1]),
        Err(Code::Invalid)
    );
}

#[test]
fn a_cancelled_listing_ends() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "");
    let cancel = Cancel::default();
    cancel.cancel();
    let request = ListFilesRequest {
        path: bytes::Bytes::new(),
        depth: 1,
        limit: 1,
        after: Default::default(),
        max_chars: 1,
        pattern: String::new(),
    };
    let listed = sandbox.workspace.list_files(&request, &cancel);
    assert_eq!(listed.map_err(code), Err(Code::Cancelled));
}

/// All pages together; `between` runs after each.
fn pages(
    sandbox: &Sandbox,
    path: &str,
    depth: u32,
    limit: u32,
    max_chars: u32,
    between: impl FnMut(&Entry),
) -> Vec<Entry> {
    let request = ListFilesRequest {
        path: path.to_owned().into(),
        depth,
        limit,
        max_chars,
        ..ListFilesRequest::default()
    };
    pages_of(sandbox, request, PAGE_TIMEOUT, between)
}

/// All pages of a request, each of which looks for entries for `time` at the most.
pub(super) fn pages_of(
    sandbox: &Sandbox,
    mut request: ListFilesRequest,
    time: Duration,
    mut between: impl FnMut(&Entry),
) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let page = sandbox
            .workspace
            .list_for(time, &request, &Cancel::default());
        let page = page.expect("listed");
        assert!(page.entries.len() <= usize::try_from(request.limit).expect("limit"));
        let bytes = page
            .entries
            .iter()
            .map(|entry| entry.path.len() + entry.target.len());
        let bytes = bytes.sum::<usize>() as u64;
        assert!(page.entries.len() == 1 || bytes <= u64::from(request.max_chars));
        all.extend(page.entries);
        if !page.more {
            assert_eq!(page.next, "");
            return all;
        }
        assert!(page.next != request.after, "no way on");
        request.after = page.next;
        if let Some(last) = all.last() {
            between(last);
        }
    }
}

#[test]
fn twenty_thousand_entries_paged_are_all_of_them_once() {
    let sandbox = Sandbox::new(true);
    sandbox.dir("many");
    let mut names: Vec<String> = (0..20_000).map(|number| format!("many/{number}")).collect();
    for name in &names {
        fs::write(sandbox.at(name), "").expect("file");
    }
    names.sort_unstable();
    let listed = pages(&sandbox, "many", 1, 1777, 1_000_000, |_| {});
    assert_eq!(paths(&listed), names);
    let listed = pages(&sandbox, "", 2, 5000, 20_000, |_| {});
    assert_eq!(paths(&listed)[1..], names);
}

#[test]
fn a_cursor_survives_what_happens_between_the_pages() {
    with_and_without_openat2(|sandbox| {
        for file in ["a/1", "a/2", "b/1", "b/2", "c", "d/1"] {
            sandbox.file(file, "");
        }
        let mut seen = Vec::new();
        let listed = pages(sandbox, "", 2, 1, 1000, |last| {
            let last = String::from_utf8_lossy(&last.path).into_owned();
            match last.as_str() {
                // The place of the cursor is gone, with its directory.
                "a/1" => fs::remove_dir_all(sandbox.at("a")).expect("removed"),
                // A directory is a link by now: it is not followed.
                "b" => {
                    fs::remove_dir_all(sandbox.at("b")).expect("removed");
                    sandbox.link("b", "/etc");
                }
                // Before the cursor, and after it.
                "c" => {
                    sandbox.file("a/new", "");
                    sandbox.file("cc", "");
                }
                _ => {}
            }
            seen.push(last);
        });
        assert_eq!(paths(&listed), ["a", "a/1", "b", "c", "cc", "d", "d/1"]);
        assert_eq!(seen, ["a", "a/1", "b", "c", "cc", "d"]);
    });
}

#[test]
fn a_tree_deeper_than_any_path_is_listed_where_it_begins() {
    let sandbox = Sandbox::new(true);
    let mut dir = sandbox.workspace.root.try_clone().expect("root");
    let name = "n".repeat(255);
    for _ in 0..70 {
        mkdirat(&dir, &name, Mode::from_raw_mode(0o755)).expect("directory");
        dir = openat(&dir, &name, DIRECTORY, Mode::empty()).expect("directory");
    }
    let listed = pages(&sandbox, "", 64, 7, 30_000, |_| {});
    assert_eq!(listed.len(), 64);
    assert_eq!(listed[63].path.len(), 64 * 256 - 1);
    // A page of one entry that is itself too large.
    assert_eq!(pages(&sandbox, "", 64, 7, 1, |_| {}).len(), 64);
}

/// Names that sort differently by component and by path, and not as UTF-8.
pub(super) const NAMES: [&[u8]; 8] = [b"a", b"a-", b"a.b", b"aa", b"b", b"\xff", b" ", b"~"];

#[derive(Clone, Debug)]
pub(super) enum Node {
    File,
    Link,
    Directory(Vec<(usize, Node)>),
}

pub(super) fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![Just(Node::File), Just(Node::Link)];
    leaf.prop_recursive(4, 60, 8, |inner| {
        let children = prop::collection::vec((0..NAMES.len(), inner), 0..8);
        children.prop_map(Node::Directory)
    })
}

pub(super) fn make(at: &Path, node: &Node) {
    match node {
        Node::File => fs::write(at, "x").expect("file"),
        Node::Link => std::os::unix::fs::symlink("..", at).expect("link"),
        Node::Directory(children) => {
            fs::create_dir(at).expect("directory");
            for (name, child) in children {
                let below = at.join(OsStr::from_bytes(NAMES[*name]));
                if below.symlink_metadata().is_err() {
                    make(&below, child);
                }
            }
        }
    }
}

/// The plain way: everything in memory, sorted by components.
fn model(at: &Path, prefix: &[u8], depth: u32) -> Vec<(Vec<u8>, u64)> {
    let mut all = Vec::new();
    let mut names: Vec<_> = fs::read_dir(at)
        .expect("directory")
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for name in names {
        let path = [prefix, name.as_bytes()].concat();
        let below = at.join(&name);
        let stat = fs::symlink_metadata(&below).expect("stat");
        all.push((path.clone(), stat.size()));
        if stat.is_dir() && depth > 1 {
            all.extend(model(&below, &[&path[..], b"/"].concat(), depth - 1));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pages_together_are_the_whole_listing(
        tree in node(),
        depth in 1..6u32,
        limit in 1..9u32,
        max_chars in 1..60u32,
    ) {
        let sandbox = Sandbox::new(true);
        make(&sandbox.at("top"), &tree);
        let all = model(&sandbox.at(""), b"", depth);
        let listed = pages(&sandbox, "", depth, limit, max_chars, |_| {});
        // A server that shows less of a page continues after the entries that it showed.
        for shown in &listed {
            let rest = sandbox.list_page("", depth, 1, 1, &shown.path).expect("listed");
            let at = all.iter().position(|(path, _)| path[..] == shown.path[..]).expect("listed");
            let next = all.get(at + 1).map(|(path, _)| &path[..]);
            prop_assert_eq!(rest.entries.first().map(|entry| &entry.path[..]), next);
        }
        let listed: Vec<_> = listed.iter().map(|e| (e.path.to_vec(), e.size)).collect();
        prop_assert_eq!(listed, all);
    }
}
