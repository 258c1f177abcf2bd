//! The kind and size of the entry at a path.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, StatReply, StatRequest};
use rustix::fs::{FileType, OFlags, Stat, fstat};

use super::path::RelativePath;
use super::{Cancel, Workspace, failure, modified_ms, size};
use crate::shield;

impl Workspace {
    /// What `path` names, with links followed. `NOT_REGULAR` for what is neither a
    /// file nor a directory.
    pub(crate) fn stat(
        &self,
        request: &StatRequest,
        cancel: &Cancel,
    ) -> Result<StatReply, Failure> {
        let path = RelativePath::parse(&request.path)?;
        let found = self.open_beneath(path, OFlags::PATH, cancel)?;
        reply(&fstat(&found).map_err(failure)?)
    }
}

/// `NOT_REGULAR` for what is neither a file nor a directory.
pub(super) fn reply(stat: &Stat) -> Result<StatReply, Failure> {
    let is_dir = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => false,
        FileType::Directory => true,
        _ => {
            let detail = "a FIFO, a socket or a device";
            return Err(Failure::new(Code::NotRegular, detail));
        }
    };
    Ok(StatReply {
        size: if is_dir { 0 } else { size(stat) },
        modified_ms: modified_ms(stat),
        is_dir,
        version: version(stat),
        without_hidden: false,
    })
}

/// User code can set every other time back, but not the one of the last change. A version outlives the
/// sandbox: the number of the device does not, as that may be another node's; and gVisor's kernel
/// gives inodes their numbers anew.
pub(super) fn version(stat: &Stat) -> u64 {
    let mut hasher = DefaultHasher::new();
    let inode = (!shield::is_up()).then_some(stat.st_ino);
    (inode, stat.st_size).hash(&mut hasher);
    (stat.st_mtime, stat.st_mtime_nsec).hash(&mut hasher);
    (stat.st_ctime, stat.st_ctime_nsec).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::super::testing::{Sandbox, code, with_and_without_openat2};
    use super::*;

    fn stat(sandbox: &Sandbox, path: &str) -> Result<StatReply, Code> {
        let request = StatRequest {
            path: path.to_owned().into(),
        };
        let reply = sandbox.workspace.stat(&request, &Cancel::default());
        reply.map_err(code)
    }

    #[test]
    fn it_tells_files_from_directories_and_follows_links_that_stay() {
        with_and_without_openat2(|sandbox| {
            sandbox.file("dir/file", "four");
            sandbox.link("link", "dir/file");
            sandbox.link("out", sandbox.outside("secret"));
            let file = stat(sandbox, "dir/file").expect("file");
            assert_eq!((file.size, file.is_dir), (4, false));
            assert_eq!(stat(sandbox, "link"), Ok(file));
            let dir = stat(sandbox, "dir").expect("directory");
            assert_eq!((dir.size, dir.is_dir), (0, true));
            assert!(stat(sandbox, "").expect("workspace").is_dir);
            assert_eq!(stat(sandbox, "out"), Err(Code::OutsideWorkspace));
            assert_eq!(stat(sandbox, "none"), Err(Code::NotFound));
        });
    }

    #[test]
    fn the_version_changes_with_the_content_also_when_size_and_time_are_set_back() {
        let sandbox = Sandbox::new(true);
        sandbox.file("file", "one");
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        let age = || {
            let file = File::options().write(true).open(sandbox.at("file"));
            file.expect("opened").set_modified(long_ago).expect("set");
        };
        age();
        let before = stat(&sandbox, "file").expect("stat");
        assert_eq!(stat(&sandbox, "file"), Ok(before));
        let end = std::time::Instant::now() + Duration::from_secs(5);
        loop {
            // Within one tick of the kernel's clock the times are the same.
            fs::write(sandbox.at("file"), "two").expect("written");
            age();
            let after = stat(&sandbox, "file").expect("stat");
            assert_eq!((after.size, after.modified_ms), (3, before.modified_ms));
            if after.version != before.version {
                return;
            }
            assert!(std::time::Instant::now() < end, "the version never changed");
        }
    }
}
