//! The one form of a host name, in which it is matched, resolved, logged and dialled.
//!
//! A program may spell a name in many ways. All of them become one [`HostName`] before anything
//! looks at them, or are refused; there is no other way to make one.

use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// Longest name in bytes, without the dot of the root (RFC 1035, section 2.3.4: 255 octets on the
/// wire).
pub const NAME_LIMIT: usize = 253;

/// Longest part between two dots, in bytes (RFC 1035, section 2.3.4).
pub const LABEL_LIMIT: usize = 63;

/// A host name in its one form: lower-case letters, digits, `-` and `_` in parts of 1 to 63
/// bytes, 253 bytes in all, without a final dot, and nothing that an address parser accepts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or two dots in a row.
    #[error("a part of the name is empty")]
    EmptyLabel,
    /// Over [`NAME_LIMIT`] bytes.
    #[error("the name is longer than 253 bytes")]
    TooLong,
    /// Over [`LABEL_LIMIT`] bytes.
    #[error("a part of the name is longer than 63 bytes")]
    LabelTooLong,
    /// A character that no host name has: `%`, `@`, `/`, `\`, white space, a control character.
    #[error("the name has a character that no host name has")]
    Character,
    /// Refused by UTS 46: <https://www.unicode.org/reports/tr46/>.
    #[error("the name is not valid as an internationalized domain name")]
    Idna,
    /// An IPv4 or IPv6 address in any notation that some parser accepts.
    #[error("an address stands where a host name is expected")]
    Address,
}

impl HostName {
    /// Brings `text` into the one form: UTS 46 to A-labels, ASCII lower case, one final dot cut.
    ///
    /// # Errors
    ///
    /// Where `text` is no host name, or is an address in any notation.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // The dot of the root is one byte more. UTS 46 takes time quadratic in a label's length.
        if text.len() > NAME_LIMIT + 1 {
            return Err(NameError::TooLong);
        }
        if is_ipv6(text) {
            return Err(NameError::Address);
        }
        if text.chars().any(is_refused) {
            return Err(NameError::Character);
        }
        let ascii = Uts46::new()
            .to_ascii(
                text.as_bytes(),
                AsciiDenyList::EMPTY,
                Hyphens::Allow,
                DnsLength::Ignore,
            )
            .map_err(|_| NameError::Idna)?;
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        check_labels(name)?;
        if is_ipv4(name) {
            return Err(NameError::Address);
        }
        Ok(Self(name.into()))
    }

    /// The name: ASCII, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is a strict subdomain of `base`, at any depth: never `base` itself.
    #[must_use]
    pub fn is_under(&self, base: &Self) -> bool {
        self.0
            .strip_suffix(base.as_str())
            .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
    }

    /// Whether this is one part without a dot: never looked up, because search domains would
    /// decide what it means.
    #[must_use]
    pub fn is_single_label(&self) -> bool {
        !self.0.contains('.')
    }
}

/// Refused before UTS 46, which maps some of them to others or to nothing.
fn is_refused(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(character, '%' | '@' | '/' | '\\')
}

fn check_labels(name: &str) -> Result<(), NameError> {
    if name.len() > NAME_LIMIT {
        return Err(NameError::TooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > LABEL_LIMIT {
            return Err(NameError::LabelTooLong);
        }
        if !label.bytes().all(is_host_byte) {
            return Err(NameError::Character);
        }
    }
    Ok(())
}

/// `_` is no letter of a host name (RFC 952), but names with it are resolved and served.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

/// Whether a parser may read `name` as an IPv4 address. inet_aton(3) accepts one to four parts,
/// each decimal, octal or hexadecimal, and each parser has its own bounds; but all end in a
/// number, and no top-level domain is one. So does <https://url.spec.whatwg.org/#ends-in-a-number-checker>.
fn is_ipv4(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Nothing with a colon is a host name. Two colons, or brackets, mean an address.
fn is_ipv6(text: &str) -> bool {
    text.starts_with('[') || text.bytes().filter(|byte| *byte == b':').count() > 1
}

impl FromStr for HostName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests;
