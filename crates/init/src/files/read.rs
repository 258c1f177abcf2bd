//! Reading regular files: a page of lines, or a range of bytes.

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::{
    Encoding, Failure, FailureExt as _, MAX_READ, ReadBytesReply, ReadBytesRequest, ReadLinesReply,
    ReadLinesRequest,
};
use rustix::fs::{FileType, OFlags, Stat, fstat};
use rustix::io::{Errno, pread, retry_on_intr};

use super::budget::Budget;
use super::charset::{Charset, SNIFF_LIMIT, has_many_controls, is_mostly_damage, looks_binary};
use super::lines::{Limits, Page, not_text};
use super::path::RelativePath;
use super::source::{LineSource, ReadRejection};
use super::stat::version;
use super::{Cancel, Workspace, failure, invalid, lines, modified_ms, size};

/// Largest `max_chars`: a character has four bytes at most, and the reply must
/// fit a message as [`MAX_READ`] bytes do.
const MAX_CHARS: usize = MAX_READ / 4;

/// How much of a file is read at a time; decoded it may be twice as much.
const BUFFER: usize = 64 * 1024;

/// Never waits (a FIFO without a writer) and never becomes our terminal.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Workspace {
    /// Lines `start_line..` of a text in any [`Charset`], as UTF-8, until one of
    /// the request's bounds is reached: whole lines, each cut to
    /// `max_line_chars`. The first line is shown in any case: cut to `max_chars`,
    /// with its mark on top.
    pub(crate) fn read_lines(
        &self,
        request: &ReadLinesRequest,
        cancel: &Cancel,
    ) -> Result<ReadLinesReply, Failure> {
        let limits = Limits {
            start_line: request.start_line,
            max_lines: request.max_lines,
            max_chars: request.max_chars.into(),
            max_line_chars: request.max_line_chars.into(),
        };
        let bounded = usize::try_from(request.max_chars).is_ok_and(|chars| chars <= MAX_CHARS);
        if !bounded || limits.has_zero() {
            return Err(invalid("a bound of ReadLines is 0 or too large"));
        }
        let (file, stat) = self.open_regular(&request.path, cancel)?;
        let read = |charset| {
            let mut source = LineSource::new(&file, size(&stat), charset, BUFFER, cancel);
            lines::read(&mut source, &limits, Budget::default())
        };
        let (page, charset) = page_in(charset(&file, size(&stat))?, read)?;
        Ok(ReadLinesReply {
            text: page.text,
            lines: page.lines,
            lines_seen: page.lines_seen,
            complete: page.complete,
            lines_cut: page.lines_cut,
            size: size(&stat),
            modified_ms: modified_ms(&stat),
            encoding: Encoding::from(charset).into(),
        })
    }

    /// `length` bytes from `offset`; fewer at the end of the file, none beyond.
    pub(crate) fn read_bytes(
        &self,
        request: &ReadBytesRequest,
        cancel: &Cancel,
    ) -> Result<ReadBytesReply, Failure> {
        let length = u64::from(request.length);
        if length > MAX_READ as u64 {
            return Err(invalid("ReadBytes of more than 3 MiB"));
        }
        let (file, stat) = self.open_regular(&request.path, cancel)?;
        let left = size(&stat).saturating_sub(request.offset);
        let wanted = usize::try_from(left.min(length)).unwrap_or(MAX_READ);
        Ok(ReadBytesReply {
            data: read_at(&file, request.offset, wanted, cancel)?.into(),
            size: size(&stat),
            modified_ms: modified_ms(&stat),
            version: version(&stat),
        })
    }

    fn open_regular(&self, path: &[u8], cancel: &Cancel) -> Result<(OwnedFd, Stat), Failure> {
        let file = self.open_beneath(RelativePath::parse(path)?, READ, cancel)?;
        let stat = fstat(&file).map_err(failure)?;
        must_be_regular(&stat)?;
        Ok((file, stat))
    }
}

/// Fails for anything that is not a regular file.
pub(super) fn must_be_regular(stat: &Stat) -> Result<(), Failure> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(failure(Errno::ISDIR)),
        _ => Err(Failure::new(
            Code::NotRegular,
            "a FIFO, a socket or a device",
        )),
    }
}

fn charset(file: &OwnedFd, size: u64) -> Result<Charset, Failure> {
    let mut head = [0; SNIFF_LIMIT];
    let read = retry_on_intr(|| pread(file, &mut head, 0)).map_err(failure)?;
    Charset::of(&head[..read], read as u64 >= size).ok_or_else(|| not_text("binary"))
}

/// Reads a page. A file that begins as UTF-8 may continue in another way: a page that is not
/// UTF-8 is read, and marked, as damaged UTF-8 or Latin-1, independently of other pages.
fn page_in(
    charset: Charset,
    read: impl Fn(Charset) -> Result<Page, ReadRejection>,
) -> Result<(Page, Charset), Failure> {
    let (page, charset) = match read(charset) {
        Err(ReadRejection::NotUtf8) => {
            let marked = !charset.mark().is_empty();
            let damaged = Charset::DamagedUtf8 { marked };
            match read(damaged) {
                Ok(page) if is_text(&page.text) => (Ok(page), damaged),
                _ => (read(Charset::Latin1), Charset::Latin1),
            }
        }
        page => (page, charset),
    };
    match page {
        Ok(page) if charset == Charset::Latin1 && looks_binary(page.text.as_bytes()) => {
            Err(not_text("binary in these lines"))
        }
        Ok(page) => Ok((page, charset)),
        Err(ReadRejection::Failed(failure)) => Err(failure),
        Err(ReadRejection::NotUtf8) => Err(not_text("not UTF-8")),
    }
}

/// Whether a page that was decoded as damaged UTF-8 is that.
fn is_text(page: &str) -> bool {
    !is_mostly_damage(page) && !has_many_controls(page.as_bytes())
}

pub(super) fn read_at(
    file: &OwnedFd,
    offset: u64,
    wanted: usize,
    cancel: &Cancel,
) -> Result<Vec<u8>, Failure> {
    let mut data = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        cancel.check()?;
        let at = offset + filled as u64;
        match retry_on_intr(|| pread(file, &mut data[filled..], at)).map_err(failure)? {
            0 => break,
            read => filled += read,
        }
    }
    data.truncate(filled);
    Ok(data)
}

#[cfg(test)]
mod tests;
