//! The bytes of an archive for the tar library, which knows no bound of its own: it
//! reads a long name as long as its header says into memory.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use casemate_protocol::{Failure, backup};

use super::bad;
use crate::files::upload::Content;

pub(super) struct Source {
    content: RefCell<Content>,
    /// Bytes that may still be read.
    allowed: Cell<u64>,
    ended: Cell<bool>,
    /// What was read since [`Self::begin_headers`].
    headers: RefCell<Option<Vec<u8>>>,
    /// What went wrong beneath the library.
    failed: RefCell<Option<Failure>>,
}

impl Source {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content: RefCell::new(content),
            allowed: Cell::new(0),
            ended: Cell::new(false),
            headers: RefCell::default(),
            failed: RefCell::new(None),
        }
    }

    /// From now on the headers of one entry may be read, and are kept.
    pub(super) fn begin_headers(&self) {
        self.allowed.set(backup::HEADERS);
        self.headers.replace(Some(Vec::new()));
    }

    /// They were read: these bytes. From now on any number may be.
    pub(super) fn end_headers(&self) -> Vec<u8> {
        self.allowed.set(u64::MAX);
        self.headers.take().unwrap_or_default()
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

    /// Reads what pads the archive, up to its end.
    pub(super) fn drain(&self) -> Result<(), Failure> {
        self.allowed.set(backup::HEADERS);
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

impl Read for &Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let allowed = usize::try_from(self.allowed.get()).unwrap_or(usize::MAX);
        if allowed == 0 {
            let most = backup::HEADERS;
            let detail = format!("headers, or padding at the end, of more than {most} bytes");
            return Err(self.fail(bad(detail)));
        }
        let most = into.len().min(allowed);
        let read = self.content.borrow_mut().read(&mut into[..most]);
        let read = read.map_err(|failure| self.fail(failure))?;
        if let Some(headers) = self.headers.borrow_mut().as_mut() {
            headers.extend_from_slice(&into[..read]);
        }
        self.ended.set(self.ended.get() || (read == 0 && most > 0));
        self.allowed.set(self.allowed.get() - read as u64);
        Ok(read)
    }
}
