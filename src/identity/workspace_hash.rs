//! A workspace in 128 bits, where the names themselves have no place.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// The beginning of the SHA-256 of a workspace. It is not feasible to make two workspaces that share
/// one, and neither user nor name can be computed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkspaceHash([u8; 16]);

/// A text that is no [`WorkspaceHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a workspace is 32 hexadecimal digits in lower case")]
pub struct NoWorkspaceHash;

impl WorkspaceHash {
    /// Of a digest of 16 bytes at least.
    pub(super) fn of(digest: &[u8]) -> Self {
        let mut hash = [0; 16];
        for (byte, of_digest) in hash.iter_mut().zip(digest) {
            *byte = *of_digest;
        }
        Self(hash)
    }
}

impl fmt::Display for WorkspaceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for WorkspaceHash {
    type Err = NoWorkspaceHash;

    fn from_str(text: &str) -> Result<Self, NoWorkspaceHash> {
        from_hex(text).map(Self).ok_or(NoWorkspaceHash)
    }
}

/// Bytes as hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// 128 bits from 32 hexadecimal digits in lower case, the one spelling that [`hex`] writes.
pub fn from_hex(text: &str) -> Option<[u8; 16]> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 32 || !text.bytes().all(is_digit) {
        return None;
    }
    let number = u128::from_str_radix(text, 16).ok()?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Issuer, User, WorkspaceId};

    #[test]
    fn a_hash_is_one_users_and_read_back() {
        let user = |issuer: &str, subject: &str| {
            WorkspaceId::from(User {
                issuer: issuer.parse::<Issuer>().expect("an issuer"),
                subject: subject.parse().expect("a subject"),
            })
        };
        let hash = user("local", "ada").hash();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for other in [
            user("local", "ada "),
            user("loca", "lada"),
            user("https://a.test", "ada"),
        ] {
            assert_ne!(other.hash(), hash);
        }
        for bad in ["", "ada", &"A".repeat(32), &"a".repeat(31)] {
            assert_eq!(bad.parse::<WorkspaceHash>(), Err(NoWorkspaceHash), "{bad}");
        }
    }
}
