//! The name of a token.

use std::str::FromStr;

use thiserror::Error;

use crate::identity::Issuer;

/// Longest name, in characters: labels and log lines contain it.
const NAME_CHARS: usize = 64;

/// The name of a token: `[a-z0-9][a-z0-9._-]{0,63}`, not `local`. So as an issuer it is neither
/// `local` nor a URL, which has a `:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenName(String);

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a token's name has 1 to {NAME_CHARS} of the characters a-z, 0-9, `.`, `_` and `-`, begins \
     with a letter or digit, and is not `local`"
)]
pub struct NameError;

impl TokenName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The issuer of a delegate's users.
    pub fn issuer(&self) -> Issuer {
        // Its grammar is part of an issuer's; should that ever change, a name is still not `local`.
        self.0.parse().expect("a token's name is an issuer")
    }
}

impl FromStr for TokenName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| plain(b) || b"._-".contains(&b);
        let good = text.len() <= NAME_CHARS
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(inner)
            && text != Issuer::local().as_str();
        good.then(|| Self(text.to_owned())).ok_or(NameError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HttpUrl;

    #[test]
    fn no_name_is_the_issuer_of_anybody_else() {
        for bad in [
            "local",
            "",
            "-a",
            ".a",
            "LOCAL",
            "Local",
            "local ",
            " local",
            "a b",
            "a/b",
            "é",
            "a:b",
            "https://id.example.com",
            "http://127.0.0.1",
            &"a".repeat(65),
        ] {
            assert_eq!(bad.parse::<TokenName>(), Err(NameError), "{bad:?}");
        }
        for good in ["webapp", "chat-app.v2_eu", "0", "locals", &"a".repeat(64)] {
            let issuer = good.parse::<TokenName>().unwrap().issuer();
            assert_eq!(issuer.as_str(), good);
            assert_ne!(issuer, Issuer::local());
            // What `jwt_issuer` takes.
            assert!(good.parse::<HttpUrl>().is_err());
        }
    }
}
