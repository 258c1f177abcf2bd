//! Cursors of a listing. A cursor contains everything that the next page needs, so that any server
//! can answer it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::files::error::FileRejection;

/// The start of the next page, and the count of the first one.
#[derive(Debug, PartialEq)]
pub struct Cursor {
    /// The number on all pages, if known.
    pub total: Option<u64>,
    /// PID 1's own cursor.
    pub after: Vec<u8>,
}

impl Cursor {
    /// `None`: the first page.
    pub fn parse(text: &str) -> Result<Option<Self>, FileRejection> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong =
            || FileRejection::bad("`cursor` is no next_cursor; leave it out for the first page.");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let at = bytes
            .iter()
            .position(|byte| *byte == b':')
            .ok_or_else(wrong)?;
        let (total, after) = (&bytes[..at], &bytes[at + 1..]);
        let total = match total {
            b"" => None,
            digits => Some(
                std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| digits.parse().ok())
                    .ok_or_else(wrong)?,
            ),
        };
        let after = after.to_vec();
        Ok(Some(Self { total, after }))
    }

    /// The text for clients.
    pub fn show(&self) -> String {
        let total = self.total.map_or(String::new(), |total| total.to_string());
        URL_SAFE_NO_PAD.encode([total.as_bytes(), b":", &self.after].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_shown_and_nothing_else_is_one() {
        for (total, after) in [(None, &b"a/b"[..]), (Some(7), b"\xff:x"), (Some(0), b"")] {
            let cursor = Cursor {
                total,
                after: after.to_vec(),
            };
            let read = Cursor::parse(&cursor.show());
            assert_eq!(read, Ok(Some(cursor)));
        }
        assert_eq!(Cursor::parse(""), Ok(None));
        for text in ["*", "YWI", "LTE6YQ", "a b"] {
            assert_eq!(Cursor::parse(text).expect_err(text).status.as_u16(), 400);
        }
    }
}
