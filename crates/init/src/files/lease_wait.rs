//! Waiting for a file on which a program holds a lease (fcntl(2), `F_SETLEASE`).
//!
//! An open that may not wait fails with EWOULDBLOCK for as long as the lease is held, and asks
//! the kernel to take it back: the holder gets a signal, and a program that uses leases as they
//! are meant lets go at once. One that does not loses it after
//! `/proc/sys/fs/lease-break-time`, 45 s, and may take the next. So an open is tried again for
//! some seconds, and then the file is busy.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::Cancel;
use super::read::READ;

/// For one file: below the 30 s in which a call is answered.
const FILE_TIMEOUT: Duration = Duration::from_secs(5);

/// For all files of an archive together: below the 30 s after which a transfer that brings
/// nothing is given up.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The time that is left to wait for leases.
#[derive(Debug)]
pub(super) struct LeaseWait(Duration);

impl LeaseWait {
    /// With one file.
    pub(super) fn with_a_file() -> Self {
        Self(FILE_TIMEOUT)
    }

    /// With all files of an archive.
    pub(super) fn with_an_archive() -> Self {
        Self(ARCHIVE_TIMEOUT)
    }

    /// Opens the file `name` for reading. The inner result is that of the system call.
    ///
    /// # Errors
    /// `BUSY` when the time is over.
    pub(super) fn open(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        cancel: &Cancel,
    ) -> Result<rustix::io::Result<OwnedFd>, Failure> {
        let flags = READ | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            match openat(dir, name, flags, Mode::empty()) {
                Err(Errno::AGAIN) => self.wait(cancel)?,
                opened => return Ok(opened),
            }
        }
    }

    /// Until the next try. `BUSY` when the time is over.
    pub(super) fn wait(&mut self, cancel: &Cancel) -> Result<(), Failure> {
        cancel.check()?;
        if self.0.is_zero() {
            let detail = "a program holds a lease on it and does not release it";
            return Err(Failure::new(Code::Busy, detail));
        }
        let since = Instant::now();
        pause(RETRY_INTERVAL);
        self.0 = self.0.saturating_sub(since.elapsed());
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of the pool may wait, and no event says that a lease was let go"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use casemate_protocol::DeleteRequest;
    use casemate_protocol::write_file_request::Mode;

    use super::super::archive::backup::tests::backup;
    use super::super::archive::tests::archive;
    use super::super::testing::{Lease, Sandbox, with_and_without_openat2};
    use super::*;

    /// What `work` comes to while a lease on the file is held, and let go after a while.
    fn while_held<T>(sandbox: &Sandbox, work: impl FnOnce(&Sandbox) -> T) -> T {
        let lease = Lease::on(sandbox.at("dir/file"));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                pause(Duration::from_millis(200));
                drop(lease);
            });
            work(sandbox)
        })
    }

    #[test]
    fn whatever_opens_a_file_waits_until_its_lease_is_let_go() {
        with_and_without_openat2(|sandbox| {
            sandbox.file("dir/file", "content\n");
            let read = while_held(sandbox, |sandbox| sandbox.read("dir/file"));
            assert_eq!(read.as_deref(), Ok(&b"content\n"[..]));
            assert!(while_held(sandbox, |sandbox| sandbox.read_lines("dir/file", 1)).is_ok());
            let appended = while_held(sandbox, |sandbox| {
                sandbox.write_as("dir/file", "more\n", Mode::Append)
            });
            assert!(appended.is_ok());
            let edited = while_held(sandbox, |sandbox| sandbox.edit("dir/file", "more", "less"));
            assert!(edited.is_ok());
            let written = while_held(sandbox, |sandbox| sandbox.write("dir/file", "content\n"));
            assert!(written.is_ok());
            assert!(while_held(sandbox, |sandbox| archive(sandbox, "dir")).is_ok());
            assert!(!while_held(sandbox, |sandbox| backup(sandbox, || {})
                .0
                .is_empty()));
            assert_eq!(sandbox.read("dir/file"), Ok(b"content\n".to_vec()));
        });
    }

    #[test]
    fn a_lease_that_is_kept_makes_its_file_busy_and_no_other() {
        let sandbox = Sandbox::new(true);
        sandbox.file("dir/file", "content");
        sandbox.file("dir/other", "content");
        let _lease = Lease::on(sandbox.at("dir/file"));
        let since = Instant::now();
        assert_eq!(sandbox.read("dir/file"), Err(Code::Busy));
        assert!((FILE_TIMEOUT..ARCHIVE_TIMEOUT).contains(&since.elapsed()));
        assert!(sandbox.read("dir/other").is_ok());
        // It is opened for the attributes that the new one is to have.
        assert_eq!(sandbox.write("dir/file", "new").err(), Some(Code::Busy));
        // Nothing opens what is deleted.
        let request = DeleteRequest {
            path: "dir/file".into(),
            ..DeleteRequest::default()
        };
        let deleted = sandbox.workspace.delete(&request, &Cancel::default());
        assert!(deleted.is_ok());
    }
}
