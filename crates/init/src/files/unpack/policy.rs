//! What unpacking accepts and keeps: of a user's archive, and of a backup.

use casemate_protocol::backup;

/// The differences between the two.
#[derive(Debug)]
pub(super) struct Policy {
    /// Entries of one archive.
    pub(super) max_entries: u64,
    /// The bits of a mode that are kept.
    pub(super) mode_bits: u32,
    /// Keeps extended attributes, times to the nanosecond, and those of links and directories.
    pub(super) keeps_metadata: bool,
    /// A top directory that can be written but not read, and so cannot be synced, fails the call.
    pub(super) must_sync: bool,
    /// The way to the target of a hard link may lead through directories that their owner cannot
    /// enter.
    pub(super) unlocks_directories: bool,
    /// Removes the empty `.home` that PID 1 makes when it starts.
    pub(super) clears_home: bool,
}

/// For an archive that a user uploads. Its times are kept for files only, and to the second.
pub(super) const UPLOAD: Policy = Policy {
    max_entries: 100_000,
    mode_bits: 0o777,
    keeps_metadata: false,
    must_sync: false,
    unlocks_directories: false,
    clears_home: false,
};

/// For a backup, which is restored exactly.
pub(super) const RESTORE: Policy = Policy {
    max_entries: backup::ENTRIES,
    mode_bits: 0o7777,
    keeps_metadata: true,
    must_sync: true,
    unlocks_directories: true,
    clears_home: true,
};

impl Policy {
    pub(super) fn of(exact: bool) -> &'static Self {
        if exact { &RESTORE } else { &UPLOAD }
    }
}
