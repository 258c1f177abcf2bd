//! Removes the temporary files of a PID 1 that was killed.
//!
//! It removes only regular files with a name that [`super::temporary`] makes and without a write
//! for [`TEMPORARY_AGE_LIMIT`]: another container on the same workspace may be writing one now.
//! Such names are Casemate's, even if the user made the file.
//!
//! It is a courtesy: it is bounded in time and count, and reports no errors. The next PID 1
//! removes the rest.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, openat, statat, unlinkat};

use super::temporary::is_temporary_name;
use super::{Cancel, Workspace, modified_ms};

/// A temporary file lives as long as its call, and is written to every 30 s at least.
/// This is far above it, and above what the clocks of two machines that share a
/// workspace differ.
pub(crate) const TEMPORARY_AGE_LIMIT: Duration = Duration::from_secs(600);

/// Time for all of it: at the container's one CPU it must not be felt.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(1);

/// Entries looked at.
const ENTRY_LIMIT: usize = 100_000;

/// Levels of directories, all of which are open at once.
const DEPTH_LIMIT: usize = 64;

/// Buffer of each of them for what one getdents64 answers: 256 KiB in all.
const BUFFER: usize = 4 * 1024;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Workspace {
    /// Removes those files. Returns how many it removed.
    pub(crate) fn sweep(&self, cancel: &Cancel) -> usize {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let stale = now.unwrap_or_default().saturating_sub(TEMPORARY_AGE_LIMIT);
        let mut sweep = Sweep {
            cancel,
            until: Instant::now() + SWEEP_TIMEOUT,
            before_ms: i64::try_from(stale.as_millis()).unwrap_or(0),
            entries: ENTRY_LIMIT,
            removed: 0,
        };
        self.unlock();
        if let Ok(top) = openat(&self.root, ".", DIRECTORY, Mode::empty()) {
            sweep.directory(&top, DEPTH_LIMIT);
        }
        sweep.removed
    }
}

struct Sweep<'a> {
    cancel: &'a Cancel,
    until: Instant,
    /// Milliseconds since the epoch; files that were changed since then stay.
    before_ms: i64,
    /// How many more may be looked at.
    entries: usize,
    removed: usize,
}

impl Sweep<'_> {
    fn is_over(&self) -> bool {
        self.entries == 0 || self.cancel.is_cancelled() || Instant::now() >= self.until
    }

    /// Every directory is opened by one name from the one above, no link is
    /// followed: so it stays beneath.
    fn directory(&mut self, dir: &OwnedFd, depth: usize) {
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(Ok(entry)) = entries.next() {
            if self.is_over() {
                return;
            }
            self.entries -= 1;
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                FileType::Directory | FileType::Unknown if depth > 1 => {
                    if let Ok(below) = openat(dir, name, DIRECTORY, Mode::empty()) {
                        self.directory(&below, depth - 1);
                    } else {
                        self.file(dir, name);
                    }
                }
                _ => self.file(dir, name),
            }
        }
    }

    fn file(&mut self, dir: &OwnedFd, name: &std::ffi::CStr) {
        if !is_temporary_name(name.to_bytes()) {
            return;
        }
        let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return;
        };
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if regular && modified_ms(&stat) < self.before_ms {
            self.removed += usize::from(unlinkat(dir, name, AtFlags::empty()).is_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use super::super::testing::Sandbox;
    use super::*;

    const NAME: &str = ".casemate-tmp-0123456789abcdef";

    fn age(path: &Path, by: Duration) {
        let file = File::options().write(true).open(path).expect("opened");
        let time = SystemTime::now() - by;
        file.set_modified(time).expect("times");
    }

    fn sweep(sandbox: &Sandbox) -> usize {
        sandbox.workspace.sweep(&Cancel::default())
    }

    #[test]
    fn old_temporary_files_are_removed_wherever_they_are() {
        let sandbox = Sandbox::new(true);
        for dir in [
            "",
            "a/",
            "a/b/c/",
            ".casemate/",
            &"d/".repeat(DEPTH_LIMIT - 1),
        ] {
            let path = format!("{dir}{NAME}");
            sandbox.file(&path, "left");
            age(&sandbox.at(&path), 2 * TEMPORARY_AGE_LIMIT);
        }
        assert_eq!(sweep(&sandbox), 5);
        assert_eq!(sweep(&sandbox), 0);
    }

    #[test]
    fn what_is_fresh_or_another_thing_or_elsewhere_stays() {
        let sandbox = Sandbox::new(true);
        sandbox.file(NAME, "another container writes it now");
        let kept = [
            "a/file",
            "a/.casemate-tmp-0123456789ABCDEF",
            "a/.casemate-tmp-1",
        ];
        for path in kept {
            sandbox.file(path, "");
            age(&sandbox.at(path), 2 * TEMPORARY_AGE_LIMIT);
        }
        sandbox.dir(&format!("b/{NAME}/below"));
        fs::write(sandbox.outside(NAME), "").expect("written");
        age(&sandbox.outside(NAME), 2 * TEMPORARY_AGE_LIMIT);
        sandbox.link("out", sandbox.outside(""));
        sandbox.link(&format!("a/{NAME}"), sandbox.outside(NAME));
        assert_eq!(sweep(&sandbox), 0);
        assert!(sandbox.outside(NAME).exists());
        fs::remove_file(sandbox.outside(NAME)).expect("removed");
    }

    #[test]
    fn it_ends_when_its_count_or_its_time_is_over() {
        let sandbox = Sandbox::new(true);
        for number in 0..20 {
            let path = format!(".casemate-tmp-{number:016x}");
            sandbox.file(&path, "");
            age(&sandbox.at(&path), 2 * TEMPORARY_AGE_LIMIT);
        }
        let bounded = |entries, until| {
            let mut sweep = Sweep {
                cancel: &Cancel::default(),
                until,
                before_ms: i64::MAX,
                entries,
                removed: 0,
            };
            let top = openat(&sandbox.workspace.root, ".", DIRECTORY, Mode::empty());
            sweep.directory(&top.expect("top"), DEPTH_LIMIT);
            sweep.removed
        };
        assert_eq!(bounded(ENTRY_LIMIT, Instant::now()), 0);
        // `.` and `..` may be among the ten.
        let some = bounded(10, Instant::now() + SWEEP_TIMEOUT);
        assert!((8..=10).contains(&some), "{some}");
        assert_eq!(
            bounded(ENTRY_LIMIT, Instant::now() + SWEEP_TIMEOUT),
            20 - some
        );
    }
}
