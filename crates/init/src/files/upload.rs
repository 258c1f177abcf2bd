//! Files on their way in: whole in place, or not at all.
//!
//! ```text
//!  begin ─► the path is looked at ─► ready ─► data … ─► end ─► fsync, rename ─► done
//!                    └────── failed, broken off, dropped: the temporary file goes,
//!                            the old one stays
//! ```

mod content;

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, UploadBegin, UploadDone};
use rustix::io::Errno;

pub(crate) use content::{Content, PIECE_BUFFER, Piece};

use super::lease_wait::LeaseWait;
use super::path::RelativePath;
use super::replaced::Rights;
use super::temporary::Temporary;
use super::walk::{MissingDirectory, stat_of_name};
use super::{Cancel, Workspace, failure};

/// Written between two looks at the free space of the disk.
pub(super) const SPACE_CHECK_INTERVAL: u64 = 16 * 1024 * 1024;

/// Written between two syncs: the last one, which the caller waits for without a sign
/// of life, then has this much to do.
const SYNC_INTERVAL: u64 = 64 * 1024 * 1024;

/// The parts of an upload besides its content.
pub(crate) struct Transfer<'a> {
    /// Whether there is room on the disk.
    pub(crate) room: &'a dyn Fn() -> Result<(), Failure>,
    /// Says that the content may come.
    pub(crate) ready: &'a dyn Fn() -> Result<(), Failure>,
    pub(crate) cancel: &'a Cancel,
}

impl Workspace {
    /// Puts `content` at the path, and makes the directories above it.
    pub(crate) fn upload(
        &self,
        begin: &UploadBegin,
        content: Content,
        transfer: &Transfer<'_>,
    ) -> Result<UploadDone, Failure> {
        let path = RelativePath::parse(&begin.path)?;
        (transfer.room)()?;
        if begin.unpack {
            return self.unpack(path, begin, content, transfer);
        }
        if path.is_root() {
            return Err(failure(Errno::ISDIR));
        }
        if begin.create_new {
            let (parent, name) = path.split_last();
            let dir = self.directory(parent, transfer.cancel)?;
            must_be_free(&dir, name)?;
            let temporary = Temporary::create(&dir)?;
            let rights = Rights::new();
            let size = receive(&temporary, &rights, begin.limit, content, transfer)?;
            temporary.put_new(name)?;
            return Ok(done(size, true, &rights));
        }
        let place = self.place(path, MissingDirectory::IsMade, transfer.cancel)?;
        let mut lease_wait = LeaseWait::with_a_file();
        let rights = Rights::at(&place, &mut lease_wait, transfer.cancel)?;
        let temporary = Temporary::create(&place.dir)?;
        let size = receive(&temporary, &rights, begin.limit, content, transfer)?;
        let still = || transfer.cancel.check();
        temporary.replace(&place.name, &self.commits, still)?;
        Ok(done(size, place.found.is_none(), &rights))
    }
}

/// `EXISTS` where there is something, also a link that leads nowhere.
pub(super) fn must_be_free(dir: &OwnedFd, name: &[u8]) -> Result<(), Failure> {
    match stat_of_name(dir, name)? {
        Some(_) => Err(failure(Errno::EXIST)),
        None => Ok(()),
    }
}

/// Writes all that comes, and has it on the disk at the end.
fn receive(
    temporary: &Temporary<'_>,
    rights: &Rights,
    limit: u64,
    mut content: Content,
    transfer: &Transfer<'_>,
) -> Result<u64, Failure> {
    (transfer.ready)()?;
    let mut size = 0;
    while let Some(data) = content.next()? {
        let before = size;
        size += data.len() as u64;
        if size > limit {
            return Err(too_large(limit));
        }
        temporary.write(&data, transfer.cancel)?;
        if passes(before, size, SPACE_CHECK_INTERVAL) {
            (transfer.room)()?;
        }
        if passes(before, size, SYNC_INTERVAL) {
            temporary.sync()?;
        }
    }
    rights.give(temporary.file())?;
    temporary.sync()?;
    transfer.cancel.check()?;
    Ok(size)
}

pub(super) fn too_large(limit: u64) -> Failure {
    Failure::new(Code::FileTooLarge, format!("more than {limit} bytes"))
}

/// Whether a multiple of `every` lies between the two.
fn passes(before: u64, after: u64, every: u64) -> bool {
    before / every != after / every
}

fn done(size: u64, created: bool, rights: &Rights) -> UploadDone {
    UploadDone {
        size,
        created,
        entries: 1,
        other_names: rights.other_names,
        ..UploadDone::default()
    }
}

#[cfg(test)]
pub(super) mod tests;
