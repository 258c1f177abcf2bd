//! The backup of any workspace restores to an equal one: it has only entries that the shared table
//! allows, which is all that verification checks, and the restore accepts all of them.

mod snapshot;
mod tree;

use casemate_protocol::backup as table;
use proptest::prelude::*;
use rustix::fs::{XattrFlags, fchmod, fsetxattr, linkat, openat};

use self::snapshot::snapshot;
use self::tree::{make, node};
use super::*;
use crate::files::testing::{acl, as_owner, deep};

/// The checks of verification, without the hashes.
fn assert_within_the_table(archive: &[u8]) {
    let mut reader = tar::Archive::new(archive);
    for entry in reader.entries().expect("an archive") {
        let entry = entry.expect("an entry");
        assert_eq!(table::check_path(&entry.path_bytes()), Ok(()));
        let target = entry.link_name_bytes().unwrap_or_default();
        match entry.header().entry_type() {
            tar::EntryType::Symlink => assert_eq!(table::check_link_target(&target), Ok(())),
            tar::EntryType::Link => assert_eq!(table::check_path(&target), Ok(())),
            _ => {}
        }
    }
}

fn assert_restores_equal(make: impl FnOnce(&Path)) -> CopyCheck {
    let (original, copy) = (Sandbox::new(true), Sandbox::new(true));
    make(&original.at(""));
    // As PID 1 makes it when it starts.
    copy.dir(".home");
    let before = snapshot(&original.at(""));
    let (archive, copied) = as_owner(|| backup(&original, || {}));
    assert!(copied.same, "the copy itself has changed something");
    assert_within_the_table(&archive);
    let done = as_owner(|| unpack_exactly(&copy, &archive)).expect("restored");
    assert_eq!(done.attributes_lost, 0);
    let after = snapshot(&copy.at(""));
    for (was, is) in before.iter().zip(&after) {
        assert!(was == is, "was\n{was:?}\nis\n{is:?}");
    }
    assert_eq!(after.len(), before.len());
    copied
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_verifies_restores_equal(nodes in prop::collection::vec(node(), 1..24)) {
        assert_restores_equal(|top| make(top, &nodes));
    }
}

#[test]
fn a_tree_at_every_limit_of_depth_and_length_restores_equal() {
    let name = vec![b'n'; table::NAME];
    // The longest path, of the longest names.
    let long = vec![&name[..]; table::PATH / (table::NAME + 1) - 1];
    // The deepest one, with a file in its last directory.
    let deepest = vec![&b"d"[..]; table::DEPTH - 2];
    for names in [long, deepest] {
        let copied = assert_restores_equal(|top| {
            let dirs = deep(top, &names);
            let last = dirs.last().expect("the last");
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
            let file = openat(last, "file", flags, Mode::RUSR).expect("made");
            fsetxattr(&file, "user.x", b"y", XattrFlags::empty()).expect("set");
            // From the top and back, through all that are locked.
            let top = openat(CWD, top, OFlags::PATH, Mode::empty()).expect("the top");
            linkat(last, "file", &top, "zz", AtFlags::empty()).expect("linked");
            for dir in dirs.iter().rev() {
                fchmod(dir, Mode::empty()).expect("locked");
            }
        });
        assert_eq!(copied.left_out, LeftOut::default());
    }
}

#[test]
fn what_is_inherited_by_default_is_set_when_all_is_made() {
    assert_restores_equal(|top| {
        let dirs = deep(top, &[b"given", b"below"]);
        let default = XattrFlags::empty();
        fsetxattr(&dirs[0], "system.posix_acl_default", &acl(5), default).expect("set");
        fsetxattr(&dirs[0], "system.posix_acl_access", &acl(1), default).expect("set");
        fsetxattr(&dirs[0], "user.why", b"shared", default).expect("set");
        fchmod(&dirs[0], Mode::from_raw_mode(0o550)).expect("its mode is set");
    });
}

#[test]
fn what_is_left_out_is_counted_and_named() {
    let sandbox = Sandbox::new(true);
    sandbox.file("kept", "x");
    mknodat(CWD, sandbox.at("fifo"), FileType::Fifo, Mode::RWXU, 0).expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.at("socket")).expect("bound");
    let set =
        |name: &str| rustix::fs::setxattr(sandbox.at("kept"), name, b"x", XattrFlags::empty());
    set("user.kept").expect("set");
    // Of the system's own, which needs a privilege.
    let system = set("trusted.x").is_ok();
    let (_, copied) = backup(&sandbox, || {});
    let left_out = copied.left_out;
    assert_eq!(
        (left_out.special, left_out.attributes),
        (2, u64::from(system))
    );
    let mut named = vec![&b"fifo"[..], b"socket"];
    named.extend(system.then_some(&b"kept"[..]));
    named.sort_unstable();
    assert_eq!(left_out.paths, named);
}
