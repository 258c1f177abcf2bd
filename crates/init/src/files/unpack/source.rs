//! The bytes of an archive for the tar library, which has no limits: it reads a long name into
//! memory, with the length that its header claims.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use casemate_protocol::Failure;
use casemate_protocol::backup::HEADERS;

use super::bad_archive::bad;
use crate::files::upload::Content;

pub(super) struct ArchiveSource {
    content: RefCell<Content>,
    /// Bytes that may still be read.
    allowed: Cell<u64>,
    ended: Cell<bool>,
    /// What went wrong beneath the library.
    failed: RefCell<Option<Failure>>,
}

impl ArchiveSource {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content: RefCell::new(content),
            allowed: Cell::new(0),
            ended: Cell::new(false),
            failed: RefCell::new(None),
        }
    }

    /// From now on so many bytes may be read.
    pub(super) fn allow(&self, bytes: u64) {
        self.allowed.set(bytes);
    }

    /// Whether the end of the content was read.
    pub(super) fn ended(&self) -> bool {
        self.ended.get()
    }

    /// What the library's `error` means.
    pub(super) fn failure(&self, error: &io::Error) -> Failure {
        let beneath = self.failed.borrow_mut().take();
        beneath.unwrap_or_else(|| bad(format!("not a tar archive: {error}")))
    }

    /// Reads up to the end.
    pub(super) fn drain(&self) -> Result<(), Failure> {
        let mut reader = self;
        match io::copy(&mut reader, &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn fail(&self, failure: Failure) -> io::Error {
        let error = io::Error::other(failure.detail.clone());
        self.failed.replace(Some(failure));
        error
    }
}

impl Read for &ArchiveSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let allowed = usize::try_from(self.allowed.get()).unwrap_or(usize::MAX);
        if allowed == 0 {
            let detail = format!("headers, or padding at the end, of more than {HEADERS} bytes");
            return Err(self.fail(bad(detail)));
        }
        let most = into.len().min(allowed);
        let read = self.content.borrow_mut().read(&mut into[..most]);
        let read = read.map_err(|failure| self.fail(failure))?;
        self.ended.set(self.ended.get() || (read == 0 && most > 0));
        self.allowed.set(self.allowed.get() - read as u64);
        Ok(read)
    }
}
