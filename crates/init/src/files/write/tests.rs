use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use casemate_protocol::failure::Code;
use rustix::fs::{CWD, FileType, mknodat};

use super::super::testing::{Sandbox, code, with_and_without_openat2, without_privilege};
use super::*;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn mode(sandbox: &Sandbox, path: &str) -> u32 {
    fs::symlink_metadata(sandbox.at(path)).expect("stat").mode() & 0o7777
}

#[test]
fn a_new_file_is_made_with_the_directories_above_it() {
    with_and_without_openat2(|sandbox| {
        let reply = sandbox.write("a/b/c.txt", "new").expect("written");
        assert_eq!((reply.size, reply.created), (3, true));
        assert_eq!(sandbox.read("a/b/c.txt"), Ok(b"new".to_vec()));
        assert_eq!(mode(sandbox, "a/b/c.txt"), 0o644);
        assert_eq!(mode(sandbox, "a/b"), 0o755);
        sandbox.assert_clean("a/b");
        let long = "n".repeat(255);
        assert!(sandbox.write(&long, "").is_ok_and(|reply| reply.created));
    });
}

#[test]
fn a_replaced_file_keeps_its_permission_bits() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("file", "old");
        for bits in [0o600, 0o755, 0o640, 0o444] {
            chmod(&sandbox.at("file"), bits);
            let reply = sandbox.write("file", "new").expect("written");
            assert!(!reply.created);
            assert_eq!(mode(sandbox, "file"), bits);
        }
        // As when it is written in place.
        chmod(&sandbox.at("file"), 0o4755);
        sandbox.write("file", "new").expect("written");
        assert_eq!(mode(sandbox, "file"), 0o755);
    });
}

#[test]
fn through_a_link_the_file_is_replaced_and_the_link_stays() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("real/file", "old");
        sandbox.link("relative", "real/file");
        sandbox.link("absolute", sandbox.at("real/file"));
        sandbox.link("directory", "real");
        sandbox.link("dangling", "real/new");
        sandbox.link("far", "missing/below/new");
        for path in ["relative", "absolute", "directory/file"] {
            let reply = sandbox.write(path, path).expect(path);
            assert!(!reply.created);
            assert_eq!(sandbox.read("real/file"), Ok(path.as_bytes().to_vec()));
        }
        for (path, real) in [("dangling", "real/new"), ("far", "missing/below/new")] {
            let reply = sandbox.write(path, path).expect(path);
            assert!(reply.created);
            assert_eq!(sandbox.read(real), Ok(path.as_bytes().to_vec()));
        }
        for link in ["relative", "absolute", "directory", "dangling", "far"] {
            let kept = fs::symlink_metadata(sandbox.at(link)).expect("stat");
            assert!(kept.is_symlink(), "{link}");
        }
    });
}

#[test]
fn what_is_no_regular_file_is_not_replaced() {
    with_and_without_openat2(|sandbox| {
        sandbox.dir("directory");
        sandbox.file("file", "");
        sandbox.link("up", "directory/..");
        let mode = Mode::from_raw_mode(0o644);
        mknodat(CWD, sandbox.at("fifo"), FileType::Fifo, mode, 0).expect("FIFO");
        for (path, code) in [
            ("", Code::IsDirectory),
            ("directory", Code::IsDirectory),
            ("up", Code::IsDirectory),
            ("fifo", Code::NotRegular),
            ("file/below", Code::NotDirectory),
            ("fifo/below", Code::NotDirectory),
        ] {
            let written = sandbox.write(path, "new").map(|_| ());
            assert_eq!(written, Err(code), "{path:?}");
        }
        let fifo = fs::metadata(sandbox.at("fifo")).expect("stat");
        assert!(fifo.file_type().is_fifo());
        sandbox.assert_clean("");
    });
}

#[test]
fn as_much_as_a_message_holds_and_no_more() {
    let sandbox = Sandbox::new(true);
    let mut content = vec![7; MAX_WRITE];
    let reply = sandbox.write("file", &content).expect("written");
    assert_eq!(reply.size, MAX_WRITE as u64);
    content.push(7);
    let written = sandbox.write("file", &content).map(|_| ());
    assert_eq!(written, Err(Code::Invalid));
    let size = fs::metadata(sandbox.at("file")).expect("stat").len();
    assert_eq!(size, MAX_WRITE as u64);
}

#[test]
fn a_cancelled_write_leaves_the_old_file() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "old");
    let cancel = Cancel::default();
    cancel.cancel();
    let request = WriteFileRequest {
        path: "file".into(),
        content: "new".into(),
        ..WriteFileRequest::default()
    };
    let written = sandbox.workspace.write_file(&request, &cancel);
    assert_eq!(written.map_err(code), Err(Code::Cancelled));
    assert_eq!(sandbox.read("file"), Ok(b"old".to_vec()));
    sandbox.assert_clean("");
}

#[test]
fn what_may_not_be_written_says_so_and_stays() {
    let sandbox = Sandbox::new(true);
    sandbox.file("shut/file", "old");
    sandbox.dir("blind");
    chmod(&sandbox.at("shut"), 0o555);
    chmod(&sandbox.at("blind"), 0o333);
    for path in ["shut", "blind"] {
        if rustix::process::geteuid().is_root() {
            let at = sandbox.at(path);
            std::os::unix::fs::chown(at, Some(1000), Some(1000)).expect("chown");
        }
    }
    without_privilege(|| {
        let denied = Err(Code::PermissionDenied);
        assert_eq!(sandbox.write("shut/file", "new").map(|_| ()), denied);
        assert_eq!(sandbox.write("shut/new/file", "new").map(|_| ()), denied);
        // May be written but not read: nothing to sync, all the same written.
        assert!(sandbox.write("blind/file", "new").is_ok());
    });
    chmod(&sandbox.at("blind"), 0o755);
    assert_eq!(sandbox.read("shut/file"), Ok(b"old".to_vec()));
    assert_eq!(sandbox.read("blind/file"), Ok(b"new".to_vec()));
}

/// A file system of 64 KiB, while it lives; `None` where none may be mounted.
pub(super) struct Tiny<'a>(&'a Path);

impl<'a> Tiny<'a> {
    pub(super) fn mount(at: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(at);
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let sandbox = Sandbox::new(true);
    sandbox.dir("tiny");
    let at = sandbox.at("tiny");
    // Only root may mount; CI runs as root.
    let Some(_tiny) = Tiny::mount(&at) else {
        return;
    };
    sandbox.write("tiny/file", "old").expect("written");
    let written = sandbox.write("tiny/file", vec![7; 1 << 20]).map(|_| ());
    assert_eq!(written, Err(Code::NoSpace));
    assert_eq!(sandbox.read("tiny/file"), Ok(b"old".to_vec()));
    sandbox.assert_clean("tiny");
    // The space is free again.
    sandbox
        .write("tiny/file", vec![7; 16 << 10])
        .expect("written");
}

#[test]
fn readers_see_the_old_or_the_new_content_and_never_a_mix() {
    with_and_without_openat2(|sandbox| {
        let contents: Vec<Vec<u8>> = (b'a'..=b'd').map(|byte| vec![byte; 300_000]).collect();
        sandbox.file("dir/file", &contents[0]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let writers: Vec<_> = contents
                .iter()
                .map(|content| {
                    scope.spawn(move || {
                        for _ in 0..50 {
                            sandbox.write("dir/file", content).expect("written");
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                let mut seen = HashSet::new();
                while !done.load(Ordering::Relaxed) {
                    let read = sandbox.read_bytes("dir/file", 0, 400_000).expect("read");
                    assert!(contents.contains(&read.data.to_vec()), "a mix");
                    seen.insert(read.data[0]);
                }
                assert!(!seen.is_empty());
            });
            let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, Ordering::Relaxed);
            assert!(written.iter().all(Result::is_ok));
        });
        sandbox.assert_clean("dir");
    });
}

#[test]
fn writers_that_make_the_same_directories_all_succeed() {
    let sandbox = Sandbox::new(true);
    thread::scope(|scope| {
        for writer in 0..8 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for round in 0..50 {
                    let path = format!("{round}/a/b/{writer}");
                    sandbox.write(&path, "new").expect("written");
                }
            });
        }
    });
}

#[test]
fn an_append_copies_a_file_of_several_names_up_to_a_size() {
    for (size, appends) in [(MAX_EDIT, true), (MAX_EDIT + 1, false)] {
        let sandbox = Sandbox::new(true);
        sandbox.file("file", "");
        let file = fs::File::options().write(true).open(sandbox.at("file"));
        file.expect("open").set_len(size as u64).expect("a hole");
        fs::hard_link(sandbox.at("file"), sandbox.at("second")).expect("linked");
        let appended = sandbox.write_as("file", "more", WriteMode::Append);
        let expected = if appends {
            Ok(size as u64 + 4)
        } else {
            Err(Code::FileTooLarge)
        };
        assert_eq!(appended.map(|reply| reply.size), expected);
        let length = |name| fs::metadata(sandbox.at(name)).expect("stat").len();
        assert_eq!(length("file"), (size + if appends { 4 } else { 0 }) as u64);
        assert_eq!(length("second"), size as u64);
        sandbox.assert_clean("");
        // A file of one name grows in place at any size.
        fs::remove_file(sandbox.at("file")).expect("removed");
        assert!(
            sandbox
                .write_as("second", "more", WriteMode::Append)
                .is_ok()
        );
    }
}

/// A `chmod` between the walk and the copy.
#[test]
fn a_copy_for_an_append_has_the_mode_that_the_file_has_now() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "old");
    fs::hard_link(sandbox.at("file"), sandbox.at("second")).expect("linked");
    let (workspace, cancel) = (&sandbox.workspace, Cancel::default());
    let path = RelativePath::parse("file").expect("a path");
    let place = workspace.place(path, MissingDirectory::Fails, &cancel);
    let place = place.expect("a place");
    chmod(&sandbox.at("file"), 0o600);
    let mut lease_wait = LeaseWait::with_a_file();
    let split = workspace.split(&place, b"+", false, &mut lease_wait, &cancel);
    assert!(split.is_ok(), "{split:?}");
    assert_eq!(mode(&sandbox, "file"), 0o600);
    assert_eq!(sandbox.read("file"), Ok(b"old+".to_vec()));
}
