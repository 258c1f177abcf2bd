//! What a listing says of one thing in a directory.

use std::os::fd::OwnedFd;

use casemate_protocol::entry::Type;
use casemate_protocol::{Entry, Failure};
use rustix::fs::{AtFlags, FileType, Stat, readlinkat, statat};
use rustix::io::Errno;

use super::{failure, modified_ms, size};

/// The entry of a name in `dir`, shown as `path`; none when it is gone by now.
pub(super) fn describe(dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Option<Entry>, Failure> {
    let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        // A directory that may be read but not searched: names, and no more.
        Err(Errno::ACCESS) => {
            return Ok(Some(Entry {
                path: path.to_vec().into(),
                ..Entry::default()
            }));
        }
        Err(errno) => return Err(failure(errno)),
    };
    let mut entry = entry(path, &stat);
    if entry.r#type() == Type::Symlink {
        match readlinkat(dir, name, Vec::new()) {
            Ok(target) => entry.target = target.into_bytes().into(),
            Err(Errno::NOENT) => return Ok(None),
            // Something else has the name by now.
            Err(Errno::INVAL) => {}
            Err(errno) => return Err(failure(errno)),
        }
    }
    Ok(Some(entry))
}

/// The entry of what `stat` is of, shown as `path`.
pub(super) fn entry(path: &[u8], stat: &Stat) -> Entry {
    Entry {
        path: path.to_vec().into(),
        r#type: kind(stat).into(),
        size: size(stat),
        modified_ms: modified_ms(stat),
        mode: stat.st_mode & 0o7777,
        ..Entry::default()
    }
}

fn kind(stat: &Stat) -> Type {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Type::File,
        FileType::Directory => Type::Directory,
        FileType::Symlink => Type::Symlink,
        FileType::Fifo => Type::Fifo,
        FileType::Socket => Type::Socket,
        FileType::BlockDevice | FileType::CharacterDevice => Type::Device,
        FileType::Unknown => Type::Unspecified,
    }
}
