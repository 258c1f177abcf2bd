//! Checks a directory before its archive is sent: an entry that cannot be read is then an error
//! that names it, and not an archive that breaks off.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use casemate_protocol::Failure;
use rustix::fs::{Mode, Stat, openat};

use super::LeftOutNames;
use super::entry::{DIRECTORY, EntryRef, Opener, open};
use super::readable::ReadableDir;
use super::walk::{Visitor, walk};
use crate::files::lease_wait::LeaseWait;
use crate::files::{Cancel, failure};

/// How long it may take, without the wait for a lease: it delays the first byte, for which the
/// server waits 30 s. The rest of a very large tree is not checked; an entry there that cannot be
/// read ends the archive.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks all that is in `top`.
///
/// # Errors
/// What an archive of it would fail with; the entry is named.
pub(in crate::files) fn check_readable(
    top: &OwnedFd,
    left_out: LeftOutNames,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let mut look = ReadableCheck {
        left_out,
        end: Instant::now() + CHECK_TIMEOUT,
        opener: Opener {
            lease_wait: LeaseWait::with_a_file(),
            cancel,
        },
    };
    let top = openat(top, ".", DIRECTORY, Mode::empty()).map_err(failure)?;
    walk(top.into(), &mut look, cancel)
}

struct ReadableCheck<'a> {
    left_out: LeftOutNames,
    end: Instant,
    opener: Opener<'a>,
}

impl ReadableCheck<'_> {
    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}

impl Visitor for ReadableCheck<'_> {
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]] {
        self.left_out.at(prefix)
    }

    fn leaves_out(&self, name: &[u8]) -> bool {
        self.left_out.has(name)
    }

    fn file(&mut self, at: EntryRef<'_>, _: &Stat) -> Result<(), Failure> {
        if self.is_over() {
            return Ok(());
        }
        self.opener.file(at).map(drop)
    }

    fn link(&mut self, _: EntryRef<'_>, _: &Stat) -> Result<(), Failure> {
        Ok(())
    }

    fn open(&self, at: EntryRef<'_>, _: &Stat) -> Result<Option<(ReadableDir, Stat)>, Failure> {
        if self.is_over() {
            return Ok(None);
        }
        let opened = open(at, DIRECTORY)?;
        Ok(opened.map(|(dir, stat)| (dir.into(), stat)))
    }

    fn directory(&mut self, _: &[u8], _: &OwnedFd, _: &Stat) -> Result<(), Failure> {
        Ok(())
    }
}
