//! The text that an edit searches and changes, and how it becomes a file again.
//!
//! | the file is | searched and changed |
//! |---|---|
//! | UTF-8 | its bytes |
//! | UTF-8 with a few bytes that are not | its bytes: the invalid ones stay as they are |
//! | UTF-16 with a mark | as UTF-8, and written as UTF-16 again |
//! | anything else | its bytes, where the old and the new text are ASCII and there is one match |
//!
//! Every other edit is refused, and the error names the encoding: UTF-8 text would spoil a file
//! in another encoding.

use std::borrow::Cow;

use casemate_protocol::{EditFileRequest, Failure, MAX_EDIT};

use super::super::charset::{self, ByteOrder, Charset, SNIFF_LIMIT};
use super::super::lines::not_text;
use super::common::too_large;

/// The content of a file, as an edit takes it.
#[derive(Debug)]
pub(super) struct Text {
    /// In UTF-8, unless it is [`Form::Other`].
    pub(super) bytes: Vec<u8>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Utf8,
    Damaged,
    Utf16(ByteOrder),
    /// What it probably is.
    Other(&'static str),
}

impl Text {
    pub(super) fn of(content: Vec<u8>) -> Self {
        if std::str::from_utf8(&content).is_ok() {
            let form = Form::Utf8;
            return Self {
                bytes: content,
                form,
            };
        }
        let head = &content[..content.len().min(SNIFF_LIMIT)];
        let found = Charset::of(head, head.len() == content.len());
        if let Some(found @ Charset::Utf16(order)) = found
            && let Some(text) = charset::utf16_exactly(&content[found.mark().len()..], order)
        {
            return Self {
                bytes: text.into_bytes(),
                form: Form::Utf16(order),
            };
        }
        let form = match found {
            _ if charset::is_marked_utf16(head) => {
                Form::Other("UTF-16 with halves of characters, or binary data")
            }
            None => Form::Other("binary data"),
            Some(_) if charset::is_damaged_utf8(&content, true) => Form::Damaged,
            Some(_) => Form::Other("Latin-1, or another encoding of one byte for a character"),
        };
        Self {
            bytes: content,
            form,
        }
    }

    /// Whether the edit can be made at all, however often the text is there.
    ///
    /// # Errors
    /// `NOT_TEXT`, with the encoding.
    pub(super) fn check(&self, request: &EditFileRequest) -> Result<(), Failure> {
        let (old, new) = (&request.old_text, &request.new_text);
        match self.form {
            Form::Utf8 => Ok(()),
            Form::Damaged if !old.windows(3).any(|at| at == "\u{fffd}".as_bytes()) => Ok(()),
            Form::Damaged => Err(not_text(
                "the file is UTF-8 with bytes that are not, and U+FFFD in `old_text` stands for \
                 one of them: leave it out",
            )),
            Form::Utf16(_) if [old, new].iter().all(|it| std::str::from_utf8(it).is_ok()) => Ok(()),
            Form::Utf16(_) => Err(not_text("the file is UTF-16, and the text is not UTF-8")),
            Form::Other(_) if old.is_ascii() && new.is_ascii() => Ok(()),
            Form::Other(what) => Err(other(what)),
        }
    }

    /// Whether so many matches can be replaced: in what is not known an ASCII text may also
    /// be a part of another character.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn check_count(&self, count: u64) -> Result<(), Failure> {
        match self.form {
            Form::Other(what) if count > 1 => Err(other(what)),
            _ => Ok(()),
        }
    }

    /// What it is in, for an edit that was made; empty for UTF-8.
    pub(super) fn encoding(&self) -> &'static str {
        match self.form {
            Form::Utf8 => "",
            Form::Damaged => "UTF-8 with bytes that are not",
            Form::Utf16(ByteOrder::Little) => "UTF-16LE",
            Form::Utf16(ByteOrder::Big) => "UTF-16BE",
            Form::Other(what) => what,
        }
    }

    /// The content of the file with this text.
    ///
    /// # Errors
    /// `FILE_TOO_LARGE`.
    pub(super) fn file<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        let Form::Utf16(order) = self.form else {
            return Ok(Cow::Borrowed(text));
        };
        let text = std::str::from_utf8(text).map_err(|_| not_text("not UTF-8"))?;
        let mut file = Charset::Utf16(order).mark().to_vec();
        charset::encode_utf16(text, order, &mut file);
        if file.len() > MAX_EDIT {
            return Err(too_large());
        }
        Ok(Cow::Owned(file))
    }
}

fn other(what: &str) -> Failure {
    not_text(&format!(
        "the file is {what}: only an edit whose old and new text are ASCII, and with one match, \
         is made there"
    ))
}

/// Whether an edit has left lines that end with CRLF and lines that end with LF, where its
/// new text has the end of a line.
pub(super) fn mixes_line_ends(edited: &[u8], new: &[u8]) -> bool {
    let lf = memchr::memchr_iter(b'\n', edited).count();
    let crlf = memchr::memmem::find_iter(edited, b"\r\n").count();
    memchr::memchr(b'\n', new).is_some() && crlf > 0 && crlf < lf
}
