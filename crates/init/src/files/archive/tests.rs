use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;

use casemate_protocol::download_part::Part;
use casemate_protocol::failure::Code;
use casemate_protocol::{DownloadRequest, FailureExt as _, backup};
use rustix::fs::{CWD, Mode, mkdirat, mknodat};
use tokio::sync::mpsc;

use super::super::testing::{CANARY, Sandbox, deep};
use super::walk::{HELD_NAMES_LIMIT, OPEN_DIRECTORY_LIMIT};
use super::*;

/// The archive of a directory.
pub(in crate::files) fn archive(sandbox: &Sandbox, path: &str) -> Result<Vec<u8>, Failure> {
    let request = DownloadRequest {
        path: path.to_owned().into(),
        ..DownloadRequest::default()
    };
    downloaded(sandbox, request)
}

fn downloaded(sandbox: &Sandbox, request: DownloadRequest) -> Result<Vec<u8>, Failure> {
    let (sender, mut parts) = mpsc::channel(1);
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            let parts = PartSender(sender);
            sandbox
                .workspace
                .download(&request, &parts, &Cancel::default())
        });
        let mut bytes = Vec::new();
        while let Some(part) = parts.blocking_recv() {
            if let Some(Part::Data(data)) = part.expect("a part").part {
                bytes.extend_from_slice(&data);
            }
        }
        work.join().expect("it does not panic").map(|()| bytes)
    })
}

/// Paths of an archive, as the library reads them.
fn listed(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("an archive");
    let path = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let path = entry.expect("an entry").path_bytes().into_owned();
        String::from_utf8_lossy(&path).into_owned()
    };
    entries.map(path).collect()
}

#[test]
fn files_directories_and_links_come_sorted_and_the_rest_is_left_out() {
    let sandbox = Sandbox::new(true);
    for path in [
        "b/file",
        "a",
        ".casemate/output",
        "b/.casemate/kept",
        ".home/x",
    ] {
        sandbox.file(path, "x");
    }
    sandbox.file(".casemate-tmp-0123456789abcdef", "left by a kill");
    sandbox.link("out", sandbox.outside(""));
    sandbox.link("b/loop", "..");
    mknodat(CWD, sandbox.at("b/fifo"), FileType::Fifo, Mode::RWXU, 0).expect("made");
    let _socket = UnixListener::bind(sandbox.at("b/socket")).expect("bound");
    let all = archive(&sandbox, "").expect("archive");
    let expected = [
        ".home/",
        ".home/x",
        "a",
        "b/",
        "b/.casemate/",
        "b/.casemate/kept",
        "b/file",
        "b/loop",
        "out",
    ];
    assert_eq!(listed(&all), expected);
    assert!(
        !String::from_utf8_lossy(&all).contains(CANARY),
        "a link was followed"
    );
    assert_eq!(all.len() % 512, 0);
    let below = archive(&sandbox, "b/.casemate").expect("archive");
    assert_eq!(listed(&below), ["kept"]);
    sandbox.dir("empty");
    assert_eq!(archive(&sandbox, "empty"), Ok(vec![0; 1024]));
}

#[test]
fn hidden_names_are_left_out_at_any_depth_where_that_is_asked_for() {
    let sandbox = Sandbox::new(true);
    for path in [".env", "a/.git/config", "a/b/.x", "a/b/y", "a/..c", "d"] {
        sandbox.file(path, "x");
    }
    // Entries that are left out need not be readable.
    fs::set_permissions(sandbox.at("a/.git"), fs::Permissions::from_mode(0o000)).expect("chmod");
    let request = |path: &str| DownloadRequest {
        path: path.to_owned().into(),
        without_hidden: true,
        ..DownloadRequest::default()
    };
    let all = downloaded(&sandbox, request("")).expect("archive");
    assert_eq!(listed(&all), ["a/", "a/b/", "a/b/y", "d"]);
    let below = downloaded(&sandbox, request("a/b")).expect("archive");
    assert_eq!(listed(&below), ["y"]);
    fs::set_permissions(sandbox.at("a/.git"), fs::Permissions::from_mode(0o700)).expect("chmod");
}

#[test]
fn names_of_any_bytes_and_length_come_as_they_are() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::new(true);
    let mut names: Vec<Vec<u8>> = [1, 99, 100, 101, 255]
        .into_iter()
        .flat_map(|length| [vec![b'n'; length], vec![0xff; length]])
        .collect();
    names.extend([b"with\nnewline".to_vec(), b" ".to_vec(), b"a\\b".to_vec()]);
    for name in &names {
        let path = sandbox.at("").join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, name).expect("written");
    }
    let all = archive(&sandbox, "").expect("archive");
    let mut reader = tar::Archive::new(&all[..]);
    let mut found = Vec::new();
    for entry in reader.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        assert!(entry.path_bytes() == content, "{:?}", entry.path_bytes());
        found.push(content);
    }
    names.sort();
    assert!(found == names);
}

#[test]
fn a_sparse_file_comes_as_its_data_and_is_read_back_whole() {
    let sandbox = Sandbox::new(true);
    let file = File::create(sandbox.at("sparse")).expect("made");
    // More pieces than one header has room for, a hole at both ends.
    for piece in 0..60_u64 {
        file.write_all_at(&[7; 5000], 100_000 + piece * 200_000)
            .expect("written");
    }
    file.set_len(1 << 30).expect("a hole at the end");
    let stored = file.metadata().expect("stat").blocks() * 512;
    let all = archive(&sandbox, "").expect("archive");
    assert!(all.len() as u64 <= stored + 10_240, "{} bytes", all.len());
    let mut reader = tar::Archive::new(&all[..]);
    let mut entry = reader.entries().expect("an archive").next();
    let entry = entry.as_mut().expect("one").as_mut().expect("an entry");
    assert_eq!(entry.size(), 1 << 30);
    let mut head = vec![0; 13_000_000];
    entry.read_exact(&mut head).expect("content");
    let mut there = vec![0; head.len()];
    file.sync_all().expect("synced");
    let again = File::open(sandbox.at("sparse")).expect("opened");
    again.read_exact_at(&mut there, 0).expect("read");
    assert!(head == there);

    let hole = File::create(sandbox.at("sparse")).expect("made");
    hole.set_len(1 << 40).expect("a hole");
    let all = archive(&sandbox, "").expect("archive");
    assert!(all.len() < 10_240, "{} bytes", all.len());
}

#[test]
fn a_directory_of_more_names_than_are_held_and_a_deep_one() {
    let sandbox = Sandbox::new(true);
    for number in 0..2 * HELD_NAMES_LIMIT.0 + 5 {
        sandbox.file(&format!("many/{number:05}"), "");
    }
    let all = archive(&sandbox, "many").expect("archive");
    let names = listed(&all);
    assert_eq!(names.len(), 2 * HELD_NAMES_LIMIT.0 + 5);
    assert!(names.is_sorted());
    for (name, depth) in [
        ("deep", 2 * OPEN_DIRECTORY_LIMIT + 5),
        ("deepest", backup::DEPTH),
    ] {
        sandbox.dir(name);
        // A name before and one after each that leads down.
        let made = deep(&sandbox.at(name), &vec![&b"d"[..]; depth]);
        for name in ["a", "e"] {
            for dir in made.iter().rev().skip(1).take(OPEN_DIRECTORY_LIMIT + 5) {
                mkdirat(dir, name, Mode::RWXU).expect("made");
            }
        }
        let paths = listed(&archive(&sandbox, name).expect("archive"));
        assert_eq!(paths.len(), depth + 2 * (OPEN_DIRECTORY_LIMIT + 5));
        assert!(
            paths
                .iter()
                .is_sorted_by_key(|path| path.trim_end_matches('/'))
        );
    }
    deep(&sandbox.at("deepest"), &vec![&b"d"[..]; backup::DEPTH + 1]);
    let failed = archive(&sandbox, "deepest").expect_err("too deep");
    assert_eq!(failed.code(), Code::NameTooLong);
    assert!(
        failed.text().contains("d/d/d: more than"),
        "{}",
        failed.text()
    );
}

#[test]
fn what_cannot_be_read_is_named_before_anything_is_sent() {
    let sandbox = Sandbox::new(true);
    sandbox.file("a", "readable");
    sandbox.file("dir/shut", "");
    sandbox.file("shut/file", "");
    let set = |path: &str, mode| {
        fs::set_permissions(sandbox.at(path), fs::Permissions::from_mode(mode)).expect("set");
    };
    for (path, code) in [
        ("dir/shut", Code::PermissionDenied),
        ("shut", Code::PermissionDenied),
    ] {
        set(path, 0);
        super::super::testing::without_privilege(|| {
            let (sender, mut parts) = mpsc::channel(16);
            let request = DownloadRequest::default();
            let sent = PartSender(sender);
            let done = sandbox
                .workspace
                .download(&request, &sent, &Cancel::default());
            let failed = done.expect_err("shut");
            assert_eq!((failed.code(), failed.entry.as_str()), (code, path));
            drop(sent);
            assert!(parts.blocking_recv().is_none(), "something was sent");
        });
        set(path, 0o755);
    }
    assert!(archive(&sandbox, "").is_ok());
    let mut file = File::create(sandbox.at("dir/shut")).expect("opened");
    file.write_all(b"x").expect("written");
}
