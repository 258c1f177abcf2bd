//! Edits a file: replaces one text in it, and keeps every other byte.
//!
//! ```text
//!  read ──► find ─┬─ not there ───► closest: the text that was probably meant
//!                 ├─ too often ───► the lines where it is
//!                 └─ replace ─► temporary file ─► unchanged since? ─► rename
//!                       └─► excerpt: the changed lines, as they are now
//! ```
//!
//! An edit searches and writes bytes, except in UTF-16 ([`text`]); only excerpts are decoded.
//! A change by user code between the read and the rename shows in the file's identity, size or
//! times. The kernel counts times in ticks of some milliseconds: a change that keeps the size
//! and comes in the same tick as the one before it does not show.

mod alike;
mod closest;
mod common;
mod excerpt;
mod find;
mod text;

use std::os::fd::OwnedFd;

use casemate_protocol::{
    EditFileReply, EditFileRequest, Edited, Failure, MAX_EDIT, MAX_WRITE, SeveralMatches,
    edit_file_reply::Result as Outcome,
};
use rustix::fs::{Stat, fstat};
use rustix::io::Errno;

use self::common::too_large;
use self::text::Text;
use super::lease_wait::LeaseWait;
use super::path::RelativePath;
use super::read::{must_be_regular, read_at};
use super::replaced::{Rights, must_be_unchanged, must_be_writable};
use super::temporary::Temporary;
use super::walk::{EntryLocation, MAX_LINKS, MissingDirectory};
use super::{Cancel, Workspace, failure, invalid, lock, size};

impl Workspace {
    /// Replaces `old_text`, which must be there once, or every time it is there.
    ///
    /// # Errors
    /// `FILE_TOO_LARGE` above [`MAX_EDIT`], before or after; `CHANGED` when user code
    /// was faster. Then, and without a match, the file is as it was.
    pub(crate) fn edit_file(
        &self,
        request: &EditFileRequest,
        cancel: &Cancel,
    ) -> Result<EditFileReply, Failure> {
        check_bounds(request)?;
        let path = RelativePath::parse(&request.path)?;
        if path.is_root() {
            return Err(failure(Errno::ISDIR));
        }
        let _one_at_a_time = lock(&self.edits);
        let original = self.original(path, cancel)?;
        original.text.check(request)?;
        let found = find::find(&original.text.bytes, &request.old_text, cancel)?;
        let outcome = if found.count == 0 {
            let meant = closest::closest(&original.text.bytes, &request.old_text, cancel)?;
            Outcome::NoMatch(meant)
        } else if !request.replace_all && !found.is_only_one {
            Outcome::Several(SeveralMatches {
                count: found.count.max(2),
                lines: found.lines,
            })
        } else {
            original.text.check_count(found.count)?;
            Outcome::Edited(self.exchange(original, request, found.count, cancel)?)
        };
        Ok(EditFileReply {
            result: Some(outcome),
        })
    }

    fn original(&self, path: RelativePath<'_>, cancel: &Cancel) -> Result<Original, Failure> {
        let (mut lease_wait, mut links) = (LeaseWait::with_a_file(), 0);
        loop {
            let place = self.place(path, MissingDirectory::Fails, cancel)?;
            let found = place.found.as_ref().ok_or(failure(Errno::NOENT))?;
            must_be_regular(found)?;
            must_be_writable(&place, found)?;
            match lease_wait.open(&place.dir, &place.name, cancel)? {
                // A link by now: look again.
                Err(Errno::LOOP) if links < MAX_LINKS => links += 1,
                Ok(file) => return Original::read(place, &file, cancel),
                Err(errno) => return Err(failure(errno)),
            }
        }
    }

    fn exchange(
        &self,
        original: Original,
        request: &EditFileRequest,
        count: u64,
        cancel: &Cancel,
    ) -> Result<Edited, Failure> {
        let Original {
            place,
            stat,
            rights,
            mut text,
        } = original;
        let (old, new) = (&request.old_text, &request.new_text);
        let content = std::mem::take(&mut text.bytes);
        let edited = find::replace(&content, old, new, count, cancel)?;
        drop(content);
        let file = text.file(&edited.content)?;
        let temporary = Temporary::create(&place.dir)?;
        temporary.fill(&file, &rights, cancel)?;
        temporary.replace(&place.name, &self.commits, || {
            cancel.check()?;
            must_be_unchanged(&place, &stat)
        })?;
        let (excerpts, shown) = excerpt::excerpts(&edited.content, &edited.changes);
        Ok(Edited {
            size: file.len() as u64,
            replaced: count,
            excerpts,
            not_shown: count - shown,
            other_names: rights.other_names,
            encoding: text.encoding().to_owned(),
            mixed_line_ends: text::mixes_line_ends(&edited.content, new),
        })
    }
}

fn check_bounds(request: &EditFileRequest) -> Result<(), Failure> {
    if request.old_text.is_empty() || request.old_text == request.new_text {
        return Err(invalid("EditFile without a text to find, or to change"));
    }
    if request.old_text.len() + request.new_text.len() > MAX_WRITE {
        return Err(invalid("EditFile of more than 3 MiB"));
    }
    Ok(())
}

/// A file before its edit.
struct Original {
    place: EntryLocation,
    /// From before it was read.
    stat: Stat,
    rights: Rights,
    text: Text,
}

impl Original {
    fn read(place: EntryLocation, file: &OwnedFd, cancel: &Cancel) -> Result<Self, Failure> {
        let stat = fstat(file).map_err(failure)?;
        must_be_regular(&stat)?;
        let length = usize::try_from(size(&stat)).map_err(|_| too_large())?;
        if length > MAX_EDIT {
            return Err(too_large());
        }
        let content = read_at(file, 0, length, cancel)?;
        Ok(Self {
            place,
            rights: Rights::of(file, &stat)?,
            stat,
            text: Text::of(content),
        })
    }
}

#[cfg(test)]
mod tests;
