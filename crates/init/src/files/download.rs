//! Sends files and directories, a part at a time.
//!
//! A file has exactly the announced length, or the download fails: the file may shrink while it
//! is sent, but no client treats a part as the whole. It is not a snapshot: bytes that are written
//! to it during the download may be in it.

use std::os::fd::OwnedFd;

use casemate_protocol::download_part::Part;
use casemate_protocol::failure::Code;
use casemate_protocol::{DownloadRequest, Failure, FailureExt as _, MAX_CHUNK};
use rustix::fs::{Advice, fadvise, fstat};

use super::archive::LeftOutNames;
use super::part_sender::PartSender;
use super::path::RelativePath;
use super::read::{READ, read_at};
use super::{Cancel, Workspace, archive, failure, stat};

impl Workspace {
    /// Sends what `path` is, then its content: of a file the bytes that were asked for,
    /// of a directory all of it as a tar archive.
    pub(crate) fn download(
        &self,
        request: &DownloadRequest,
        parts: &PartSender,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let path = RelativePath::parse(&request.path)?;
        let file = self.open_beneath(path, READ, cancel)?;
        let mut found = stat::reply(&fstat(&file).map_err(failure)?)?;
        let left_out = LeftOutNames::of_download(path.is_root(), request.without_hidden);
        if found.is_dir {
            found.without_hidden = request.without_hidden;
            archive::check_readable(&file, left_out, cancel)?;
        }
        parts.send(Part::Stat(found))?;
        if found.is_dir {
            return archive::send(file, left_out, parts, cancel);
        }
        let rest = found.size.saturating_sub(request.offset);
        let length = request.length.map_or(rest, |length| length.min(rest));
        send_range(&file, request.offset, length, parts, cancel)
    }
}

/// Sends exactly `length` bytes. `CHANGED` when the file has not as many any more.
fn send_range(
    file: &OwnedFd,
    offset: u64,
    length: u64,
    parts: &PartSender,
    cancel: &Cancel,
) -> Result<(), Failure> {
    // A hint: not every file system takes it.
    let _ = fadvise(
        file,
        offset,
        std::num::NonZeroU64::new(length),
        Advice::Sequential,
    );
    let mut sent = 0;
    while sent < length {
        let wanted = usize::try_from(length - sent).map_or(MAX_CHUNK, |left| left.min(MAX_CHUNK));
        let data = read_at(file, offset + sent, wanted, cancel)?;
        if data.len() < wanted {
            let detail = format!("it became shorter after {} bytes", sent + data.len() as u64);
            return Err(Failure::new(Code::Changed, detail));
        }
        sent += data.len() as u64;
        parts.data(data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
