//! Trees of all that a workspace can hold.

use std::os::unix::fs::FileExt as _;

use proptest::sample::Index;
use rustix::fs::{
    XattrFlags, fchmod, fsetxattr, ftruncate, futimens, linkat, mkdirat, openat, statat, symlinkat,
};

use super::*;
use crate::files::testing::deep_from;

/// Something in a directory.
#[derive(Debug, Clone)]
pub(super) enum Thing {
    /// So many, one in the other.
    Directories {
        names: Vec<Vec<u8>>,
    },
    File {
        content: Vec<u8>,
    },
    Sparse {
        pieces: Vec<(u32, u8)>,
        end: u64,
    },
    Link {
        target: Vec<u8>,
    },
    /// To one of the files that were made before.
    HardLink(Index),
    Fifo,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    parent: Index,
    name: Vec<u8>,
    thing: Thing,
    mode: u32,
    modified: (i64, i64),
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Of all bytes that a name can have, the longest as often as short ones.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b'n' } else { byte });
    let bytes = |length| prop::collection::vec(byte.clone(), length);
    let name = prop_oneof![
        bytes(1..4),
        bytes(98..103),
        bytes(table::NAME..table::NAME + 1)
    ];
    name.prop_map(|name| match &name[..] {
        b"." | b".." => b"dots".to_vec(),
        _ => name,
    })
}

fn thing() -> impl Strategy<Value = Thing> {
    let long = (1..200_usize, 1..=255_usize, b'a'..=b'z')
        .prop_map(|(depth, length, byte)| vec![vec![byte; length]; depth]);
    let names = prop_oneof![3 => prop::collection::vec(name(), 1..3), 1 => long];
    let pieces = prop::collection::vec((0..1500_u32, any::<u8>()), 0..40);
    let target = prop::collection::vec(1..=255_u8, 1..=table::LINK_TARGET);
    prop_oneof![
        3 => names.prop_map(|names| Thing::Directories { names }),
        3 => prop::collection::vec(any::<u8>(), 0..3000).prop_map(|content| Thing::File { content }),
        1 => (pieces, 0..(1_u64 << 24)).prop_map(|(pieces, end)| Thing::Sparse { pieces, end }),
        2 => prop_oneof![prop::collection::vec(1..=255_u8, 1..9), target]
            .prop_map(|target| Thing::Link { target }),
        2 => any::<Index>().prop_map(Thing::HardLink),
        1 => Just(Thing::Fifo),
    ]
}

/// What a file system with 256 bytes for an inode has: 1901 to 2446, so also 2400.
fn time() -> impl Strategy<Value = (i64, i64)> {
    let seconds = prop_oneof![
        -2_147_483_648..0_i64,
        0..2_147_483_648_i64,
        Just(13_569_465_600_i64),
        2_147_483_648..15_032_385_535_i64,
    ];
    (seconds, 0..1_000_000_000_i64)
}

fn attributes() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop::collection::vec(1..=255_u8, 1..40);
    let name = name.prop_map(|name| [b"user.", &name[..]].concat());
    let value = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(b"\n13 size=999\n12 path=/x\n".to_vec()),
    ];
    let own = (name, value);
    let acl = (0..=7_u16).prop_map(|group| (b"system.posix_acl_access".to_vec(), acl(group)));
    prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(own, 1..4),
        1 => acl.prop_map(|acl| vec![acl]),
    ]
}

pub(super) fn node() -> impl Strategy<Value = Node> {
    let rest = (0..0o10_000_u32, time(), attributes());
    (any::<Index>(), name(), thing(), rest).prop_map(|(parent, name, thing, rest)| {
        let (mode, modified, attributes) = rest;
        Node {
            parent,
            name,
            thing,
            mode,
            modified,
            attributes,
        }
    })
}

/// Makes what the nodes say, in the order that they have.
pub(super) fn make(top: &Path, nodes: &[Node]) {
    let mut dirs = deep(top, &[b"dir"]);
    let mut files: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut settled: Vec<(OwnedFd, &Node)> = Vec::new();
    for node in nodes {
        let parent = node.parent.index(dirs.len());
        let (dir, name) = (&dirs[parent], &node.name[..]);
        if statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            continue;
        }
        let file = || {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            openat(dir, name, flags, Mode::RUSR | Mode::WUSR).expect("made")
        };
        let made = match &node.thing {
            Thing::Directories { names } => {
                mkdirat(dir, name, Mode::RWXU).expect("made");
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let first = openat(dir, name, flags, Mode::empty()).expect("opened");
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                dirs.extend(deep_from(&first, &names).pop());
                first
            }
            Thing::File { content } => {
                let file = file();
                File::from(file.try_clone().expect("a copy"))
                    .write_all_at(content, 0)
                    .expect("written");
                files.push((parent, name.to_vec()));
                file
            }
            Thing::Sparse { pieces, end } => {
                let file = file();
                ftruncate(&file, *end).expect("grown");
                let std = File::from(file.try_clone().expect("a copy"));
                for (at, byte) in pieces {
                    let at = u64::from(*at) * 10_000;
                    std.write_all_at(&[*byte; 100], at).expect("written");
                }
                files.push((parent, name.to_vec()));
                file
            }
            Thing::Link { target } => {
                symlinkat(&target[..], dir, name).expect("linked");
                let times = times(node.modified);
                utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set");
                continue;
            }
            Thing::HardLink(of) if !files.is_empty() => {
                let (from, file) = &files[of.index(files.len())];
                linkat(&dirs[*from], &file[..], dir, name, AtFlags::empty()).expect("linked");
                continue;
            }
            Thing::HardLink(_) => continue,
            Thing::Fifo => {
                mknodat(dir, name, FileType::Fifo, Mode::RWXU, 0).expect("made");
                continue;
            }
        };
        settled.push((made, node));
    }
    for (made, node) in settled.iter().rev() {
        for (name, value) in &node.attributes {
            // Not every file system has room for as much.
            let _ = fsetxattr(made, &name[..], value, XattrFlags::empty());
        }
        fchmod(made, Mode::from_raw_mode(node.mode)).expect("its mode is set");
        futimens(made, &times(node.modified)).expect("its time is set");
    }
}

fn times((tv_sec, tv_nsec): (i64, i64)) -> Timestamps {
    let time = Timespec { tv_sec, tv_nsec };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
