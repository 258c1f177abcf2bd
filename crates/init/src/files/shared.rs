//! Shared data: directories of the container that are read-only in it. Calls that read reach them
//! by their absolute paths.
//!
//! PID 1 does not believe that they are read-only: it tries to make a file in each, and begins only
//! where the kernel says that the file system is read-only (EROFS), as it says to root too.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use casemate_protocol::failure::Code;
use casemate_protocol::{
    Failure, FailureExt as _, ListFilesReply, ListFilesRequest, ReadBytesReply, ReadBytesRequest,
    ReadLinesReply, ReadLinesRequest,
};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, fstatfs, fstatvfs, openat, unlinkat,
};
use rustix::io::Errno;

use super::{Workspace, outside};

/// The file that PID 1 tries to make. Only a file system that is not read-only ever has it, and
/// there it is removed at once.
const PROBE: &str = ".casemate-is-this-read-only";

/// A tmpfs (statfs(2)): what covers a VOLUME of the image at the path of a share without a version.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// All shared data of the container.
#[derive(Debug, Default)]
pub(crate) struct Shared(Vec<SharedDirectory>);

#[derive(Debug)]
struct SharedDirectory {
    /// Where it is.
    path: PathBuf,
    /// `None`: nothing is mounted there.
    files: Option<Workspace>,
}

/// A request with a path that may be absolute, and its reply.
pub(crate) trait SharedCall {
    type Reply: Send;

    fn path(&self) -> &[u8];

    /// Takes `top` from all paths, which begin with it.
    ///
    /// # Errors
    /// One does not.
    fn make_relative(&mut self, top: &[u8]) -> Result<(), Failure>;

    /// Puts `top` before all paths of the reply.
    fn make_absolute(top: &[u8], reply: Self::Reply) -> Self::Reply;
}

impl Shared {
    /// Opens those that are there.
    ///
    /// # Errors
    /// The path of one that can be written.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, PathBuf> {
        let open = |path: &PathBuf| -> Result<SharedDirectory, PathBuf> {
            let files = SharedDirectory::open(path).map_err(|()| path.clone())?;
            let path = path.clone();
            Ok(SharedDirectory { path, files })
        };
        Ok(Self(paths.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Makes a call beneath the shared data that its path is in.
    pub(crate) fn call<R: SharedCall>(
        &self,
        mut request: R,
        call: impl FnOnce(&Workspace, &R) -> Result<R::Reply, Failure>,
    ) -> Result<R::Reply, Failure> {
        let top = |one: &&SharedDirectory| below(one.top(), request.path()).is_some();
        let Some(found) = self.0.iter().find(top) else {
            return Err(outside("absolute path"));
        };
        let Some(files) = &found.files else {
            return Err(Failure::new(Code::NotFound, "no version of it was there"));
        };
        request.make_relative(found.top())?;
        Ok(R::make_absolute(found.top(), call(files, &request)?))
    }
}

impl SharedDirectory {
    /// `None`: nothing is there. An error: it can be written.
    fn open(path: &Path) -> Result<Option<Workspace>, ()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = openat(CWD, path, flags, Mode::empty()) else {
            return Ok(None);
        };
        let is_tmpfs = |found: rustix::fs::StatFs| {
            u64::try_from(found.f_type).is_ok_and(|kind| kind == TMPFS_MAGIC)
        };
        if fstatfs(&directory).is_ok_and(is_tmpfs) {
            return Ok(None);
        }
        match is_read_only(&directory) {
            true => Ok(Workspace::open_as(path, path).ok()),
            false => Err(()),
        }
    }

    fn top(&self) -> &[u8] {
        use std::os::unix::ffi::OsStrExt as _;
        self.path.as_os_str().as_bytes()
    }
}

/// By the kernel's answer to an attempt.
fn is_read_only(directory: &OwnedFd) -> bool {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(directory, PROBE, flags, Mode::RUSR) {
        Ok(_) => {
            let _ = unlinkat(directory, PROBE, AtFlags::empty());
            false
        }
        Err(Errno::ROFS) => true,
        // A kernel that looks at the directory's rights first.
        Err(_) => has_read_only_mount(directory),
    }
}

fn has_read_only_mount(directory: impl AsFd) -> bool {
    let flags = fstatvfs(directory).map(|found| found.f_flag);
    flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::RDONLY))
}

/// What `path` is called below `top`; `None`: it is not below it.
fn below<'a>(top: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(top)?;
    match rest.strip_prefix(b"/") {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(rest),
    }
}

fn relative(top: &[u8], path: &Bytes) -> Result<Bytes, Failure> {
    let rest = below(top, path).ok_or_else(|| outside("absolute path"))?;
    Ok(path.slice_ref(rest))
}

fn absolute(top: &[u8], path: &[u8]) -> Vec<u8> {
    match path {
        b"" => top.to_vec(),
        _ => [top, b"/", path].concat(),
    }
}

macro_rules! shared_read {
    ($($request:ident => $reply:ident;)*) => {$(
        impl SharedCall for $request {
            type Reply = $reply;

            fn path(&self) -> &[u8] {
                &self.path
            }

            fn make_relative(&mut self, top: &[u8]) -> Result<(), Failure> {
                self.path = relative(top, &self.path)?;
                Ok(())
            }

            /// Has no path.
            fn make_absolute(_: &[u8], reply: $reply) -> $reply {
                reply
            }
        }
    )*};
}

shared_read! {
    ReadLinesRequest => ReadLinesReply;
    ReadBytesRequest => ReadBytesReply;
}

impl SharedCall for ListFilesRequest {
    type Reply = ListFilesReply;

    fn path(&self) -> &[u8] {
        &self.path
    }

    fn make_relative(&mut self, top: &[u8]) -> Result<(), Failure> {
        self.path = relative(top, &self.path)?;
        if !self.after.is_empty() {
            self.after = relative(top, &self.after)?;
        }
        Ok(())
    }

    fn make_absolute(top: &[u8], mut reply: ListFilesReply) -> ListFilesReply {
        for entry in &mut reply.entries {
            entry.path = absolute(top, &entry.path).into();
        }
        if !reply.next.is_empty() {
            reply.next = absolute(top, &reply.next).into();
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Sandbox;
    use super::*;

    #[test]
    fn a_directory_that_can_be_written_is_found_out_and_left_as_it_was() {
        let sandbox = Sandbox::new(true);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let there = openat(CWD, sandbox.at(""), flags, Mode::empty()).expect("a directory");
        assert!(!is_read_only(&there));
        assert!(!sandbox.at(PROBE).exists());
    }

    #[test]
    fn what_is_not_there_is_not_found_and_keeps_nobody_from_the_rest() {
        let absent = PathBuf::from("/nonexistent/share");
        let shared = Shared::open(std::slice::from_ref(&absent)).expect("nothing to write");
        let request = ReadLinesRequest {
            path: Bytes::from_static(b"/nonexistent/share/a"),
            ..ReadLinesRequest::default()
        };
        let failed = shared.call(request, |_, _| panic!("called"));
        assert_eq!(failed.expect_err("refused").code(), Code::NotFound);
    }

    #[test]
    fn paths_beneath_are_made_relative_and_back() {
        let top = b"/shared/a";
        assert_eq!(below(top, b"/shared/a/b/c"), Some(&b"b/c"[..]));
        assert_eq!(below(top, b"/shared/a"), Some(&b""[..]));
        assert_eq!(below(top, b"/shared/ab"), None);
        assert_eq!(below(top, b"/shared"), None);
        assert_eq!(absolute(top, b"b"), b"/shared/a/b");
        let mut request = ListFilesRequest {
            path: Bytes::from_static(b"/shared/a/d"),
            after: Bytes::from_static(b"/shared/a/d/e"),
            ..ListFilesRequest::default()
        };
        request.make_relative(top).expect("beneath");
        assert_eq!(
            (&request.path[..], &request.after[..]),
            (&b"d"[..], &b"d/e"[..])
        );
        request.after = Bytes::from_static(b"d/e");
        assert!(request.make_relative(top).is_err());
    }

    #[test]
    fn another_absolute_path_leads_out() {
        let request = ReadLinesRequest {
            path: Bytes::from_static(b"/etc/passwd"),
            ..ReadLinesRequest::default()
        };
        let failed = Shared::default().call(request, |_, _| panic!("called"));
        assert_eq!(failed.expect_err("refused").code(), Code::OutsideWorkspace);
    }
}
