//! The four ways of changing a file follow the same rules.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bytes::Bytes;
use casemate_protocol::write_file_request::Mode as WriteMode;
use casemate_protocol::{UploadBegin, edit_file_reply::Result as Outcome};
use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::super::path::RelativePath;
use super::super::testing::{Sandbox, acl, code, without_privilege};
use super::super::upload::{Piece, tests::upload};
use super::super::walk::MissingDirectory;
use super::*;

/// Changes `file` from "old" to something else, and says how many other names it had.
type Way = fn(&Sandbox) -> Result<u64, Code>;

fn overwrite(sandbox: &Sandbox) -> Result<u64, Code> {
    let reply = sandbox.write("file", "overwritten")?;
    Ok(reply.other_names)
}

fn append(sandbox: &Sandbox) -> Result<u64, Code> {
    let reply = sandbox.write_as("file", " and more", WriteMode::Append)?;
    assert_eq!(reply.size, 12);
    Ok(reply.other_names)
}

fn edit(sandbox: &Sandbox) -> Result<u64, Code> {
    match sandbox.edit("file", "old", "edited")?.result {
        Some(Outcome::Edited(edited)) => Ok(edited.other_names),
        other => panic!("{other:?}"),
    }
}

fn put(sandbox: &Sandbox) -> Result<u64, Code> {
    let begin = UploadBegin {
        path: "file".into(),
        limit: 100,
        ..UploadBegin::default()
    };
    let pieces = vec![Piece::Data(Bytes::from_static(b"put")), Piece::End];
    let done = upload(sandbox, &begin, pieces).map_err(code)?;
    Ok(done.other_names)
}

const WAYS: [(&str, Way, &str); 4] = [
    ("overwrite", overwrite, "overwritten"),
    ("append", append, "old and more"),
    ("edit", edit, "edited"),
    ("put", put, "put"),
];

fn text(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.at(name)).expect("read")
}

#[test]
fn a_file_that_may_not_be_written_is_refused() {
    for (way, change, _) in WAYS {
        let sandbox = Sandbox::new(true);
        sandbox.file("file", "old");
        for path in ["file", ""] {
            let bits = if path.is_empty() { 0o777 } else { 0o444 };
            let bits = fs::Permissions::from_mode(bits);
            fs::set_permissions(sandbox.at(path), bits).expect("mode");
        }
        without_privilege(|| {
            assert_eq!(change(&sandbox), Err(Code::PermissionDenied), "{way}");
        });
        assert_eq!(text(&sandbox, "file"), "old", "{way}");
        sandbox.assert_clean("");
    }
}

#[test]
fn bits_attributes_and_the_acl_are_kept_and_none_is_inherited() {
    for with_acl in [true, false] {
        for (way, change, content) in WAYS {
            let sandbox = Sandbox::new(true);
            sandbox.file("file", "old");
            let set = |path: &str, name: &str, value: &[u8]| {
                setxattr(sandbox.at(path), name, value, XattrFlags::empty()).expect("set");
            };
            set("file", "user.note", b"kept\n\xff");
            if with_acl {
                set("file", "system.posix_acl_access", &acl(4));
            }
            fs::set_permissions(sandbox.at("file"), fs::Permissions::from_mode(0o750))
                .expect("mode");
            set("", "system.posix_acl_default", &acl(4));
            assert_eq!(change(&sandbox), Ok(0), "{way}");
            assert_eq!(text(&sandbox, "file"), content, "{way}");
            let get = |name: &str| {
                let mut value = vec![0; 256];
                let read = getxattr(sandbox.at("file"), name, &mut value[..]);
                read.map(|read| value[..read].to_vec())
            };
            assert_eq!(get("user.note"), Ok(b"kept\n\xff".to_vec()), "{way}");
            let kept = get("system.posix_acl_access");
            assert_eq!(kept.is_ok(), with_acl, "{way}: {kept:?}");
            let mode = fs::metadata(sandbox.at("file")).expect("stat").mode();
            assert_eq!(mode & 0o7777, 0o750, "{way}");
        }
    }
}

#[test]
fn a_mode_that_changes_after_the_walk_is_kept() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "old");
    let path = RelativePath::parse(b"file").expect("a path");
    let cancel = Cancel::default();
    let place = sandbox
        .workspace
        .place(path, MissingDirectory::Fails, &cancel);
    let place = place.expect("a place");
    fs::set_permissions(sandbox.at("file"), fs::Permissions::from_mode(0o600)).expect("mode");
    let rights = Rights::at(&place, &mut LeaseWait::with_a_file(), &cancel).expect("rights");
    assert_eq!(rights.mode, 0o600);
}

#[test]
fn other_names_keep_the_old_file_and_are_counted() {
    for (way, change, content) in WAYS {
        let sandbox = Sandbox::new(true);
        sandbox.file("file", "old");
        for name in ["second", "third"] {
            fs::hard_link(sandbox.at("file"), sandbox.at(name)).expect("linked");
        }
        assert_eq!(change(&sandbox), Ok(2), "{way}");
        assert_eq!(text(&sandbox, "file"), content, "{way}");
        assert_eq!(text(&sandbox, "second"), "old", "{way}");
        let stat = fs::metadata(sandbox.at("third")).expect("stat");
        assert_eq!(stat.nlink(), 2, "{way}");
        sandbox.assert_clean("");
    }
}

/// None of them is lost: the second append finds the file of the first.
#[test]
fn of_many_that_append_to_one_of_several_names_all_do() {
    let sandbox = Sandbox::new(true);
    sandbox.file("file", "");
    fs::hard_link(sandbox.at("file"), sandbox.at("second")).expect("linked");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let appended = sandbox.write_as("file", "line\n", WriteMode::Append);
                assert!(appended.is_ok(), "{appended:?}");
            });
        }
    });
    assert_eq!(text(&sandbox, "file"), "line\n".repeat(8));
    assert_eq!(text(&sandbox, "second"), "");
}
