//! The limits that a write ran into, as an error names them.

use casemate_protocol::WORKSPACE;
use rustix::fs::{StatVfs, statvfs};
use rustix::process::{Resource, getrlimit};

/// How full the workspace is. Where it has a quota this is of that: XFS counts so in a
/// directory of a project. `None` where there is no telling.
pub(super) fn of_space() -> Option<String> {
    statvfs(WORKSPACE).ok().map(|disk| space(&disk))
}

fn space(disk: &StatVfs) -> String {
    // Some file systems have no such number.
    if disk.f_files > 0 && disk.f_favail == 0 {
        return format!(
            "all of its {} files and directories are in use",
            disk.f_files
        );
    }
    let mib = |blocks: u64| blocks.saturating_mul(disk.f_frsize) >> 20;
    format!(
        "{} of {} MiB are free",
        mib(disk.f_bavail),
        mib(disk.f_blocks)
    )
}

/// How large a file may be: setrlimit(2), which the Engine does for the container.
pub(super) fn of_a_file() -> Option<String> {
    let most = getrlimit(Resource::Fsize).current?;
    Some(format!("a file here has {} MiB at most", most >> 20))
}

#[cfg(test)]
mod tests {
    use rustix::fs::StatVfsMountFlags;

    use super::*;

    fn disk(blocks: (u64, u64), files: (u64, u64)) -> StatVfs {
        StatVfs {
            f_bsize: 4096,
            f_frsize: 4096,
            f_blocks: blocks.1,
            f_bfree: blocks.0,
            f_bavail: blocks.0,
            f_files: files.1,
            f_ffree: files.0,
            f_favail: files.0,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        }
    }

    #[test]
    fn what_is_full_is_named_with_its_size() {
        let mib = 256;
        let bytes = space(&disk((3 * mib + 1, 64 * mib), (5, 9)));
        assert_eq!(bytes, "3 of 64 MiB are free");
        let files = space(&disk((3 * mib, 64 * mib), (0, 9)));
        assert_eq!(files, "all of its 9 files and directories are in use");
        // btrfs counts no files.
        let uncounted = space(&disk((0, 64 * mib), (0, 0)));
        assert_eq!(uncounted, "0 of 64 MiB are free");
    }
}
