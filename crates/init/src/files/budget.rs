//! The budget for bytes that are read and not shown.

use std::time::{Duration, Instant};

/// Bytes that may go by uncounted for: text files are rarely larger, and they
/// take 20 ms from the page cache.
const COUNTED_BYTES: u64 = 64 * 1024 * 1024;

/// Time for that: on a slow disk the count must not cost more than the text.
const COUNT_TIMEOUT: Duration = Duration::from_millis(200);

/// How much may be read only to be counted.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: COUNTED_BYTES,
            time: COUNT_TIMEOUT,
        }
    }
}

impl Budget {
    pub(super) fn is_spent(&self, since: Instant) -> bool {
        self.bytes == 0 || since.elapsed() >= self.time
    }

    pub(super) fn spend_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    pub(super) fn spend_time(&mut self, since: Instant) {
        self.time = self.time.saturating_sub(since.elapsed());
    }
}
