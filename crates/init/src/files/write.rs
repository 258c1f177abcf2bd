//! Writes a file whole or not at all.
//!
//! | mode | what is there already | how |
//! |---|---|---|
//! | overwrite | is replaced | a temporary file beside it, fsync, rename |
//! | create_new | stays: `EXISTS` | the same, renamed only where nothing has the name |
//! | append | grows at its end | one write with O_APPEND; taken back when it does not fit |
//! | append of text | is UTF-16 with a mark | the text becomes UTF-16 |
//! | append | has other names (hard links), up to 8 MiB | a copy with the addition, as for an overwrite |
//!
//! The file itself is replaced or grows: a link to it stays a link. [`mod@super::replaced`] says
//! what the new file keeps of the old, and which files may not be written. An append to a missing
//! file creates it whole. Only a kill in the middle of an append to an existing file of one name
//! can leave a part of the addition.

mod encoded;

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::write_file_request::Mode as WriteMode;
use casemate_protocol::{
    Failure, FailureExt as _, MAX_EDIT, MAX_WRITE, WriteFileReply, WriteFileRequest,
};
use rustix::fs::{Mode, OFlags, Stat, fchmod, fstat, fsync, ftruncate, openat};
use rustix::io::{Errno, retry_on_intr, write};

use super::lease_wait::LeaseWait;
use super::path::RelativePath;
use super::read::{must_be_regular, read_at};
use super::replaced::{KEPT_MODE, Rights, must_be_unchanged, must_be_writable, other_names};
use super::temporary::{Temporary, not_synced};
use super::upload::must_be_free;
use super::walk::{EntryLocation, MAX_LINKS, MissingDirectory};
use super::{Cancel, Workspace, failure, invalid, lock, size};

/// Bytes that are copied at a time from a file that is split from its other names.
const COPIED: usize = 256 * 1024;

/// Opens what is there to write at its end, without waiting for a peer.
const APPEND: OFlags = OFlags::WRONLY
    .union(OFlags::APPEND)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

impl Workspace {
    /// Makes or changes the file `path`, and makes the directories above it.
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
        // Not the getter: it treats an unknown mode as an overwrite.
        match WriteMode::try_from(request.mode) {
            Ok(WriteMode::Overwrite) => self.overwrite(path, request, cancel),
            Ok(WriteMode::Append) => self.append(path, request, cancel),
            Ok(WriteMode::CreateNew) => self.create_new(path, request, cancel),
            Err(_) => Err(invalid("a mode of WriteFile that is not known here")),
        }
    }

    fn overwrite(
        &self,
        path: RelativePath<'_>,
        request: &WriteFileRequest,
        cancel: &Cancel,
    ) -> Result<WriteFileReply, Failure> {
        let place = self.place(path, MissingDirectory::IsMade, cancel)?;
        let mut rights = Rights::at(&place, &mut LeaseWait::with_a_file(), cancel)?;
        rights.mode = mode_for(rights.mode, request.executable);
        let temporary = Temporary::create(&place.dir)?;
        temporary.fill(&request.content, &rights, cancel)?;
        // The last moment at which it can be given up.
        let still = || cancel.check();
        temporary.replace(&place.name, &self.commits, still)?;
        Ok(WriteFileReply {
            size: request.content.len() as u64,
            created: place.found.is_none(),
            other_names: rights.other_names,
        })
    }

    /// Any entry with the name counts, even a dangling link, as with O_EXCL.
    fn create_new(
        &self,
        path: RelativePath<'_>,
        request: &WriteFileRequest,
        cancel: &Cancel,
    ) -> Result<WriteFileReply, Failure> {
        let (parent, name) = path.split_last();
        let dir = self.directory(parent, cancel)?;
        // Before 3 MiB are written for nothing.
        must_be_free(&dir, name)?;
        make_new(&dir, name, request, cancel)
    }

    fn append(
        &self,
        path: RelativePath<'_>,
        request: &WriteFileRequest,
        cancel: &Cancel,
    ) -> Result<WriteFileReply, Failure> {
        let (mut lease_wait, mut tries) = (LeaseWait::with_a_file(), 0);
        while tries <= MAX_LINKS {
            let place = self.place(path, MissingDirectory::IsMade, cancel)?;
            let Some(found) = &place.found else {
                match make_new(&place.dir, &place.name, request, cancel) {
                    // Another program has just made it: then it grows.
                    Err(failure) if failure.code() == Code::Exists => {
                        tries += 1;
                        continue;
                    }
                    made => return made,
                }
            };
            must_be_regular(found)?;
            must_be_writable(&place, found)?;
            let content = &encoded::as_in(&place, request, &mut lease_wait, cancel)?;
            let executable = request.executable;
            if other_names(found) > 0 {
                match self.split(&place, content, executable, &mut lease_wait, cancel) {
                    Err(failure) if failure.code() == Code::Changed && tries < MAX_LINKS => {
                        tries += 1;
                        continue;
                    }
                    split => return split,
                }
            }
            match openat(&place.dir, &place.name, APPEND, Mode::empty()) {
                // Gone, or a link by now: look again.
                Err(Errno::NOENT | Errno::LOOP) => tries += 1,
                Err(Errno::AGAIN) => lease_wait.wait(cancel)?,
                Ok(file) => return self.grow(&file, content, executable, cancel),
                Err(errno) => return Err(failure(errno)),
            }
        }
        Err(failure(Errno::LOOP))
    }

    /// Replaces the file under this name with a copy that has the addition; its other names
    /// keep the old file. `CHANGED` when it changed during the copy, `FILE_TOO_LARGE` above
    /// [`MAX_EDIT`].
    fn split(
        &self,
        place: &EntryLocation,
        content: &[u8],
        executable: bool,
        lease_wait: &mut LeaseWait,
        cancel: &Cancel,
    ) -> Result<WriteFileReply, Failure> {
        let old = lease_wait.open(&place.dir, &place.name, cancel)?;
        let old = old.map_err(failure)?;
        let before = fstat(&old).map_err(failure)?;
        must_be_regular(&before)?;
        if size(&before) > MAX_EDIT as u64 {
            let detail = format!(
                "an append to a file with several names copies it, and copies {MAX_EDIT} bytes \
                 at most"
            );
            return Err(Failure::new(Code::FileTooLarge, detail));
        }
        let mut rights = Rights::of(&old, &before)?;
        rights.mode = mode_for(rights.mode, executable);
        let temporary = Temporary::create(&place.dir)?;
        let mut copied = 0;
        loop {
            let data = read_at(&old, copied, COPIED, cancel)?;
            if data.is_empty() {
                break;
            }
            temporary.write(&data, cancel)?;
            copied += data.len() as u64;
        }
        temporary.fill(content, &rights, cancel)?;
        temporary.replace(&place.name, &self.commits, || {
            cancel.check()?;
            must_be_unchanged(place, &before)
        })?;
        Ok(WriteFileReply {
            size: copied + content.len() as u64,
            created: false,
            other_names: rights.other_names,
        })
    }

    fn grow(
        &self,
        file: &OwnedFd,
        content: &[u8],
        executable: bool,
        cancel: &Cancel,
    ) -> Result<WriteFileReply, Failure> {
        // No other append of PID 1 comes between the write and its undoing.
        let alone = lock(&self.commits);
        let stat = fstat(file).map_err(failure)?;
        must_be_regular(&stat)?;
        cancel.check()?;
        if executable {
            set_executable(file, &stat)?;
        }
        write_whole(file, content, size(&stat))?;
        let after = fstat(file).map_err(not_synced)?;
        drop(alone);
        retry_on_intr(|| fsync(file)).map_err(not_synced)?;
        Ok(WriteFileReply {
            size: size(&after),
            created: false,
            other_names: 0,
        })
    }
}

/// Makes a file that does not exist.
fn make_new(
    dir: &OwnedFd,
    name: &[u8],
    request: &WriteFileRequest,
    cancel: &Cancel,
) -> Result<WriteFileReply, Failure> {
    let temporary = Temporary::create(dir)?;
    let mut rights = Rights::new();
    rights.mode = mode_for(rights.mode, request.executable);
    temporary.fill(&request.content, &rights, cancel)?;
    cancel.check()?;
    temporary.put_new(name)?;
    Ok(WriteFileReply {
        size: request.content.len() as u64,
        created: true,
        other_names: 0,
    })
}

/// The mode, for an executable file with an executable bit for each that allows to read.
fn mode_for(mode: u32, executable: bool) -> u32 {
    if executable {
        mode | (mode & 0o444) >> 2
    } else {
        mode
    }
}

fn set_executable(file: &OwnedFd, stat: &Stat) -> Result<(), Failure> {
    let mode = stat.st_mode & KEPT_MODE;
    let wanted = mode_for(mode, true);
    if wanted == mode {
        return Ok(());
    }
    fchmod(file, Mode::from_raw_mode(wanted)).map_err(failure)
}

/// Appends all of `content` to a file of `before` bytes, or nothing.
fn write_whole(file: &OwnedFd, content: &[u8], before: u64) -> Result<(), Failure> {
    let mut done = 0;
    while done < content.len() {
        match retry_on_intr(|| write(file, &content[done..])) {
            Ok(written) => done += written,
            Err(errno) => return Err(take_back(file, done, before, errno)),
        }
    }
    Ok(())
}

/// Removes the `done` bytes of an append that failed, unless user code appended in the same
/// moment.
fn take_back(file: &OwnedFd, done: usize, before: u64, errno: Errno) -> Failure {
    let only_ours = fstat(file).is_ok_and(|stat| size(&stat) == before + done as u64);
    if done == 0 || only_ours && ftruncate(file, before).is_ok() {
        return failure(errno);
    }
    let detail = format!("{done} bytes were appended, then: {errno}");
    Failure::new(Code::Other, detail)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod mode_tests;
