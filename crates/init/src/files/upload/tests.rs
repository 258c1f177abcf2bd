use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::super::testing::{Sandbox, code, with_and_without_openat2};
use super::*;

/// An upload of these pieces.
pub(in crate::files) fn upload(
    sandbox: &Sandbox,
    begin: &UploadBegin,
    pieces: Vec<Piece>,
) -> Result<UploadDone, Failure> {
    let (sender, content) = mpsc::channel(pieces.len().max(1));
    for piece in pieces {
        sender.try_send(piece).expect("room");
    }
    drop(sender);
    let transfer = Transfer {
        room: &|| Ok(()),
        ready: &|| Ok(()),
        cancel: &Cancel::default(),
    };
    sandbox
        .workspace
        .upload(begin, Content::new(content), &transfer)
}

fn begin(path: &str) -> UploadBegin {
    UploadBegin {
        path: path.to_owned().into(),
        limit: 1 << 20,
        ..UploadBegin::default()
    }
}

fn whole(content: &'static [u8]) -> Vec<Piece> {
    let pieces = content
        .chunks(3)
        .map(|part| Piece::Data(Bytes::from_static(part)));
    pieces.chain([Piece::End]).collect()
}

#[test]
fn a_file_is_put_in_place_with_the_directories_above_it_and_keeps_its_bits() {
    with_and_without_openat2(|sandbox| {
        let path = "a/b/file";
        let done = upload(sandbox, &begin(path), whole(b"the first")).expect("done");
        assert_eq!((done.size, done.created, done.entries), (9, true, 1));
        let mode = |bits| fs::set_permissions(sandbox.at(path), fs::Permissions::from_mode(bits));
        mode(0o4750).expect("mode");
        let done = upload(sandbox, &begin(path), whole(b"another")).expect("done");
        assert_eq!((done.size, done.created), (7, false));
        assert_eq!(sandbox.read(path), Ok(b"another".to_vec()));
        let bits = fs::metadata(sandbox.at(path)).expect("stat").permissions();
        assert_eq!(bits.mode() & 0o7777, 0o750);
        let empty = upload(sandbox, &begin("empty"), whole(b"")).expect("done");
        assert_eq!(empty.size, 0);
        assert_eq!(sandbox.read("empty"), Ok(Vec::new()));
    });
}

#[test]
fn what_breaks_off_or_is_too_large_or_has_no_room_leaves_the_old_file_and_nothing_else() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("dir/file", "old");
        let part = || Piece::Data(Bytes::from(vec![1; 300_000]));
        let limited = UploadBegin {
            limit: 599_999,
            ..begin("dir/file")
        };
        for (begin, pieces, expected) in [
            (begin("dir/file"), vec![part(), part()], Code::Cancelled),
            (begin("dir/file"), vec![], Code::Cancelled),
            (
                limited,
                vec![part(), part(), Piece::End],
                Code::FileTooLarge,
            ),
        ] {
            let failed = upload(sandbox, &begin, pieces).map_err(code);
            assert_eq!(failed, Err(expected));
            assert_eq!(sandbox.read("dir/file"), Ok(b"old".to_vec()));
            sandbox.assert_clean("dir");
        }
    });
}

#[test]
fn the_free_space_of_the_disk_is_looked_at_before_and_meanwhile() {
    let sandbox = Sandbox::new(true);
    let begin = UploadBegin {
        limit: u64::MAX,
        ..begin("file")
    };
    let looks = Cell::new(0);
    let (sender, content) = mpsc::channel(100);
    let part = Bytes::from(vec![1; 1 << 20]);
    for _ in 0..40 {
        sender.try_send(Piece::Data(part.clone())).expect("room");
    }
    let transfer = Transfer {
        room: &|| {
            looks.set(looks.get() + 1);
            match looks.get() {
                3 => Err(Failure::new(Code::NoSpace, "full")),
                _ => Ok(()),
            }
        },
        ready: &|| Ok(()),
        cancel: &Cancel::default(),
    };
    let done = sandbox
        .workspace
        .upload(&begin, Content::new(content), &transfer);
    assert_eq!(done.map_err(code), Err(Code::NoSpace));
    assert_eq!(looks.get(), 3);
    sandbox.assert_clean("");
}

#[test]
fn only_where_there_is_nothing_when_that_is_asked_for() {
    with_and_without_openat2(|sandbox| {
        sandbox.file("file", "old");
        sandbox.link("dangling", "none");
        for (path, expected) in [("file", false), ("dangling", false), ("new/file", true)] {
            let new = UploadBegin {
                create_new: true,
                ..begin(path)
            };
            let done = upload(sandbox, &new, whole(b"new"));
            match expected {
                true => assert!(done.expect("done").created),
                false => assert_eq!(done.map_err(code), Err(Code::Exists), "{path}"),
            }
        }
        assert_eq!(sandbox.read("file"), Ok(b"old".to_vec()));
        assert_eq!(sandbox.read("new/file"), Ok(b"new".to_vec()));
    });
}

#[test]
fn nothing_outside_is_written_and_what_is_no_file_is_not_replaced() {
    with_and_without_openat2(|sandbox| {
        sandbox.dir("dir");
        sandbox.link("secret", sandbox.outside("secret"));
        sandbox.link("out", sandbox.outside(""));
        for (path, expected) in [
            ("secret", Code::OutsideWorkspace),
            ("out/new", Code::OutsideWorkspace),
            ("../outside/new", Code::OutsideWorkspace),
            ("dir", Code::IsDirectory),
            ("", Code::IsDirectory),
        ] {
            let refused = upload(sandbox, &begin(path), whole(b"new")).map_err(code);
            assert_eq!(refused, Err(expected), "{path}");
        }
        sandbox.assert_outside_untouched();
        sandbox.link("link", "dir/file");
        assert!(upload(sandbox, &begin("link"), whole(b"new")).is_ok());
        assert_eq!(sandbox.read("dir/file"), Ok(b"new".to_vec()));
    });
}
