//! When the workspace was used last: the time of a file in it, so that it goes where the
//! workspace goes, and somebody can tell also when no container is there.
//!
//! The user's code may change it, like all of the workspace: a later time keeps the files
//! longer, and an earlier one has them backed up and removed earlier.

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, openat, statat, utimensat,
};
use rustix::io::Errno;

use super::{Workspace, modified_ms};

/// Our corner, in the workspace.
const CORNER: &str = ".casemate";

/// In the corner. Empty.
const NAME: &str = "last-used";

impl Workspace {
    /// Milliseconds since 1970. One without a file is used now, and has one then; `None`
    /// where what is there is no file of ours, or cannot be.
    pub(crate) fn last_use(&self) -> Option<i64> {
        let stat = || {
            let stat = statat(self.corner()?, NAME, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok::<_, Errno>(stat)
        };
        let found = match stat() {
            Err(Errno::NOENT) => {
                self.note_use();
                stat()
            }
            found => found,
        };
        let stat = found.ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        is_file.then(|| modified_ms(&stat))
    }

    /// Notes that the workspace is used now. Opens no existing file, as user code could put one
    /// in its place that blocks. On a full disk the note may be missing.
    pub(crate) fn note_use(&self) {
        let Ok(corner) = self.corner() else { return };
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        let touched = utimensat(&corner, NAME, &times, AtFlags::SYMLINK_NOFOLLOW);
        if touched == Err(Errno::NOENT) {
            let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let _ = openat(&corner, NAME, new, Mode::from_raw_mode(0o644));
        }
    }

    fn corner(&self) -> Result<std::os::fd::OwnedFd, Errno> {
        self.unlock();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.root, CORNER, flags, Mode::empty())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::super::testing::Sandbox;

    #[test]
    fn a_workspace_without_a_time_is_used_now_and_one_with_it_when_it_says() {
        let scratch = Sandbox::new(true);
        let file = scratch.at(".casemate/last-used");
        assert_eq!(scratch.workspace.last_use(), None, "no corner");
        fs::create_dir(scratch.at(".casemate")).expect("a directory");
        let now = scratch.workspace.last_use().expect("made");
        assert!(file.exists() && now > 0);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let times = fs::FileTimes::new().set_modified(long_ago);
        fs::File::open(&file)
            .and_then(|file| file.set_times(times))
            .expect("set");
        assert_eq!(scratch.workspace.last_use(), Some(1_000_000));
        scratch.workspace.note_use();
        assert!(scratch.workspace.last_use() >= Some(now));
    }

    #[test]
    fn what_user_code_puts_in_its_place_is_neither_opened_nor_followed() {
        let scratch = Sandbox::new(true);
        let corner = scratch.at(".casemate");
        fs::create_dir(&corner).expect("a directory");
        symlink("../outside", corner.join("last-used")).expect("a link");
        scratch.workspace.note_use();
        assert_eq!(scratch.workspace.last_use(), None);
        assert!(!scratch.at("outside").exists());
        fs::remove_file(corner.join("last-used")).expect("removed");
        rustix::fs::mkfifoat(rustix::fs::CWD, corner.join("last-used"), 0o644.into())
            .expect("a FIFO");
        scratch.workspace.note_use();
        assert_eq!(scratch.workspace.last_use(), None);
        fs::remove_dir_all(&corner).expect("removed");
        symlink("/tmp", &corner).expect("a link");
        assert_eq!(scratch.workspace.last_use(), None);
    }
}
