//! What the tests of the file work share: a directory that goes away, with a
//! workspace and a canary beside it.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use casemate_protocol::failure::Code;
use casemate_protocol::{
    EditFileReply, EditFileRequest, Entry, Failure, ListFilesReply, ListFilesRequest,
    ReadBytesReply, ReadBytesRequest, ReadLinesReply, ReadLinesRequest, WriteFileReply,
    WriteFileRequest, write_file_request,
};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::{Cancel, Workspace};

/// The content of `outside/secret`, which no file call may read or change.
pub(super) const CANARY: &str = "a secret outside the workspace\n";

/// `<temporary directory>/{workspace,outside}`, gone when dropped.
pub(super) struct Sandbox {
    top: PathBuf,
    pub(super) workspace: Workspace,
}

impl Sandbox {
    pub(super) fn new(openat2: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("casemate-files-{}-{number}", std::process::id());
        let top = std::env::temp_dir().join(name);
        fs::create_dir_all(top.join("workspace")).expect("temporary directory");
        fs::create_dir(top.join("outside")).expect("temporary directory");
        fs::write(top.join("outside/secret"), CANARY).expect("canary");
        let root = top.join("workspace");
        let mut workspace = Workspace::open(&root).expect("workspace");
        workspace.name = root;
        workspace.openat2 &= openat2;
        Self { top, workspace }
    }

    /// A path in the workspace, for the test itself.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.top.join("workspace").join(path)
    }

    pub(super) fn outside(&self, path: &str) -> PathBuf {
        self.top.join("outside").join(path)
    }

    pub(super) fn dir(&self, path: &str) {
        fs::create_dir_all(self.at(path)).expect("directory");
    }

    pub(super) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().expect("in the workspace")).expect("directory");
        fs::write(at, content).expect("file");
    }

    pub(super) fn link(&self, path: &str, target: impl AsRef<Path>) {
        symlink(target, self.at(path)).expect("link");
    }

    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, Code> {
        self.read_bytes(path, 0, 4096)
            .map(|reply| reply.data.into())
    }

    pub(super) fn read_bytes(
        &self,
        path: &str,
        offset: u64,
        length: u32,
    ) -> Result<ReadBytesReply, Code> {
        let request = ReadBytesRequest {
            path: path.to_owned().into(),
            offset,
            length,
        };
        self.workspace
            .read_bytes(&request, &Cancel::default())
            .map_err(code)
    }

    pub(super) fn read_lines(&self, path: &str, start: u64) -> Result<ReadLinesReply, Code> {
        let request = ReadLinesRequest {
            path: path.to_owned().into(),
            start_line: start,
            max_lines: 2000,
            max_chars: 50_000,
            max_line_chars: 2000,
        };
        self.workspace
            .read_lines(&request, &Cancel::default())
            .map_err(code)
    }

    pub(super) fn write(
        &self,
        path: &str,
        content: impl AsRef<[u8]>,
    ) -> Result<WriteFileReply, Code> {
        let request = WriteFileRequest {
            path: path.to_owned().into(),
            content: content.as_ref().to_vec().into(),
            ..WriteFileRequest::default()
        };
        self.workspace
            .write_file(&request, &Cancel::default())
            .map_err(code)
    }

    pub(super) fn write_as(
        &self,
        path: &str,
        content: impl AsRef<[u8]>,
        mode: write_file_request::Mode,
    ) -> Result<WriteFileReply, Code> {
        let request = WriteFileRequest {
            path: path.to_owned().into(),
            content: content.as_ref().to_vec().into(),
            mode: mode.into(),
            ..WriteFileRequest::default()
        };
        self.workspace
            .write_file(&request, &Cancel::default())
            .map_err(code)
    }

    pub(super) fn edit(
        &self,
        path: &str,
        old: impl AsRef<[u8]>,
        new: impl AsRef<[u8]>,
    ) -> Result<EditFileReply, Code> {
        let request = EditFileRequest {
            path: path.to_owned().into(),
            old_text: old.as_ref().to_vec().into(),
            new_text: new.as_ref().to_vec().into(),
            ..EditFileRequest::default()
        };
        self.workspace
            .edit_file(&request, &Cancel::default())
            .map_err(code)
    }

    /// No temporary file is left in a directory.
    pub(super) fn assert_clean(&self, dir: &str) {
        for entry in fs::read_dir(self.at(dir)).expect("directory") {
            let name = entry.expect("entry").file_name();
            let name = name.to_string_lossy();
            assert!(!name.starts_with(".casemate-tmp-"), "{name} was left");
        }
    }

    pub(super) fn list(&self, path: &str, depth: u32) -> Result<Vec<Entry>, Code> {
        let reply = self.list_page(path, depth, 5_000, 1_000_000, b"")?;
        assert!(!reply.more, "one page holds all");
        Ok(reply.entries)
    }

    pub(super) fn list_page(
        &self,
        path: &str,
        depth: u32,
        limit: u32,
        max_chars: u32,
        after: &[u8],
    ) -> Result<ListFilesReply, Code> {
        let request = ListFilesRequest {
            path: path.to_owned().into(),
            depth,
            limit,
            after: after.to_vec().into(),
            max_chars,
            pattern: String::new(),
        };
        self.workspace
            .list_files(&request, &Cancel::default())
            .map_err(code)
    }

    /// The canary is as it was, and nothing is beside it.
    pub(super) fn assert_outside_untouched(&self) {
        let secret = fs::read_to_string(self.outside("secret")).expect("canary");
        assert_eq!(secret, CANARY);
        let count = fs::read_dir(self.outside("")).expect("outside").count();
        assert_eq!(count, 1, "something was made outside");
        let beside = fs::read_dir(&self.top).expect("top").count();
        assert_eq!(beside, 2, "something was made beside the workspace");
    }
}

/// Makes directories of these names, each in the one before, in steps: their path may be
/// longer than the kernel takes. All of them, the first one first.
pub(super) fn deep(top: &Path, names: &[&[u8]]) -> Vec<OwnedFd> {
    let mut descriptors = getrlimit(Resource::Nofile);
    descriptors.current = descriptors.maximum;
    setrlimit(Resource::Nofile, descriptors).expect("the maximum");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = openat(CWD, top, flags, Mode::empty()).expect("the top");
    deep_from(&top, names)
}

/// As [`deep`], in a directory that is open.
pub(super) fn deep_from(top: &OwnedFd, names: &[&[u8]]) -> Vec<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut dirs: Vec<OwnedFd> = Vec::new();
    for name in names {
        let above = dirs.last().unwrap_or(top);
        match mkdirat(above, *name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => panic!("mkdirat: {errno}"),
        }
        let below = openat(above, *name, flags, Mode::empty()).expect("it is there");
        dirs.push(below);
    }
    dirs
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.top).is_err() {
            // A test shut a directory, and does not run as root.
            let mut chmod = std::process::Command::new("chmod");
            let _ = chmod.args(["-R", "u+rwx"]).arg(&self.top).status();
            let _ = fs::remove_dir_all(&self.top);
        }
    }
}

/// A lease on a file, held as by a program that lets go of it only when it likes to: until
/// this is dropped.
pub(super) struct Lease(#[expect(dead_code, reason = "held for its Drop")] fs::File);

impl Lease {
    pub(super) fn on(path: impl AsRef<Path>) -> Self {
        use std::os::fd::AsRawFd as _;
        let file = fs::File::options().read(true).write(true).open(path);
        let file = file.expect("a file");
        /// Of Linux (fcntl.h); the library has none for musl.
        const F_SETSIG: i32 = 10;
        // Instead of SIGIO, which would end the tests.
        for (command, argument) in [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_WRLCK)] {
            // SAFETY: both commands take an integer, and the descriptor is open.
            #[allow(unsafe_code)]
            let set = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
            assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        }
        Self(file)
    }
}

/// Runs a test with the kernel's resolver and with our own, each on a fresh
/// directory.
pub(super) fn with_and_without_openat2(test: impl Fn(&Sandbox)) {
    let with = Sandbox::new(true);
    assert!(with.workspace.openat2, "tests need Linux 5.6");
    test(&with);
    test(&Sandbox::new(false));
}

pub(super) fn code(failure: Failure) -> Code {
    failure.code()
}

/// Paths of entries, as text.
pub(super) fn paths(entries: &[Entry]) -> Vec<String> {
    let text = |entry: &Entry| String::from_utf8_lossy(&entry.path).into_owned();
    entries.iter().map(text).collect()
}

/// Runs `test` on a thread without any privilege: the tests run as root, for
/// whom no file is unreadable. As another user they run as they are.
pub(crate) fn without_privilege(test: impl FnOnce() + Send) {
    use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
    std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                set_thread_groups(&[]).expect("setgroups");
                set_thread_gid(rustix::fs::Gid::from_raw(1000)).expect("setgid");
                set_thread_uid(rustix::fs::Uid::from_raw(1000)).expect("setuid");
            }
            test();
        });
        unprivileged.join().expect("test");
    });
}

/// A POSIX ACL with an entry for another group (acl(5); `include/uapi/linux/posix_acl_xattr.h`).
pub(super) fn acl(group: u16) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    let nobody = u32::MAX;
    for (tag, bits, id) in [
        (0x01, 7, nobody),
        (0x04, 5, nobody),
        (0x08, group, 4242),
        (0x10, 7, nobody),
        (0x20, 0, nobody),
    ] {
        value.extend_from_slice(&u16::to_le_bytes(tag));
        value.extend_from_slice(&u16::to_le_bytes(bits));
        value.extend_from_slice(&u32::to_le_bytes(id));
    }
    value
}

/// Runs `work` without any capability: root is then an owner like any other.
pub(super) fn as_owner<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut sets = rustix::thread::capabilities(None).expect("read");
            sets.effective = rustix::thread::CapabilitySet::empty();
            rustix::thread::set_capabilities(None, sets).expect("set");
            work()
        });
        work.join().expect("no panic")
    })
}
