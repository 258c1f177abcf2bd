//! A user in 128 bits, where the name itself has no place.

use std::fmt;
use std::str::FromStr;

use super::hex;

/// The beginning of the SHA-256 of a user. It is not feasible to make two users that share one, and
/// the user cannot be computed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserHash([u8; 16]);

/// A text that is no [`UserHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a user is 32 hexadecimal digits in lower case")]
pub struct NoUserHash;

impl UserHash {
    /// Of a digest of 16 bytes at least.
    pub(super) fn of(digest: &[u8]) -> Self {
        let mut hash = [0; 16];
        for (byte, of_digest) in hash.iter_mut().zip(digest) {
            *byte = *of_digest;
        }
        Self(hash)
    }
}

impl fmt::Display for UserHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for UserHash {
    type Err = NoUserHash;

    fn from_str(text: &str) -> Result<Self, NoUserHash> {
        from_hex(text).map(Self).ok_or(NoUserHash)
    }
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
    use crate::identity::{Issuer, User};

    #[test]
    fn a_hash_is_one_users_and_read_back() {
        let user = |issuer: &str, subject: &str| User {
            issuer: issuer.parse::<Issuer>().expect("an issuer"),
            subject: subject.parse().expect("a subject"),
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
            assert_eq!(bad.parse::<UserHash>(), Err(NoUserHash), "{bad}");
        }
    }
}
