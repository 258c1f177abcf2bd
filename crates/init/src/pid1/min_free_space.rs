//! Room that is left free on the disk that the workspace is on: it is the Engine's too,
//! and where no quota is, the other users'.

use casemate_protocol::{Failure, FailureExt as _, WORKSPACE, failure::Code};

/// Free space below which nothing is written any more.
#[derive(Debug, Clone, Copy)]
pub struct MinFreeSpace(u64);

impl MinFreeSpace {
    /// In bytes; 0: none.
    pub fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Checks that there is room. If that cannot be determined, the write itself decides.
    ///
    /// # Errors
    /// `NO_SPACE`, with the figures.
    pub fn check(self) -> Result<(), Failure> {
        if self.0 == 0 {
            return Ok(());
        }
        let Ok(disk) = rustix::fs::statvfs(WORKSPACE) else {
            return Ok(());
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= self.0 {
            return Ok(());
        }
        let (free, min_free) = (free >> 20, self.0 >> 20);
        let detail = format!("{free} MiB are free on the disk, and {min_free} MiB must stay free");
        Err(Failure::new(Code::NoSpace, detail))
    }
}
