//! The modes of a write, and the executable bits.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::thread;

use casemate_protocol::failure::Code;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, mknodat};

use super::super::testing::{Sandbox, code, with_and_without_openat2};
use super::*;

const NEW: WriteMode = WriteMode::CreateNew;
const APPEND: WriteMode = WriteMode::Append;

fn mode(sandbox: &Sandbox, path: &str) -> u32 {
    fs::metadata(sandbox.at(path)).expect("stat").mode() & 0o7777
}

#[test]
fn a_new_file_is_made_once_with_the_directories_above_it() {
    with_and_without_openat2(|sandbox| {
        let made = sandbox.write_as("a/b/new", "first", NEW).expect("made");
        assert_eq!((made.size, made.created), (5, true));
        let again = sandbox.write_as("a/b/new", "second", NEW).map(|_| ());
        assert_eq!(again, Err(Code::Exists));
        assert_eq!(sandbox.read("a/b/new"), Ok(b"first".to_vec()));
        assert!(sandbox.write_as("top", "", NEW).is_ok());
        sandbox.assert_clean("a/b");
    });
}

#[test]
fn whatever_has_the_name_of_a_new_file_stays() {
    with_and_without_openat2(|sandbox| {
        sandbox.dir("directory");
        sandbox.link("dangling", "nowhere");
        sandbox.link("out", sandbox.outside("secret"));
        sandbox.file("file", "");
        let rights = rustix::fs::Mode::from_raw_mode(0o644);
        mknodat(CWD, sandbox.at("fifo"), FileType::Fifo, rights, 0).expect("FIFO");
        for path in ["directory", "dangling", "out", "file", "fifo"] {
            let made = sandbox.write_as(path, "new", NEW).map(|_| ());
            assert_eq!(made, Err(Code::Exists), "{path}");
        }
        assert!(!sandbox.at("nowhere").exists());
        let below = sandbox.write_as("file/new", "", NEW).map(|_| ());
        assert_eq!(below, Err(Code::NotDirectory));
        sandbox.link("up", sandbox.outside(""));
        let outside = sandbox.write_as("up/new", "", NEW).map(|_| ());
        assert_eq!(outside, Err(Code::OutsideWorkspace));
        sandbox.assert_outside_untouched();
    });
}

#[test]
fn of_many_that_make_the_same_new_file_one_does() {
    with_and_without_openat2(|sandbox| {
        for round in 0..20 {
            let path = format!("{round}");
            let made: usize = thread::scope(|scope| {
                let writers: Vec<_> = (0..8)
                    .map(|writer| {
                        let path = &path;
                        scope.spawn(move || match sandbox.write_as(path, [writer], NEW) {
                            Ok(_) => 1,
                            Err(code) => {
                                assert_eq!(code, Code::Exists);
                                0
                            }
                        })
                    })
                    .collect();
                writers.into_iter().map(|w| w.join().expect("writer")).sum()
            });
            assert_eq!(made, 1);
        }
        sandbox.assert_clean("");
    });
}

#[test]
fn text_is_appended_in_the_encoding_of_the_file_or_not_at_all() {
    let sandbox = Sandbox::new(true);
    let append = |text: &str| {
        let request = WriteFileRequest {
            path: "file".into(),
            content: text.to_owned().into(),
            mode: APPEND.into(),
            text: true,
            ..WriteFileRequest::default()
        };
        sandbox.workspace.write_file(&request, &Cancel::default())
    };
    let utf16 = |text: &str| {
        let units = text.encode_utf16();
        units.flat_map(u16::to_be_bytes).collect::<Vec<u8>>()
    };
    sandbox.file("file", utf16("\u{feff}one\r\n"));
    append("\u{1f600} two\r\n").expect("appended");
    let whole = utf16("\u{feff}one\r\n\u{1f600} two\r\n");
    assert_eq!(sandbox.read("file"), Ok(whole.clone()));
    sandbox.file("file", [&whole[..], b"x"].concat());
    assert_eq!(append("a").map_err(code).map(drop), Err(Code::NotText));
    sandbox.file("file", b"caf\xe9\n");
    let failed = append("\u{e9}\n").expect_err("it would be two encodings");
    assert!(failed.detail.contains("Latin-1"), "{}", failed.detail);
    append("plain\n").expect("ASCII");
    assert_eq!(sandbox.read("file"), Ok(b"caf\xe9\nplain\n".to_vec()));
    // Bytes are bytes.
    sandbox.write_as("file", b"\xff", APPEND).expect("appended");
    sandbox.file("file", "plain\n");
    append("\u{e9}").expect("UTF-8");
    assert_eq!(
        sandbox.read("file"),
        Ok("plain\n\u{e9}".as_bytes().to_vec())
    );
}

#[test]
fn what_is_appended_stands_at_the_end_also_through_a_link() {
    with_and_without_openat2(|sandbox| {
        sandbox.link("link", "real/log");
        let made = sandbox.write_as("link", "one\n", APPEND).expect("made");
        assert_eq!((made.size, made.created), (4, true));
        let grown = sandbox
            .write_as("real/log", "two\n", APPEND)
            .expect("grown");
        assert_eq!((grown.size, grown.created), (8, false));
        sandbox.write_as("link", "", APPEND).expect("nothing more");
        assert_eq!(sandbox.read("real/log"), Ok(b"one\ntwo\n".to_vec()));
        sandbox.assert_clean("real");

        sandbox.dir("directory");
        let rights = rustix::fs::Mode::from_raw_mode(0o644);
        mknodat(CWD, sandbox.at("fifo"), FileType::Fifo, rights, 0).expect("FIFO");
        sandbox.link("out", sandbox.outside("secret"));
        for (path, code) in [
            ("", Code::IsDirectory),
            ("directory", Code::IsDirectory),
            ("fifo", Code::NotRegular),
            ("out", Code::OutsideWorkspace),
        ] {
            let appended = sandbox.write_as(path, "more", APPEND).map(|_| ());
            assert_eq!(appended, Err(code), "{path}");
        }
        sandbox.assert_outside_untouched();
    });
}

#[test]
fn appends_of_many_writers_are_all_there_and_whole() {
    let sandbox = Sandbox::new(true);
    let line = |writer: usize, round: usize| format!("{writer}-{round}-{}\n", "x".repeat(5_000));
    thread::scope(|scope| {
        for writer in 0..4 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for round in 0..50 {
                    let appended = sandbox.write_as("log", line(writer, round), APPEND);
                    appended.expect("appended");
                }
            });
        }
    });
    let log = fs::read_to_string(sandbox.at("log")).expect("log");
    let mut lines: Vec<&str> = log.split_inclusive('\n').collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (0..200).map(|n| line(n / 50, n % 50)).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn the_executable_bits_are_set_where_the_readable_ones_are_and_never_taken() {
    let sandbox = Sandbox::new(true);
    let write = |path: &str, mode: WriteMode, executable| {
        let request = WriteFileRequest {
            path: path.to_owned().into(),
            content: "#!/bin/sh\n".into(),
            mode: mode.into(),
            executable,
            ..WriteFileRequest::default()
        };
        let written = sandbox.workspace.write_file(&request, &Cancel::default());
        written.expect(path);
    };
    let chmod = |bits| {
        let rights = fs::Permissions::from_mode(bits);
        fs::set_permissions(sandbox.at("file"), rights).expect("chmod");
    };
    write("new", NEW, true);
    write("grown", APPEND, true);
    write("plain", APPEND, false);
    let modes = ["new", "grown", "plain"].map(|path| mode(&sandbox, path));
    assert_eq!(modes, [0o755, 0o755, 0o644]);
    write("file", WriteMode::Overwrite, false);
    for (bits, executable) in [
        (0o600, 0o700),
        (0o640, 0o750),
        (0o664, 0o775),
        (0o711, 0o711),
    ] {
        for way in [WriteMode::Overwrite, APPEND] {
            chmod(bits);
            write("file", way, true);
            assert_eq!(mode(&sandbox, "file"), executable);
            write("file", way, false);
            assert_eq!(mode(&sandbox, "file"), executable);
        }
    }
}

#[test]
fn a_mode_of_a_later_version_is_no_overwrite() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "old");
    let request = WriteFileRequest {
        path: "file".into(),
        mode: 3,
        ..WriteFileRequest::default()
    };
    let written = sandbox.workspace.write_file(&request, &Cancel::default());
    assert_eq!(written.map_err(code), Err(Code::Invalid));
    assert_eq!(sandbox.read("file"), Ok(b"old".to_vec()));
}

#[test]
fn what_does_not_fit_at_the_end_is_taken_back() {
    let sandbox = Sandbox::new(true);
    sandbox.dir("tiny");
    let at = sandbox.at("tiny");
    // Only root may mount; CI runs as root.
    let Some(_tiny) = super::tests::Tiny::mount(&at) else {
        return;
    };
    sandbox.write("tiny/log", "old").expect("written");
    for path in ["tiny/log", "tiny/new"] {
        let appended = sandbox.write_as(path, vec![7; 1 << 20], APPEND).map(|_| ());
        assert_eq!(appended, Err(Code::NoSpace));
    }
    let made = sandbox
        .write_as("tiny/new", vec![7; 1 << 20], NEW)
        .map(|_| ());
    assert_eq!(made, Err(Code::NoSpace));
    assert_eq!(sandbox.read("tiny/log"), Ok(b"old".to_vec()));
    assert_eq!(fs::read_dir(&at).expect("listed").count(), 1);
    sandbox
        .write_as("tiny/log", vec![7; 16 << 10], APPEND)
        .expect("space is free again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_order_of_writes_gives_what_the_modes_say(
        writes in prop::collection::vec((0..3i32, "[a-z]{0,8}"), 1..8),
    ) {
        let sandbox = Sandbox::new(true);
        let mut expected: Option<String> = None;
        for (mode, content) in writes {
            let mode = WriteMode::try_from(mode).expect("a mode");
            let written = sandbox.write_as("file", &content, mode);
            let created = expected.is_none();
            match (mode, &mut expected) {
                (WriteMode::CreateNew, Some(_)) => {
                    prop_assert_eq!(written, Err(Code::Exists));
                    continue;
                }
                (WriteMode::Append, Some(text)) => text.push_str(&content),
                _ => expected = Some(content),
            }
            let text = expected.as_deref().unwrap_or_default();
            let reply = WriteFileReply { size: text.len() as u64, created, other_names: 0 };
            prop_assert_eq!(written, Ok(reply));
            prop_assert_eq!(sandbox.read("file"), Ok(text.as_bytes().to_vec()));
        }
    }
}
