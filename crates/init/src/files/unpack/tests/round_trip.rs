use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::super::archive::tests::archive;
use super::*;

/// Something to be made; its path is from the names that the test makes up.
#[derive(Debug, Clone)]
enum Thing {
    Directory,
    File {
        content: Vec<u8>,
        mode: u32,
    },
    /// To another of the names, in the same directory.
    Link(usize),
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        Just(Thing::Directory),
        (prop::collection::vec(any::<u8>(), 0..1500), 0..0o1000_u32).prop_map(|(content, mode)| {
            Thing::File {
                content,
                mode: mode | 0o600,
            }
        }),
        any::<usize>().prop_map(Thing::Link),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let short = prop::collection::vec(prop_oneof![Just(b'a'), Just(b'\n'), Just(0xff_u8)], 1..3);
    let long = (90..256_usize, any::<bool>())
        .prop_map(|(length, text)| vec![if text { b'l' } else { 0x80 }; length]);
    prop_oneof![4 => short, 1 => long]
}

/// The entries by path: a directory, a file with its bits and content, or a link.
fn snapshot(top: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(top.join(&dir)).expect("listed") {
            let path = dir.join(entry.expect("an entry").file_name());
            let stat = fs::symlink_metadata(top.join(&path)).expect("stat");
            let content = if stat.is_dir() {
                ahead.push(path.clone());
                Vec::new()
            } else if stat.is_symlink() {
                let target = fs::read_link(top.join(&path)).expect("link");
                target.as_os_str().as_bytes().to_vec()
            } else {
                let content = fs::read(top.join(&path)).expect("read");
                [&stat.mtime().to_le_bytes(), &content[..]].concat()
            };
            found.insert(path, (stat.mode(), content));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_archived_is_unpacked_the_same(
        names in prop::collection::vec(name(), 1..6),
        things in prop::collection::vec((prop::collection::vec(any::<usize>(), 1..5), thing()), 0..12),
    ) {
        let sandbox = Sandbox::new(true);
        sandbox.dir("from");
        for (path, thing) in things {
            let names_of = path.iter().map(|at| OsStr::from_bytes(&names[at % names.len()]));
            let path = names_of.fold(sandbox.at("from"), |path, name| path.join(name));
            // A file may be in the way of it, or it is there already.
            let _ = fs::create_dir_all(path.parent().expect("below from"));
            match thing {
                Thing::Directory => drop(fs::create_dir(&path)),
                Thing::Link(to) => {
                    drop(symlink(OsStr::from_bytes(&names[to % names.len()]), &path));
                }
                Thing::File { content, mode } if !path.exists() && !path.is_symlink() => {
                    if fs::write(&path, content).is_ok() {
                        let bits = fs::Permissions::from_mode(mode);
                        fs::set_permissions(&path, bits).expect("mode");
                    }
                }
                Thing::File { .. } => {}
            }
        }
        let bytes = archive(&sandbox, "from").expect("archive");
        unpack(&sandbox, "to", &bytes).expect("unpacked");
        prop_assert_eq!(snapshot(&sandbox.at("from")), snapshot(&sandbox.at("to")));
    }

    /// A flipped bit causes no panic, changes nothing outside, and leaves no temporary file.
    #[test]
    fn a_spoilt_archive_does_no_harm(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
        sum in any::<bool>(),
    ) {
        let sandbox = Sandbox::new(true);
        let mut bytes = tar(&[
            entry(EntryType::Directory, b"dir/", b"", b""),
            file("dir/file", "content"),
            link("dir/link", "file"),
            entry(EntryType::Link, b"hard", b"dir/file", b""),
            entry(EntryType::GNULongName, b"long", b"", b"a/longer/name\0"),
            file("short", "x"),
        ]);
        for (at, bit) in flips {
            let at = at.index(bytes.len() - 1024);
            bytes[at] ^= 1 << bit;
            if sum {
                // So that the header is accepted.
                let block = at - at % 512;
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[block..block + 512]);
                header.set_cksum();
                bytes[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        let _ = unpack(&sandbox, "top", &bytes);
        sandbox.assert_outside_untouched();
        if sandbox.at("top").exists() {
            for path in snapshot(&sandbox.at("top")).keys() {
                prop_assert!(!path.to_string_lossy().contains(".casemate-tmp-"));
            }
        }
    }
}
