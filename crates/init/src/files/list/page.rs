//! The page that a listing fills.

use std::time::{Duration, Instant};

use casemate_protocol::{Entry, ListFilesReply, ListFilesRequest};

/// The answer as it grows.
pub(super) struct Page {
    reply: ListFilesReply,
    /// Entries it still has room for.
    pub(super) entries: usize,
    /// Bytes of paths and targets it still has room for.
    pub(super) bytes: usize,
    ends: Instant,
}

impl Page {
    /// An empty page, which is complete after `time` even if it could hold more.
    pub(super) fn new(request: &ListFilesRequest, time: Duration) -> Self {
        Self {
            reply: ListFilesReply::default(),
            entries: usize::try_from(request.limit).unwrap_or(usize::MAX),
            bytes: usize::try_from(request.max_chars).unwrap_or(usize::MAX),
            ends: Instant::now() + time,
        }
    }

    /// Adds an entry, or notes that there are more when it has no room. The
    /// first has room in any case: a page without it could not be gone past.
    pub(super) fn add(&mut self, entry: Entry) -> bool {
        let bytes = entry.path.len() + entry.target.len();
        let first = self.reply.entries.is_empty();
        if !first && (self.entries == 0 || bytes > self.bytes) {
            self.reply.more = true;
            return false;
        }
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.reply.entries.push(entry);
        true
    }

    /// Everything up to `path` was looked at. False when the time is over: then
    /// there may be more, and this page ends here.
    pub(super) fn passed(&mut self, path: Vec<u8>) -> bool {
        self.reply.next = path.into();
        self.reply.more = Instant::now() >= self.ends;
        !self.reply.more
    }

    pub(super) fn into_reply(mut self) -> ListFilesReply {
        if !self.reply.more {
            self.reply.next.clear();
        }
        self.reply
    }
}
