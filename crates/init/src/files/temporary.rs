//! A file with a temporary name, before it gets its own.
//!
//! ```text
//!  create ─► fill ─► fsync ─┬─► replace: rename over what has the name
//!                           └─► put_new: only where nothing has it
//!     └──────── dropped before that: unlinked, nothing has changed
//! ```
//!
//! If PID 1 is killed, it stays; [`super::sweep`] removes it later.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fsync, linkat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::{Errno, retry_on_intr, write};
use rustix::rand::{GetRandomFlags, getrandom};

use super::replaced::Rights;
use super::{Cancel, failure, lock};

/// What the names of temporary files begin with; 16 hexadecimal digits follow.
pub(super) const PREFIX: &str = ".casemate-tmp-";

/// Random bytes in such a name.
const RANDOM: usize = 8;

/// Written between two looks at the cancellation.
const CHUNK: usize = 256 * 1024;

/// A file that is gone when this is dropped, unless it got its name.
#[derive(Debug)]
pub(super) struct Temporary<'a> {
    dir: &'a OwnedFd,
    name: String,
    file: OwnedFd,
    named: bool,
}

impl<'a> Temporary<'a> {
    /// An empty file in the directory of its final name.
    pub(super) fn create(dir: &'a OwnedFd) -> Result<Self, Failure> {
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let name = random_name()?;
        let file = openat(dir, &name, flags, Mode::RUSR | Mode::WUSR).map_err(failure)?;
        Ok(Self {
            dir,
            name,
            file,
            named: false,
        })
    }

    /// Writes all of its content to the disk, and gives it its rights.
    pub(super) fn fill(
        &self,
        content: &[u8],
        rights: &Rights,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        self.write(content, cancel)?;
        rights.give(&self.file)?;
        self.sync()
    }

    /// Adds to its content.
    pub(super) fn write(&self, content: &[u8], cancel: &Cancel) -> Result<(), Failure> {
        for mut chunk in content.chunks(CHUNK) {
            while !chunk.is_empty() {
                cancel.check()?;
                let written = retry_on_intr(|| write(&self.file, chunk)).map_err(failure)?;
                chunk = &chunk[written..];
            }
        }
        Ok(())
    }

    pub(super) fn set_mode(&self, mode: u32) -> Result<(), Failure> {
        fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(failure)
    }

    /// Afterwards its content is on the disk.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        retry_on_intr(|| fsync(&self.file)).map_err(failure)
    }

    /// To set its times and its rights.
    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Becomes the file `name`, in place of an existing one. Neither the file nor its directory is
    /// synced: a caller that does this for many files syncs once.
    pub(super) fn take_place(mut self, name: &[u8]) -> Result<(), Failure> {
        renameat(self.dir, &self.name, self.dir, name).map_err(failure)?;
        self.named = true;
        Ok(())
    }

    /// Becomes the file `name`, in place of what has that name, if `still` agrees
    /// at the last moment. No other of our commits comes between the two.
    pub(super) fn replace(
        mut self,
        name: &[u8],
        commits: &Mutex<()>,
        still: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let synced = DirectorySync::prepare(self.dir)?;
        {
            let _alone = lock(commits);
            still()?;
            renameat(self.dir, &self.name, self.dir, name).map_err(failure)?;
            self.named = true;
        }
        synced.finish()
    }

    /// Becomes the file `name` where there is nothing of that name; `EXISTS`
    /// otherwise.
    pub(super) fn put_new(mut self, name: &[u8]) -> Result<(), Failure> {
        let synced = DirectorySync::prepare(self.dir)?;
        match rename_no_replace(self.dir, self.name.as_bytes(), self.dir, name) {
            Some(Ok(())) => self.named = true,
            None => self.link(name)?,
            Some(Err(errno)) => return Err(failure(errno)),
        }
        synced.finish()
    }

    /// As [`Self::put_new`] without renameat2: for a moment it has two names.
    fn link(&self, name: &[u8]) -> Result<(), Failure> {
        linkat(self.dir, &self.name, self.dir, name, AtFlags::empty()).map_err(failure)
    }
}

/// Renames where nothing has the new name. `None` if that is not possible here: renameat2 does not
/// exist, a seccomp profile hides it, or the file system lacks it.
pub(super) fn rename_no_replace(
    from: &OwnedFd,
    old: &[u8],
    to: &OwnedFd,
    new: &[u8],
) -> Option<rustix::io::Result<()>> {
    match renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => None,
        renamed => Some(renamed),
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.named {
            let _ = unlinkat(self.dir, &self.name, AtFlags::empty());
        }
    }
}

/// Makes a new name durable. Opened before the commit: after it only the disk may fail.
struct DirectorySync(Option<OwnedFd>);

impl DirectorySync {
    fn prepare(dir: &OwnedFd) -> Result<Self, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(dir, ".", flags, Mode::empty()) {
            Ok(dir) => Ok(Self(Some(dir))),
            // May be written but not read: there is no descriptor to sync.
            Err(Errno::ACCESS) => Ok(Self(None)),
            Err(errno) => Err(failure(errno)),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self.0.map(|dir| retry_on_intr(|| fsync(&dir))) {
            // A file system on which directories cannot be synced: fsync(2).
            None | Some(Ok(()) | Err(Errno::INVAL)) => Ok(()),
            Some(Err(errno)) => Err(not_synced(errno)),
        }
    }
}

/// The file was written, but may be lost if the machine goes down now. Not the failure of
/// `errno`: that would say that nothing was changed.
pub(super) fn not_synced(errno: Errno) -> Failure {
    let detail = format!("it was written, but the disk did not confirm it ({errno})");
    Failure::new(Code::Other, detail)
}

pub(super) fn random_name() -> Result<String, Failure> {
    let mut bytes = [0; RANDOM];
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(failure)?;
    let mut name = String::from(PREFIX);
    for byte in bytes {
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// Whether `name` is one that [`random_name`] can make.
pub(super) fn is_temporary_name(name: &[u8]) -> bool {
    let lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(PREFIX.as_bytes())
        .is_some_and(|digits| digits.len() == 2 * RANDOM && digits.iter().all(lower_hex))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sandbox, code};
    use super::*;

    fn open(sandbox: &Sandbox) -> OwnedFd {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        openat(rustix::fs::CWD, sandbox.at(""), flags, Mode::empty()).expect("directory")
    }

    #[test]
    fn its_names_are_known_again_and_no_others_are() {
        let name = random_name().expect("random");
        assert!(is_temporary_name(name.as_bytes()), "{name}");
        for other in [
            "",
            ".casemate-tmp-",
            ".casemate-tmp-0123456789abcde",
            ".casemate-tmp-0123456789abcdef0",
            ".casemate-tmp-0123456789abcdeF",
            ".casemate-tmp-0123456789abcdeg",
            "casemate-tmp-0123456789abcdef",
            "x.casemate-tmp-0123456789abcdef",
        ] {
            assert!(!is_temporary_name(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn without_renameat2_a_new_file_is_linked_and_nothing_is_replaced() {
        let sandbox = Sandbox::new(true);
        let dir = open(&sandbox);
        let fill = |content: &[u8]| {
            let temporary = Temporary::create(&dir).expect("made");
            let filled = temporary.fill(content, &Rights::new(), &Cancel::default());
            filled.expect("filled");
            temporary
        };
        fill(b"first").link(b"new").expect("linked");
        let second = fill(b"second").link(b"new").map_err(code);
        assert_eq!(second, Err(Code::Exists));
        assert_eq!(sandbox.read("new"), Ok(b"first".to_vec()));
        let left = std::fs::read_dir(sandbox.at("")).expect("listed").count();
        assert_eq!(left, 1, "a temporary was left");
    }
}
