//! Bounds the headers of an archive, which the tar library reads into memory.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use casemate_protocol::backup::HEADERS;

/// The headers of one entry, shared with the reader that keeps them.
#[derive(Debug, Clone, Default)]
pub struct Headers(Rc<RefCell<Option<Vec<u8>>>>);

impl Headers {
    /// From now on headers are read, which are kept and bounded.
    pub fn begin(&self) {
        self.0.replace(Some(Vec::new()));
    }

    /// All bytes since [`Self::begin`]. From now on content is read, of any length.
    pub fn take(&self) -> Vec<u8> {
        self.0.take().unwrap_or_default()
    }
}

/// A reader that keeps the headers of an entry, and limits their size.
#[derive(Debug)]
pub struct LimitedReader<R> {
    /// The archive.
    pub inner: R,
    /// The headers since the last entry; none while its content is read.
    pub headers: Headers,
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut headers = self.headers.0.borrow_mut();
        let Some(headers) = headers.as_mut() else {
            return self.inner.read(into);
        };
        let most = usize::try_from(HEADERS).unwrap_or(usize::MAX);
        let allowed = most.saturating_sub(headers.len()).min(into.len());
        if allowed == 0 && !into.is_empty() {
            let what = format!("headers, or padding at the end, of more than {HEADERS} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let read = self.inner.read(&mut into[..allowed])?;
        headers.extend_from_slice(&into[..read]);
        Ok(read)
    }
}
