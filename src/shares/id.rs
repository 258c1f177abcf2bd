//! The name of a share.

use std::fmt;
use std::str::FromStr;

use crate::identity::{from_hex, hex};

/// 128 random bits: they cannot be guessed, and no two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShareId([u8; 16]);

/// A text that is no [`ShareId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a share is 32 hexadecimal digits in lower case")]
pub struct NoShareId;

impl ShareId {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ShareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for ShareId {
    type Err = NoShareId;

    /// One spelling each: a link with another is another link.
    fn from_str(text: &str) -> Result<Self, NoShareId> {
        from_hex(text).map(Self).ok_or(NoShareId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "0123456789abcdef0123456789abcdef";
        assert_eq!(text.parse::<ShareId>().expect("an id").to_string(), text);
        for bad in [
            "",
            "0123456789ABCDEF0123456789ABCDEF",
            "+123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "../../../../../../../../../../ab",
        ] {
            assert_eq!(bad.parse::<ShareId>(), Err(NoShareId), "{bad}");
        }
        assert_ne!(ShareId::random(), ShareId::random());
    }
}
