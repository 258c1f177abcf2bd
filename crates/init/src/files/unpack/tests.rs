//! Archives that are well meant; [`hostile`] ones; and both ways at once.

mod hostile;
mod round_trip;
mod sparse;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bytes::Bytes;
use casemate_protocol::{FailureExt as _, MAX_CHUNK};
use tar::Header;

use super::super::Cancel;
use super::super::testing::{Sandbox, code, with_and_without_openat2};
use super::super::upload::{Piece, Transfer};
use super::*;

const LIMIT: u64 = 1 << 20;

/// Makes the workspace as the archive of a backup says.
pub(in crate::files) fn unpack_exactly(
    sandbox: &Sandbox,
    archive: &[u8],
) -> Result<UploadDone, Failure> {
    let begin = UploadBegin {
        unpack: true,
        exact: true,
        limit: u64::MAX,
        ..UploadBegin::default()
    };
    send(sandbox, &begin, archive)
}

/// Unpacks these bytes into the directory `path`.
fn unpack(sandbox: &Sandbox, path: &str, archive: &[u8]) -> Result<UploadDone, Failure> {
    unpack_as(sandbox, path, archive, false)
}

fn unpack_as(
    sandbox: &Sandbox,
    path: &str,
    archive: &[u8],
    create_new: bool,
) -> Result<UploadDone, Failure> {
    let begin = UploadBegin {
        path: path.to_owned().into(),
        create_new,
        unpack: true,
        limit: LIMIT,
        exact: false,
    };
    send(sandbox, &begin, archive)
}

fn send(sandbox: &Sandbox, begin: &UploadBegin, archive: &[u8]) -> Result<UploadDone, Failure> {
    let (sender, content) = tokio::sync::mpsc::channel(4);
    let archive = Bytes::copy_from_slice(archive);
    let feed = std::thread::spawn(move || {
        let mut archive = archive;
        while !archive.is_empty() {
            let chunk = archive.split_to(archive.len().min(MAX_CHUNK));
            if sender.blocking_send(Piece::Data(chunk)).is_err() {
                return;
            }
        }
        let _ = sender.blocking_send(Piece::End);
    });
    let transfer = Transfer {
        room: &|| Ok(()),
        ready: &|| Ok(()),
        cancel: &Cancel::default(),
    };
    let done = sandbox
        .workspace
        .upload(begin, Content::new(content), &transfer);
    feed.join().expect("it does not panic");
    done
}

/// One entry, with its content after it.
fn entry(kind: EntryType, path: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    entry_of(kind, path, target, content, content.len() as u64)
}

/// Any one, with these bits.
fn with_mode(mode: u32, mut entry: Vec<u8>) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&entry[..512]);
    header.set_mode(mode);
    header.set_cksum();
    entry[..512].copy_from_slice(header.as_bytes());
    entry
}

/// One that claims to have `size` bytes.
fn entry_of(kind: EntryType, path: &[u8], target: &[u8], content: &[u8], size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o7755);
    header.set_mtime(1_000_000_000);
    header.set_size(size);
    let gnu = header.as_gnu_mut().expect("gnu");
    gnu.name[..path.len()].copy_from_slice(path);
    gnu.linkname[..target.len()].copy_from_slice(target);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(path: &str, content: &str) -> Vec<u8> {
    entry(EntryType::Regular, path.as_bytes(), b"", content.as_bytes())
}

fn link(path: &str, target: &str) -> Vec<u8> {
    entry(EntryType::Symlink, path.as_bytes(), target.as_bytes(), b"")
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

#[test]
fn files_directories_and_links_are_made_with_their_bits_and_times() {
    with_and_without_openat2(|sandbox| {
        let archive = tar(&[
            entry(EntryType::XGlobalHeader, b"pax", b"", b"11 a=bcdef\n"),
            entry(EntryType::Directory, b"./", b"", b""),
            entry(EntryType::Directory, b"./dir/", b"", b""),
            file("dir/file", "content"),
            file("not/named/before", ""),
            link("dir/up", "../dir/file"),
            entry(EntryType::Link, b"hard", b"dir/file", b""),
        ]);
        let done = unpack(sandbox, "new/top", &archive).expect("done");
        assert_eq!((done.size, done.created, done.entries), (7, true, 6));
        let stat = fs::metadata(sandbox.at("new/top/dir/file")).expect("there");
        assert_eq!(stat.permissions().mode() & 0o7777, 0o755, "only the 9 bits");
        assert_eq!(stat.mtime(), 1_000_000_000);
        assert_eq!(stat.nlink(), 2);
        assert_eq!(sandbox.read("new/top/dir/up"), Ok(b"content".to_vec()));
        assert_eq!(sandbox.read("new/top/not/named/before"), Ok(Vec::new()));
        assert!(!unpack(sandbox, "new/top", &archive).expect("again").created);
        for dir in ["new/top", "new/top/dir"] {
            sandbox.assert_clean(dir);
        }
    });
}

#[test]
fn what_is_there_is_replaced_name_by_name_and_a_link_never_followed() {
    let sandbox = Sandbox::new(true);
    sandbox.file("top/file", "old");
    sandbox.file("top/kept", "kept");
    sandbox.link("top/secret", sandbox.outside("secret"));
    let archive = tar(&[
        file("file", "1"),
        file("file", "new"),
        file("secret", "mine"),
    ]);
    unpack(&sandbox, "top", &archive).expect("done");
    assert_eq!(sandbox.read("top/file"), Ok(b"new".to_vec()));
    assert_eq!(sandbox.read("top/kept"), Ok(b"kept".to_vec()));
    assert_eq!(sandbox.read("top/secret"), Ok(b"mine".to_vec()));
    sandbox.assert_outside_untouched();
}

/// As the user it is: root could go into all of them.
#[test]
fn a_backups_hard_link_may_be_to_a_file_in_directories_that_its_owner_is_kept_from() {
    let sandbox = Sandbox::new(true);
    let directory =
        |path: &[u8], mode| with_mode(mode, entry(EntryType::Directory, path, b"", b""));
    let archive = tar(&[
        directory(b"./", 0o300),
        directory(b"d/", 0),
        directory(b"d/in/", 0o600),
        file("d/in/x", "content"),
        file("d/y", "content"),
        entry(EntryType::Link, b"d/z", b"d/in/x", b""),
        entry(EntryType::Link, b"e", b"d/in/x", b""),
    ]);
    let as_user = || {
        let mut sets = rustix::thread::capabilities(None).expect("read");
        sets.effective = rustix::thread::CapabilitySet::empty();
        rustix::thread::set_capabilities(None, sets).expect("set");
        unpack_exactly(&sandbox, &archive)
    };
    let done = std::thread::scope(|scope| scope.spawn(as_user).join().expect("no panic"));
    done.expect("unpacked");
    let stat = |path| fs::symlink_metadata(sandbox.at(path)).expect("there");
    assert_eq!((stat("e").ino(), stat("e").nlink()), (stat("d/z").ino(), 3));
    for (path, mode) in [("", 0o300), ("d", 0), ("d/in", 0o600)] {
        assert_eq!(stat(path).mode() & 0o7777, mode, "{path}");
        assert_eq!(stat(path).mtime(), 1_000_000_000, "{path}");
    }
}

#[test]
fn only_into_a_new_directory_when_that_is_asked_for() {
    let sandbox = Sandbox::new(true);
    sandbox.dir("top");
    let archive = tar(&[file("file", "")]);
    for path in ["top", ""] {
        let refused = unpack_as(&sandbox, path, &archive, true).map_err(code);
        assert_eq!(refused, Err(Code::Exists), "{path:?}");
    }
    assert!(
        unpack_as(&sandbox, "new", &archive, true)
            .expect("done")
            .created
    );
}

#[test]
fn a_name_in_pax_records_goes_before_that_of_the_header() {
    let sandbox = Sandbox::new(true);
    let name = "n".repeat(200);
    let record = format!("210 path={name}\n");
    assert_eq!(record.len(), 210);
    let archive = tar(&[
        entry(EntryType::XHeader, b"PaxHeaders/x", b"", record.as_bytes()),
        file("short", "content"),
    ]);
    unpack(&sandbox, "", &archive).expect("done");
    assert_eq!(sandbox.read(&name), Ok(b"content".to_vec()));
    assert!(!sandbox.at("short").exists());
}
