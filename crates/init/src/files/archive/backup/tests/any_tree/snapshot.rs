//! What a tree is, to be compared.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{openat, statat};

use super::*;

/// All of a tree by path, in steps as any depth needs it.
pub(super) fn snapshot(top: &Path) -> BTreeMap<Vec<u8>, String> {
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
