//! The file work of PID 1: reads, writes and lists files in the workspace, with the user's
//! rights, on separate threads ([`Pool`]).
//!
//! ```text
//!  read ──► lines ──► source ──► charset  pages of lines, ranges of bytes
//!  write, edit ──► replaced, temporary    whole files
//!  list ──► names, pattern, entry         pages of a tree
//!  download ──► archive                   a file, a tree as tar, part by part
//!  upload ──► temporary, unpack           the same, inwards
//!  stat, delete, move, make_directory     what is at a path
//!    └─ all by resolve ──► walk           from a path to a descriptor beneath
//!  shared                                the same reads and lists beneath shared data
//! ```
//!
//! Invariants:
//! - Nothing outside the workspace is opened, made or listed, even if user code renames or
//!   links directories at the same time ([`walk`]).
//! - Only regular files are read and replaced; opening never waits for a peer, and for the holder
//!   of a lease some seconds ([`lease_wait`]).
//! - A file is replaced whole or not at all ([`mod@write`], [`edit`]).
//! - Memory is bounded by the request, never by the file or the directory.
//! - One edit at a time: each may hold a file of 8 MiB twice, and two of the same
//!   file both happen. No commit of ours comes between another's last look and its
//!   rename.
//! - Work that may take long checks its [`Cancel`] in every round.

mod archive;
mod attributes;
mod budget;
mod charset;
mod delete;
mod download;
mod edit;
mod entry;
mod last_use;
mod lease_wait;
mod limit;
mod lines;
mod list;
mod make_directory;
mod move_entry;
mod names;
mod part_sender;
mod path;
mod pattern;
mod pool;
mod read;
mod replaced;
mod resolve;
mod shared;
mod source;
mod stat;
mod sweep;
mod temporary;
#[cfg(test)]
pub(crate) mod testing;
mod top;
mod unpack;
mod upload;
mod walk;
mod write;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, WORKSPACE};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat, openat, openat2};
use rustix::io::Errno;

pub(crate) use archive::backup::CopyCheck;
pub(crate) use part_sender::{PART_BUFFER, PartSender};
pub(crate) use pool::{Cancel, Pool};
pub(crate) use shared::{Shared, SharedCall};
pub(crate) use sweep::TEMPORARY_AGE_LIMIT;
pub(crate) use upload::{Content, PIECE_BUFFER, Piece, Transfer};

/// How openat2 is asked to stay beneath the workspace. Magic links
/// (`/proc/self/fd/3`) name things without a path: no rule about paths holds
/// for them.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// The directory that all file work stays beneath.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: OwnedFd,
    /// Where it is.
    place: PathBuf,
    /// What absolute links call the root: a link to this path or to something
    /// below it is followed.
    name: PathBuf,
    openat2: bool,
    /// Held for a whole edit.
    edits: Mutex<()>,
    /// Held for the moment in which a file is exchanged or grows.
    commits: Mutex<()>,
}

impl Workspace {
    /// Opens the workspace at `place` and tries what the kernel can do there.
    pub(crate) fn open(place: &Path) -> io::Result<Self> {
        top::open_up(place);
        Self::open_as(place, Path::new(WORKSPACE))
    }

    /// Opens the directory at `place`, whose content calls it `name` in absolute links.
    fn open_as(place: &Path, name: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, place, flags, Mode::empty())?;
        let openat2 = match openat2(&root, ".", flags, Mode::empty(), BENEATH) {
            Ok(_) => true,
            // Not there, hidden by a seccomp profile, or without these flags.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => false,
            Err(errno) => return Err(errno.into()),
        };
        Ok(Self {
            root,
            place: place.to_owned(),
            name: name.to_owned(),
            openat2,
            edits: Mutex::default(),
            commits: Mutex::default(),
        })
    }

    /// What the kernel was found to be able to do, for `HelloReply.features`.
    /// Without openat2 the walk resolves all paths, with the same results.
    pub(crate) fn features(&self) -> Vec<String> {
        let openat2 = self.openat2.then(|| "openat2".to_owned());
        openat2.into_iter().collect()
    }
}

/// The only one to hold it. What it guards is on the disk: a panic spoils nothing.
fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel said, in the words of the protocol.
fn failure(errno: Errno) -> Failure {
    let code = match errno {
        Errno::NOENT => Code::NotFound,
        Errno::EXIST => Code::Exists,
        Errno::XDEV => Code::OutsideWorkspace,
        Errno::ISDIR => Code::IsDirectory,
        Errno::NOTDIR => Code::NotDirectory,
        // Opening a socket, or a device that nothing drives.
        Errno::NXIO | Errno::NODEV => Code::NotRegular,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Code::PermissionDenied,
        Errno::LOOP => Code::TooManyLinks,
        Errno::NOSPC | Errno::DQUOT => Code::NoSpace,
        Errno::NAMETOOLONG => Code::NameTooLong,
        Errno::FBIG => Code::FileTooLarge,
        _ => Code::Other,
    };
    let limit = match code {
        Code::NoSpace => limit::of_space(),
        Code::FileTooLarge => limit::of_a_file(),
        _ => None,
    };
    let detail = limit.unwrap_or_else(|| io::Error::from(errno).to_string());
    Failure::new(code, detail)
}

/// A bound of the protocol that the caller broke.
fn invalid(detail: &str) -> Failure {
    Failure::new(Code::Invalid, detail)
}

fn outside(detail: &str) -> Failure {
    Failure::new(Code::OutsideWorkspace, detail)
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Milliseconds since the epoch; negative before it.
fn modified_ms(stat: &Stat) -> i64 {
    let millis = i64::try_from(stat.st_mtime_nsec / 1_000_000).unwrap_or(0);
    stat.st_mtime.saturating_mul(1000).saturating_add(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_that_callers_act_on_has_its_code() {
        for (errno, code) in [
            (Errno::NOENT, Code::NotFound),
            (Errno::NXIO, Code::NotRegular),
            (Errno::ROFS, Code::PermissionDenied),
            (Errno::NOSPC, Code::NoSpace),
            (Errno::DQUOT, Code::NoSpace),
            (Errno::FBIG, Code::FileTooLarge),
            (Errno::IO, Code::Other),
        ] {
            assert_eq!(failure(errno).code(), code);
        }
        assert!(failure(Errno::IO).detail.contains("Input/output error"));
    }

    #[test]
    fn a_workspace_that_is_no_directory_is_an_error() {
        assert!(Workspace::open(Path::new("/nonexistent")).is_err());
        assert!(Workspace::open(Path::new("/proc/self/status")).is_err());
    }
}
