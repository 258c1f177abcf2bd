//! Sends all of the workspace, so that it can be restored exactly: besides the contents of every
//! archive, times to the nanosecond, all bits of modes, the top itself, hard links as links,
//! extended attributes, and also files that the owner's mode bits keep from being read.
//! `.home/.cache` is left out: programs can fill it again. Everything else that is left out is
//! counted ([`LeftOut`]).
//!
//! ```text
//!  copy ──► [TreeDigest] of all entries ─┐
//!  read all entries once more ───────────┴─► the same: nothing changed during the copy
//! ```
//!
//! The copy is then equal to the workspace at the end of the copy. Two writes within one tick of
//! the kernel's clock look like one: an entry that is younger than that counts as changed, unless
//! no process of the user ran.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use casemate_protocol::failure::Code;
use casemate_protocol::{Attribute, Failure, FailureExt as _, LeftOut, backup::ENTRIES};
use rustix::fs::{FileType, OFlags, Stat, fstat};

use super::OURS;
use super::entry::{EntryRef, Opener, is, target};
use super::readable::{self, ReadableDir};
use super::walk::{Visitor, walk};
use super::writer::Writer;
use crate::files::attributes::{self, Attributes};
use crate::files::part_sender::PartSender;
use crate::files::path::RelativePath;
use crate::files::{Cancel, Workspace, failure};

/// Directories in the user's home that programs can fill again.
const HOME: &[u8] = b".home/";
const CACHES: &[&[u8]] = &[b".cache"];

/// Bytes that remember files with several names, some 150,000 files. Beyond that each name is a
/// separate file.
const LINK_BYTES_LIMIT: usize = 16 * 1024 * 1024;

/// Bytes of one of them besides its path: its entry in the table, and the allocation.
const LINK: usize = 64;

/// Paths that are named in what is left out, and the last bytes of each that are.
const MENTIONED: usize = 8;
const MENTIONED_BYTES: usize = 256;

/// Two ticks of the slowest kernel's clock (100 Hz), in nanoseconds.
const TICKS: i128 = 20_000_000;

/// The result of a copy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CopyCheck {
    /// Everything was afterwards as it had been copied.
    pub(crate) same: bool,
    /// Something was so young that a change of it may not show.
    pub(crate) fresh: bool,
    /// Entries that were not copied.
    pub(crate) left_out: LeftOut,
}

impl Workspace {
    /// Sends the archive, and then reads all entries once more.
    pub(crate) fn backup(&self, parts: &PartSender, cancel: &Cancel) -> Result<CopyCheck, Failure> {
        let mut copy = CopyVisitor {
            out: Writer::new(parts, cancel, true),
            opener: Opener::new(cancel),
            links: Links::default(),
            seen: TreeDigest::default(),
            left_out: LeftOut::default(),
        };
        self.each(&mut copy, cancel)?;
        copy.out.finish()?;
        let mut again = RecheckVisitor(TreeDigest::default());
        self.each(&mut again, cancel)?;
        Ok(CopyCheck {
            same: copy.seen.digest.finish() == again.0.digest.finish(),
            fresh: copy.seen.fresh,
            left_out: copy.left_out,
        })
    }

    fn each(&self, visitor: &mut impl Visitor, cancel: &Cancel) -> Result<(), Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let top = self.open_beneath(RelativePath::parse("")?, flags, cancel)?;
        visitor.directory(b"./", &top, &fstat(&top).map_err(failure)?)?;
        walk(top.into(), visitor, cancel)
    }
}

fn hidden(prefix: &[u8]) -> &'static [&'static [u8]] {
    match prefix {
        b"" => OURS,
        HOME => CACHES,
        _ => &[],
    }
}

struct CopyVisitor<'a> {
    out: Writer<'a>,
    opener: Opener<'a>,
    links: Links,
    seen: TreeDigest,
    left_out: LeftOut,
}

impl CopyVisitor<'_> {
    /// The attributes that are copied.
    fn carried(&mut self, path: &[u8], attributes: Attributes) -> Vec<Attribute> {
        self.left_out.attributes += attributes.left_out;
        if attributes.left_out > 0 {
            self.mention(path);
        }
        attributes.carried
    }

    /// Says where something was left out, the first few times.
    fn mention(&mut self, path: &[u8]) {
        if self.left_out.paths.len() < MENTIONED {
            let end = path.len().saturating_sub(MENTIONED_BYTES);
            self.left_out.paths.push(path[end..].to_vec().into());
        }
    }
}

impl Visitor for CopyVisitor<'_> {
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]] {
        hidden(prefix)
    }

    fn file(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure> {
        if let Some(first) = self.links.first(stat) {
            self.out.hard_link(at.path, first, stat)?;
            return self.seen.add(at.path, stat);
        }
        let opened = readable::file(at, stat, &mut self.opener)?;
        let Some((file, stat, attributes)) = opened else {
            return Ok(());
        };
        let attributes = self.carried(at.path, attributes);
        self.out.file(at.path, &file, &stat, attributes)?;
        if !self.links.remember(at.path, &stat) {
            self.left_out.links += 1;
            self.mention(at.path);
        }
        self.seen.add(at.path, &stat)
    }

    fn link(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure> {
        let Some(target) = target(at)? else {
            return Ok(());
        };
        self.out.link(at.path, &target, stat)?;
        self.seen.add(at.path, stat)
    }

    fn open(&self, at: EntryRef<'_>, stat: &Stat) -> Result<Option<(ReadableDir, Stat)>, Failure> {
        readable::directory(at, stat)
    }

    fn directory(&mut self, path: &[u8], dir: &OwnedFd, stat: &Stat) -> Result<(), Failure> {
        let attributes = self.carried(path, attributes::of(dir)?);
        self.out.directory(path, stat, attributes)?;
        self.seen.add(path, stat)
    }

    fn special(&mut self, at: EntryRef<'_>) {
        self.left_out.special += 1;
        self.mention(at.path);
    }
}

/// Reads the entries once more, and copies nothing.
struct RecheckVisitor(TreeDigest);

impl Visitor for RecheckVisitor {
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]] {
        hidden(prefix)
    }

    fn file(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure> {
        self.0.add(at.path, stat)
    }

    fn link(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure> {
        self.0.add(at.path, stat)
    }

    fn open(&self, at: EntryRef<'_>, stat: &Stat) -> Result<Option<(ReadableDir, Stat)>, Failure> {
        readable::directory(at, stat)
    }

    fn directory(&mut self, path: &[u8], _: &OwnedFd, stat: &Stat) -> Result<(), Failure> {
        self.0.add(path, stat)
    }
}

/// Paths of files that have more than one name.
#[derive(Default)]
struct Links {
    paths: HashMap<(u64, u64), Box<[u8]>>,
    bytes: usize,
}

impl Links {
    /// The path under which it was sent.
    fn first(&self, stat: &Stat) -> Option<&[u8]> {
        let found = self.paths.get(&(stat.st_dev, stat.st_ino));
        found.map(AsRef::as_ref)
    }

    /// `false`: there is no room, and each further name is a separate file.
    fn remember(&mut self, path: &[u8], stat: &Stat) -> bool {
        let bytes = path.len() + LINK;
        if stat.st_nlink <= 1 {
            return true;
        }
        if self.bytes + bytes > LINK_BYTES_LIMIT {
            return false;
        }
        self.bytes += bytes;
        self.paths.insert((stat.st_dev, stat.st_ino), path.into());
        true
    }
}

/// A digest of the entries, in order. It finds changes, not forgeries: only the user could forge
/// one, and it is the user's own backup.
#[derive(Default)]
struct TreeDigest {
    digest: DefaultHasher,
    fresh: bool,
    entries: u64,
}

impl TreeDigest {
    fn add(&mut self, path: &[u8], stat: &Stat) -> Result<(), Failure> {
        self.entries += 1;
        if self.entries > ENTRIES {
            let detail = format!("a workspace of more than {ENTRIES} entries");
            return Err(Failure::new(Code::Other, detail));
        }
        path.hash(&mut self.digest);
        (stat.st_ino, stat.st_mode, stat.st_size).hash(&mut self.digest);
        (stat.st_mtime, stat.st_mtime_nsec).hash(&mut self.digest);
        let (written, changed) = (
            (stat.st_mtime, stat.st_mtime_nsec),
            (stat.st_ctime, stat.st_ctime_nsec),
        );
        // Making an entry readable for the copy changes the second: of a file just now, of a
        // directory also after this. A write changes the first.
        let is_open = readable::is_open(stat);
        if is_open || !is(FileType::Directory, stat) {
            changed.hash(&mut self.digest);
        }
        self.fresh |= age(if is_open { changed } else { written }) < TICKS;
        Ok(())
    }
}

/// Nanoseconds since this time; negative where the clock was set back.
fn age((seconds, nanos): (i64, u64)) -> i128 {
    let then = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| i128::try_from(now.as_nanos()).unwrap_or(i128::MAX));
    now - then
}

#[cfg(test)]
pub(in crate::files) mod tests;
