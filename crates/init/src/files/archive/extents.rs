//! Where a sparse file has data.

use std::os::fd::OwnedFd;

use casemate_protocol::backup::EXTENTS;
use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use rustix::fs::{SeekFrom, Stat, seek};
use rustix::io::Errno;

use crate::files::{failure, size};

/// What a piece begins and ends at, but for the last.
const BLOCK: u64 = 512;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::files) struct Extent {
    pub(in crate::files) at: u64,
    pub(in crate::files) length: u64,
}

/// The pieces with data, in order; the last one ends where the file does, and is empty
/// where it ends with a hole. `None` for a file without holes worth it.
pub(super) fn of(file: &OwnedFd, stat: &Stat) -> Result<Option<Vec<Extent>>, Failure> {
    let size = size(stat);
    let stored = u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(BLOCK);
    if stored >= size {
        return Ok(None);
    }
    let mut extents = Vec::new();
    let mut end = 0;
    while end < size {
        let at = match seek(file, SeekFrom::Data(end)) {
            Ok(at) => (at - at % BLOCK).max(end),
            // A hole up to the end.
            Err(Errno::NXIO) => break,
            // The file system cannot tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(failure(errno)),
        };
        if at >= size {
            break;
        }
        let hole = seek(file, SeekFrom::Hole(at)).map_err(failure)?;
        end = hole.next_multiple_of(BLOCK).clamp(at + 1, size);
        extents.push(Extent {
            at,
            length: end - at,
        });
        if extents.len() > EXTENTS {
            let detail = format!("a sparse file of more than {EXTENTS} pieces");
            return Err(Failure::new(Code::Other, detail));
        }
    }
    match extents.as_slice() {
        [Extent { at: 0, length }] if *length == size => return Ok(None),
        _ if end < size => extents.push(Extent {
            at: size,
            length: 0,
        }),
        _ => {}
    }
    Ok(Some(extents))
}
