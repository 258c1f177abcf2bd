//! Writing a file: whole or not at all.
//!
//! ```text
//!  place ─► temporary file beside it ─► fsync ─► rename ─► fsync of the directory
//!                    └──────── on failure: unlinked, the old file is whole
//! ```
//!
//! It is the file that is replaced: a link to it stays a link, and its
//! permission bits are kept. As with every such replacement, a hard link goes
//! on naming the old file, and a file that may not be written can be replaced
//! where its directory may be written.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use casemate_protocol::{Failure, MAX_WRITE, WriteFileReply, WriteFileRequest};
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fsync, openat, renameat, unlinkat};
use rustix::io::{Errno, retry_on_intr, write};
use rustix::rand::{GetRandomFlags, getrandom};

use super::path::RelativePath;
use super::read::must_be_regular;
use super::{Cancel, Workspace, failure, invalid};

/// Rights of a new file.
const NEW_MODE: u32 = 0o644;

/// The bits that a replacement keeps. Not set-user-id and set-group-id: the
/// kernel clears them when a file is written.
const KEPT_MODE: u32 = 0o777;

/// Written between two looks at the cancellation.
const CHUNK: usize = 256 * 1024;

impl Workspace {
    /// Makes `path` a file with this content, and the directories above it.
    pub(crate) fn write_file(
        &self,
        request: &WriteFileRequest,
        cancel: &Cancel,
    ) -> Result<WriteFileReply, Failure> {
        if request.content.len() > MAX_WRITE {
            return Err(invalid("WriteFile of more than 3 MiB"));
        }
        let path = RelativePath::parse(&request.path)?;
        if path.is_root() {
            return Err(failure(Errno::ISDIR));
        }
        let place = self.place(path, cancel)?;
        let mode = match &place.found {
            Some(stat) => {
                must_be_regular(stat)?;
                stat.st_mode & KEPT_MODE
            }
            None => NEW_MODE,
        };
        let temporary = Temporary::create(&place.dir)?;
        temporary.fill(&request.content, Mode::from_raw_mode(mode), cancel)?;
        // The last moment at which it can be given up.
        cancel.check()?;
        temporary.become_file(&place.name)?;
        Ok(WriteFileReply {
            size: request.content.len() as u64,
            created: place.found.is_none(),
        })
    }
}

/// A file that is gone when this is dropped, unless it became another.
struct Temporary<'a> {
    dir: &'a OwnedFd,
    name: String,
    file: OwnedFd,
    renamed: bool,
}

impl<'a> Temporary<'a> {
    fn create(dir: &'a OwnedFd) -> Result<Self, Failure> {
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let name = random_name()?;
        let file = openat(dir, &name, flags, Mode::RUSR | Mode::WUSR).map_err(failure)?;
        Ok(Self {
            dir,
            name,
            file,
            renamed: false,
        })
    }

    fn fill(&self, content: &[u8], mode: Mode, cancel: &Cancel) -> Result<(), Failure> {
        for mut chunk in content.chunks(CHUNK) {
            while !chunk.is_empty() {
                cancel.check()?;
                let written = retry_on_intr(|| write(&self.file, chunk)).map_err(failure)?;
                chunk = &chunk[written..];
            }
        }
        fchmod(&self.file, mode).map_err(failure)?;
        retry_on_intr(|| fsync(&self.file)).map_err(failure)
    }

    fn become_file(mut self, name: &[u8]) -> Result<(), Failure> {
        // Opened before the rename, after which nothing but the disk may fail.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match openat(self.dir, ".", flags, Mode::empty()) {
            Ok(dir) => Some(dir),
            // May be written but not read: there is no descriptor to sync.
            Err(Errno::ACCESS) => None,
            Err(errno) => return Err(failure(errno)),
        };
        renameat(self.dir, &self.name, self.dir, name).map_err(failure)?;
        self.renamed = true;
        match dir.map(|dir| retry_on_intr(|| fsync(&dir))) {
            // A file system on which directories cannot be synced: fsync(2).
            None | Some(Ok(()) | Err(Errno::INVAL)) => Ok(()),
            Some(Err(errno)) => Err(failure(errno)),
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = unlinkat(self.dir, &self.name, AtFlags::empty());
        }
    }
}

fn random_name() -> Result<String, Failure> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(failure)?;
    let mut name = String::from(".casemate-tmp-");
    for byte in bytes {
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
