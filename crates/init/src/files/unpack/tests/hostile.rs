use super::*;

/// Refused archives: the error names the entry, and nothing outside is touched.
fn refused(what: &str, archive: &[u8], expected: Code, named: &str) {
    with_and_without_openat2(|sandbox| {
        sandbox.link("top-link", sandbox.outside(""));
        sandbox.dir("top");
        sandbox.link("top/out", sandbox.outside(""));
        sandbox.file("top/dir/file", "old");
        let failed = unpack(sandbox, "top", archive).expect_err(what);
        assert_eq!(failed.code(), expected, "{what}: {}", failed.text());
        assert!(failed.text().contains(named), "{what}: {}", failed.text());
        sandbox.assert_outside_untouched();
        for dir in ["", "top", "top/dir"] {
            sandbox.assert_clean(dir);
        }
    });
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["/etc/passwd", "../file", "dir/../../file", "dir/.."] {
        let archive = tar(&[file("first", ""), file(path, "x")]);
        refused(path, &archive, Code::OutsideWorkspace, path);
    }
    let through = tar(&[file("out/new", "x")]);
    refused(
        "a link that was there",
        &through,
        Code::NotDirectory,
        "out/new",
    );
    let below = tar(&[entry(EntryType::Directory, b"out/dir/", b"", b"")]);
    refused(
        "a directory through it",
        &below,
        Code::NotDirectory,
        "out/dir",
    );
    let itself = tar(&[entry(EntryType::Directory, b"out", b"", b"")]);
    refused(
        "a directory in its place",
        &itself,
        Code::NotDirectory,
        "out",
    );
}

#[test]
fn a_link_may_lead_anywhere_and_none_is_followed() {
    for target in [
        "..",
        "../..",
        "/etc",
        "/",
        "dir/../..",
        "dir/..",
        "./../x",
        "/workspace/../etc",
        "/workspace/top/dir",
        "../../outside",
        "dir",
    ] {
        for through in [
            file("bad/secret", "x"),
            entry(EntryType::Directory, b"bad/new/", b"", b""),
            entry(EntryType::Directory, b"bad/", b"", b""),
            link("bad/link", "x"),
            entry(EntryType::Link, b"bad/hard", b"dir/file", b""),
            entry(EntryType::Link, b"hard", b"bad/secret", b""),
        ] {
            let archive = tar(&[link("bad", target), through]);
            refused(target, &archive, Code::NotDirectory, "bad");
        }
    }
    refused(
        "nothing",
        &tar(&[link("bad", "")]),
        Code::BadArchive,
        "bad: ",
    );
    // Also inside: no entry goes through a link.
    let through = tar(&[link("inside", "dir"), file("inside/file", "x")]);
    refused(
        "through its own",
        &through,
        Code::NotDirectory,
        "inside/file",
    );
    let swapped = tar(&[
        file("dir/a", ""),
        link("dir/a", "../dir"),
        file("dir/a/file", "x"),
    ]);
    refused(
        "a file that becomes a link",
        &swapped,
        Code::NotDirectory,
        "dir/a/file",
    );
}

#[test]
fn hard_links_are_to_files_of_the_directory_only() {
    let hard = |target: &[u8]| tar(&[entry(EntryType::Link, b"hard", target, b"")]);
    for (target, expected) in [
        (&b"../../outside/secret"[..], Code::OutsideWorkspace),
        (b"/etc/passwd", Code::OutsideWorkspace),
        (b"out/secret", Code::NotDirectory),
        (b"out", Code::BadArchive),
        (b"dir", Code::BadArchive),
        (b"none", Code::NotFound),
        (b"", Code::BadArchive),
    ] {
        refused("a hard link", &hard(target), expected, "hard: ");
    }
}

#[test]
fn devices_fifos_and_what_nobody_knows_are_refused() {
    for kind in [
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::new(b'V'),
    ] {
        let archive = tar(&[entry(kind, b"thing", b"", b"")]);
        refused("a device", &archive, Code::BadArchive, "thing: ");
    }
    let over = tar(&[file("dir", "x")]);
    refused("a file over a directory", &over, Code::IsDirectory, "dir: ");
}

#[test]
fn what_claims_too_much_is_refused_before_it_is_written() {
    for claimed in [LIMIT + 1, 1 << 40, u64::MAX / 2, u64::MAX] {
        let archive = entry_of(EntryType::Regular, b"bomb", b"", b"", claimed);
        let mut archive = tar(&[archive]);
        let sandbox = Sandbox::new(true);
        let failed = unpack(&sandbox, "", &archive).expect_err("too large");
        assert!(
            matches!(failed.code(), Code::FileTooLarge | Code::BadArchive),
            "{}",
            failed.text()
        );
        assert!(!sandbox.at("bomb").exists());
        archive.truncate(512);
        assert!(unpack(&sandbox, "", &archive).is_err());
    }
    let halves = [
        file("a", &"x".repeat(600_000)),
        file("b", &"x".repeat(600_000)),
    ];
    refused("two halves", &tar(&halves), Code::FileTooLarge, "b: ");
    let mut sparse = Header::new_gnu();
    sparse.set_entry_type(EntryType::GNUSparse);
    sparse.set_mode(0o644);
    sparse.set_size(0);
    let gnu = sparse.as_gnu_mut().expect("gnu");
    gnu.name[..4].copy_from_slice(b"bomb");
    gnu.set_real_size(1 << 40);
    gnu.sparse[0].set_offset(1 << 40);
    gnu.sparse[0].set_length(0);
    sparse.set_cksum();
    let sparse = tar(&[sparse.as_bytes().to_vec()]);
    refused("a sparse file", &sparse, Code::FileTooLarge, "bomb: ");
}

#[test]
fn headers_of_an_entry_and_what_pads_the_end_are_bounded() {
    for kind in [
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
    ] {
        let long = entry(kind, b"long", b"", &vec![b'n'; 8 << 20]);
        let archive = tar(&[file("first", ""), long, file("short", "")]);
        refused("a long name", &archive, Code::BadArchive, "after first: ");
    }
    let name = entry(EntryType::GNULongName, b"long", b"", &[b'n'; 300]);
    let archive = tar(&[name, file("short", "")]);
    refused("a name", &archive, Code::NameTooLong, "nnn: ");
    let path = entry(
        EntryType::GNULongName,
        b"long",
        b"",
        &b"d/".repeat(casemate_protocol::backup::DEPTH + 1),
    );
    refused(
        "a path",
        &tar(&[path, file("short", "")]),
        Code::NameTooLong,
        "d/d/: ",
    );
    let mut padded = tar(&[file("file", "")]);
    padded.resize(padded.len() + (8 << 20), 0);
    refused("padding", &padded, Code::BadArchive, "after file: ");
}

#[test]
fn what_ends_in_the_middle_is_named() {
    let archive = tar(&[file("first", "whole"), file("second", &"x".repeat(1000))]);
    for (length, named) in [
        (0, "before the first entry"),
        (100, "before the first entry"),
        (512, "first: "),
        (515, "first: "),
        (1024, "after first: "),
        (1030, "after first: "),
        (1536 + 999, "second: "),
        (archive.len() - 1024, "after second: "),
    ] {
        let sandbox = Sandbox::new(true);
        let failed = unpack(&sandbox, "", &archive[..length]).expect_err("not whole");
        assert_eq!(failed.code(), Code::BadArchive);
        assert!(failed.text().contains(named), "{length}: {}", failed.text());
        assert!(!sandbox.at("second").exists() || length == archive.len() - 1024);
        sandbox.assert_clean("");
    }
    let mut spoilt = archive.clone();
    spoilt[1024 + 3] ^= 1;
    refused("a checksum", &spoilt, Code::BadArchive, "after first: ");
    refused(
        "no archive",
        &[b'x'; 4096],
        Code::BadArchive,
        "not a tar archive",
    );
}

#[test]
fn more_entries_than_may_be_are_refused() {
    let sandbox = Sandbox::new(true);
    let one = entry(EntryType::Directory, b"dir/", b"", b"");
    let limit = super::policy::UPLOAD.max_entries;
    let most = usize::try_from(limit).expect("it fits");
    let mut archive = one.repeat(most);
    archive.extend_from_slice(&[0; 1024]);
    assert_eq!(
        unpack(&sandbox, "", &archive).expect("as many").entries,
        limit
    );
    let mut archive = one.repeat(most + 1);
    archive.extend_from_slice(&[0; 1024]);
    let failed = unpack(&sandbox, "", &archive).expect_err("one more");
    assert_eq!(failed.code(), Code::BadArchive);
    assert!(failed.text().contains("more than 100000 entries"));
}
