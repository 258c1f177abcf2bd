//! Backup and restore: the restored workspace is equal to the original.

pub(in crate::files) mod any_tree;

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use casemate_protocol::download_part::Part;
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, mknodat, utimensat};
use tokio::sync::mpsc;

use super::super::super::testing::Sandbox;
use super::super::super::unpack::tests::unpack_exactly;
use super::*;

/// The backup; `during` runs as soon as its first part has come.
pub(in crate::files) fn backup(sandbox: &Sandbox, during: impl FnOnce()) -> (Vec<u8>, CopyCheck) {
    let (sender, mut parts) = mpsc::channel(1);
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            let parts = PartSender(sender);
            sandbox.workspace.backup(&parts, &Cancel::default())
        });
        let mut bytes = Vec::new();
        let mut during = Some(during);
        while let Some(part) = parts.blocking_recv() {
            if let Some(Part::Data(data)) = part.expect("a part").part {
                bytes.extend_from_slice(&data);
            }
            if let Some(during) = during.take() {
                during();
            }
        }
        (bytes, work.join().expect("no panic").expect("a backup"))
    })
}

fn set_modified(path: &Path, tv_sec: i64, tv_nsec: i64) {
    let time = Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("its time is set");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode is set");
}

/// Some of everything that a workspace can hold.
fn fill(sandbox: &Sandbox) {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(250));
    for path in ["a", "dir/b", "dir/.casemate/kept", ".home/.config/x", &long] {
        sandbox.file(path, format!("content of {path}"));
    }
    sandbox.file(".home/.cache/pip/x", "can be had again");
    sandbox.file("dir/.cache/kept", "not the home's");
    sandbox.file(".casemate/output/1.log", "ours");
    sandbox.file("empty-file", "");
    sandbox.file("new\nline \u{202e}\t", "odd");
    let bytes = std::ffi::OsStr::from_bytes(b"latin-\xe9-\xff");
    fs::write(sandbox.at("").join(bytes), "odd bytes").expect("written");
    sandbox.dir("empty/deeper");
    for (name, target) in [
        ("out", "/usr/bin/python3"),
        ("up", "../../.."),
        ("dangling", "nowhere"),
    ] {
        sandbox.link(name, target);
    }
    symlink("t".repeat(300), sandbox.at("long-target")).expect("linked");
    for (first, second) in [("a", "dir/a-again"), ("empty-file", "z")] {
        fs::hard_link(sandbox.at(first), sandbox.at(second)).expect("linked");
    }
    let sparse = File::create(sandbox.at("sparse")).expect("made");
    sparse.write_all_at(b"begin", 1 << 20).expect("written");
    sparse.write_all_at(b"middle", 40 << 20).expect("written");
    sparse.set_len(100 << 20).expect("grown");
    mknodat(CWD, sandbox.at("fifo"), FileType::Fifo, Mode::RWXU, 0).expect("made");
    for (path, mode) in [
        ("a", 0o4751),
        ("dir/b", 0o000),
        ("dir", 0o1555),
        ("empty", 0o311),
    ] {
        set_mode(&sandbox.at(path), mode);
    }
    for (path, seconds, nanos) in [
        ("a", 1_234_567_890, 123_456_789),
        ("empty-file", -5, 500_000_000),
        ("out", 7, 1),
        ("empty/deeper", 9, 999_999_999),
        ("empty", 10, 0),
        ("dir", 11, 5),
        ("", 12, 6),
    ] {
        set_modified(&sandbox.at(path), seconds, nanos);
    }
}

/// All that is at a path and below, a line each, but for what a backup leaves out.
fn listed(top: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(path) = todo.pop() {
        let stat = fs::symlink_metadata(&path).expect("it is there");
        let kind = stat.file_type();
        let content = if kind.is_file() {
            format!(
                "{:x?}",
                fs::read(&path)
                    .expect("read")
                    .iter()
                    .fold(0_u64, |sum, byte| {
                        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
                    })
            )
        } else if kind.is_symlink() {
            format!("{:?}", fs::read_link(&path).expect("read"))
        } else {
            String::new()
        };
        let name = path.strip_prefix(top).expect("below").to_owned();
        let links = if kind.is_file() { stat.nlink() } else { 0 };
        let (mode, size) = (stat.mode(), if kind.is_dir() { 0 } else { stat.size() });
        let time = (stat.mtime(), stat.mtime_nsec());
        lines.push(format!(
            "{name:?} {mode:o} {size} {links} {time:?} {content}"
        ));
        if kind.is_dir() {
            let below = fs::read_dir(&path).expect("listed");
            let below = below.map(|entry| entry.expect("an entry").path());
            let is_left_out = |path: &Path| {
                [".casemate", ".home/.cache", "fifo"]
                    .iter()
                    .any(|name| path == top.join(name))
            };
            todo.extend(below.filter(|path| !is_left_out(path)));
        }
    }
    lines.sort();
    lines
}

#[test]
fn what_is_made_from_a_backup_is_what_was_there_to_the_byte_and_the_nanosecond() {
    let (original, copy) = (Sandbox::new(true), Sandbox::new(true));
    fill(&original);
    // As PID 1 makes them when it starts.
    copy.dir(".home");
    copy.dir(".casemate");
    let (archive, _) = backup(&original, || {});
    unpack_exactly(&copy, &archive).expect("unpacked");
    assert_eq!(listed(&copy.at("")), listed(&original.at("")));
    assert!(!copy.at(".home/.cache").exists() && !copy.at("fifo").exists());
    assert_eq!(
        fs::metadata(copy.at("a")).expect("there").ino(),
        fs::metadata(copy.at("dir/a-again")).expect("there").ino()
    );
    let blocks = fs::metadata(copy.at("sparse")).expect("there").blocks();
    assert!(blocks * 512 < 2 << 20, "{blocks} blocks");
    let (again, _) = backup(&copy, || {});
    assert!(again == archive, "the backup of the copy is another");
}

#[test]
fn a_workspace_whose_user_has_removed_home_is_made_without_one() {
    let (original, copy) = (Sandbox::new(true), Sandbox::new(true));
    original.file("a", "x");
    copy.dir(".home");
    let (archive, _) = backup(&original, || {});
    unpack_exactly(&copy, &archive).expect("unpacked");
    assert!(!copy.at(".home").exists());
}

#[test]
fn a_change_while_it_is_copied_shows_and_no_change_does_not() {
    let sandbox = Sandbox::new(true);
    sandbox.file("a", "first");
    sandbox.file("b", vec![b'b'; 4 << 20]);
    sandbox.dir("a-dir");
    let changed = |during: &dyn Fn()| !backup(&sandbox, during).1.same;
    assert!(!changed(&|| {}));
    assert!(changed(&|| sandbox.file("a", "other")));
    assert!(changed(&|| sandbox.file("new", "")));
    assert!(changed(
        &|| fs::remove_file(sandbox.at("new")).expect("removed")
    ));
    assert!(changed(&|| set_mode(&sandbox.at("a-dir"), 0o700)));
    assert!(changed(&|| sandbox.link("a-dir/link", "target")));
    assert!(!changed(&|| {}));
}

#[test]
fn what_has_just_been_written_counts_as_fresh() {
    let sandbox = Sandbox::new(true);
    sandbox.file("a", vec![b'a'; 1 << 20]);
    let renewed = backup(&sandbox, || sandbox.file("z", "young")).1;
    assert!(renewed.fresh && !renewed.same);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while backup(&sandbox, || {}).1.fresh {
        assert!(std::time::Instant::now() < end, "it does not become older");
    }
}

#[test]
fn what_had_to_be_made_readable_is_fresh_only_where_it_was_written() {
    let sandbox = Sandbox::new(true);
    sandbox.file("dir/locked", "x");
    for path in ["dir/locked", "dir"] {
        set_modified(&sandbox.at(path), 1, 0);
        set_mode(&sandbox.at(path), 0);
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    // The top is new.
    while backup(&sandbox, || {}).1.fresh {
        assert!(std::time::Instant::now() < end, "it does not become older");
    }
    let copied = backup(&sandbox, || {}).1;
    assert!(copied.same && !copied.fresh);
}

#[test]
fn what_remembers_names_is_bounded_also_where_they_are_short() {
    let sandbox = Sandbox::new(true);
    sandbox.file("a", "");
    let mut stat = rustix::fs::stat(sandbox.at("a")).expect("stat");
    stat.st_nlink = 2;
    let mut links = Links::default();
    for inode in 0..1_000_000 {
        stat.st_ino = inode;
        let _ = links.remember(b"a", &stat);
    }
    // A table grows by doubling.
    let taken = links.paths.capacity() * size_of::<((u64, u64), Box<[u8]>)>();
    assert!(taken <= LINK_BYTES_LIMIT, "{taken} bytes");
}

#[test]
fn a_file_that_becomes_shorter_is_filled_up_and_counts_as_changed() {
    let sandbox = Sandbox::new(true);
    sandbox.file("a", vec![b'a'; 8 << 20]);
    let shorter = || {
        let file = File::options().write(true).open(sandbox.at("a"));
        file.and_then(|file| file.set_len(5 << 20)).expect("cut");
    };
    let (archive, copied) = backup(&sandbox, shorter);
    assert!(!copied.same);
    let mut archive = tar::Archive::new(&archive[..]);
    let entries = archive.entries().expect("an archive");
    let sizes = entries.map(|entry| entry.expect("an entry").size());
    assert_eq!(sizes.collect::<Vec<_>>(), [0, 8 << 20]);
}
