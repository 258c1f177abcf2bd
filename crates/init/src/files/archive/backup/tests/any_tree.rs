//! Whatever a workspace holds, what is made from its backup is equal to it: the backup has
//! only what the shared table allows, which is all that verification looks at, and the
//! restore takes all that it allows.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::FileExt as _;

use casemate_protocol::backup as table;
use proptest::prelude::*;
use proptest::sample::Index;
use rustix::fs::{
    Timespec, Timestamps, XattrFlags, fchmod, fsetxattr, ftruncate, futimens, linkat, mkdirat,
    openat, statat, symlinkat, utimensat,
};

use super::*;
use crate::files::testing::{deep, deep_from};

/// Something in a directory.
#[derive(Debug, Clone)]
enum Thing {
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
struct Node {
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

/// A POSIX ACL with an entry for another group (acl(5); `include/uapi/linux/posix_acl_xattr.h`).
pub(in crate::files) fn acl(group: u16) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    let nobody = u32::MAX;
    for (tag, bits, id) in [
        (0x01, 7, nobody),
        (0x04, 5, nobody),
        (0x08, group, 4242),
        (0x10, 7, nobody),
        (0x20, 0, nobody),
    ] {
        value.extend_from_slice(&u16::to_le_bytes(tag));
        value.extend_from_slice(&u16::to_le_bytes(bits));
        value.extend_from_slice(&u32::to_le_bytes(id));
    }
    value
}

fn node() -> impl Strategy<Value = Node> {
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
fn make(top: &Path, nodes: &[Node]) {
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

/// All of a tree by path, in steps as any depth needs it.
fn snapshot(top: &Path) -> BTreeMap<Vec<u8>, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = openat(CWD, top, flags, Mode::empty()).expect("the top");
    let mut found = Snapshot::default();
    // It calls itself for each directory below.
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(64 << 20);
        let walk = builder.spawn_scoped(scope, || found.directory(&top, Vec::new()));
        walk.expect("a thread").join().expect("no panic");
    });
    found.lines
}

#[derive(Default)]
struct Snapshot {
    lines: BTreeMap<Vec<u8>, String>,
    /// The first path of each file: names of one file have the same.
    first: HashMap<u64, Vec<u8>>,
}

impl Snapshot {
    fn directory(&mut self, dir: &OwnedFd, path: Vec<u8>) {
        let stat = fstat(dir).expect("stat");
        let line = line(
            &stat,
            &format!("{:?}", attributes::of(dir).expect("read").carried),
        );
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(dir).expect("listed") {
            let name = entry.expect("an entry").file_name().to_bytes().to_vec();
            let is_home_of_pid1 = path.is_empty() && name == b".home";
            if !matches!(&name[..], b"." | b"..") && !is_home_of_pid1 {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            self.entry(dir, &name, [&path[..], b"/", &name].concat());
        }
        self.lines.insert(path, line);
    }

    fn entry(&mut self, dir: &OwnedFd, name: &[u8], path: Vec<u8>) {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).expect("stat");
        let open = |flags| openat(dir, name, flags, Mode::empty()).expect("opened");
        let more = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let below = open(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC);
                return self.directory(&below, path);
            }
            FileType::Symlink => {
                format!(
                    "{:?}",
                    rustix::fs::readlinkat(dir, name, Vec::new()).expect("read")
                )
            }
            FileType::RegularFile => {
                let file = open(OFlags::RDONLY | OFlags::CLOEXEC);
                let first = self
                    .first
                    .entry(stat.st_ino)
                    .or_insert_with(|| path.clone());
                let attributes = attributes::of(&file).expect("read").carried;
                format!(
                    "{} {} {:x} {attributes:?} {first:?}",
                    stat.st_size,
                    stat.st_nlink,
                    sum(&file, &stat)
                )
            }
            // It is left out.
            _ => return,
        };
        self.lines.insert(path, line(&stat, &more));
    }
}

/// Of where the data is, which a test of sparse files can read in no time.
fn sum(file: &OwnedFd, stat: &Stat) -> u64 {
    let mut hasher = DefaultHasher::new();
    let std = File::from(file.try_clone().expect("a copy"));
    let mut data = vec![0; 1 << 16];
    let mut at = 0;
    while at < u64::try_from(stat.st_size).expect("a size") {
        let Ok(begin) = rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) else {
            break;
        };
        at = begin - begin % 65536;
        let read = std.read_at(&mut data, at).expect("read");
        if data[..read].iter().any(|byte| *byte != 0) {
            (at, &data[..read]).hash(&mut hasher);
        }
        at += 65536;
    }
    hasher.finish()
}

fn line(stat: &Stat, more: &str) -> String {
    let time = (stat.st_mtime, stat.st_mtime_nsec);
    format!("{:o} {time:?} {more}", stat.st_mode)
}

/// As root without any capability, an owner like any other.
fn as_owner<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut sets = rustix::thread::capabilities(None).expect("read");
            sets.effective = rustix::thread::CapabilitySet::empty();
            rustix::thread::set_capabilities(None, sets).expect("set");
            work()
        });
        work.join().expect("no panic")
    })
}

/// What verification holds an entry against, beside the hashes.
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

fn assert_restores_equal(make: impl FnOnce(&Path)) -> Copied {
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
