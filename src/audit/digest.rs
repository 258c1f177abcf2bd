//! Hashes of content, and with `audit_content` the beginning of the content.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::identity::hex;

/// Bytes that `audit_content` keeps of each content: a command and its output are rarely longer,
/// and a line stays readable.
pub const CONTENT_BYTES: usize = 64 * 1024;

/// Hashes bytes as they arrive.
#[derive(Debug, Clone)]
pub struct Digest {
    hash: Sha256,
    kept: Option<Vec<u8>>,
    bytes: u64,
}

impl Digest {
    /// Of nothing yet. `keeps`: also keeps the beginning.
    pub fn new(keeps: bool) -> Self {
        Self {
            hash: Sha256::new(),
            kept: keeps.then(Vec::new),
            bytes: 0,
        }
    }

    /// Of these bytes only.
    pub fn of(keeps: bool, bytes: &[u8]) -> Self {
        let mut digest = Self::new(keeps);
        digest.add(bytes);
        digest
    }

    /// Adds more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(kept) = &mut self.kept {
            let room = CONTENT_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    /// Whether there were no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The hash in hexadecimal and the kept beginning, with invalid UTF-8 replaced.
    pub fn end(self) -> (String, Option<String>) {
        let kept = self.kept.map(|kept| {
            let cut = u64::try_from(kept.len()).is_ok_and(|kept| kept < self.bytes);
            let mut text = String::from_utf8_lossy(&kept).into_owned();
            if cut {
                // In the text, because a separate field could be missing.
                let _ = write!(text, "… [{} bytes in all]", self.bytes);
            }
            text
        });
        (hex(&self.hash.finalize()), kept)
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_content_the_beginning_is_kept_and_the_hash_is_of_all() {
        let content = vec![b'a'; CONTENT_BYTES + 1];
        let mut parts = Digest::new(true);
        content.chunks(1000).for_each(|part| parts.add(part));
        let (hash, kept) = parts.end();
        assert_eq!(hash, sha256(&content));
        let kept = kept.expect("kept");
        assert!(kept.ends_with("a… [65537 bytes in all]"), "{}", kept.len());
        assert_eq!(Digest::of(false, &content).end(), (hash, None));
    }
}
