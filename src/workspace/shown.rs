//! Names of any bytes as text, and back.
//!
//! A name that is plain text is shown as it is. Any other is shown as bash writes it in a command,
//! `$'caf\xe9'`, and so is one that begins like that: so no two names look alike, every tool
//! accepts the shown form, and a command can use it unchanged.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The start of an escaped name.
const BEGIN: &str = "$'";

/// Bytes as text. Of a text that `is_cut`, a last character that was cut in two is left out.
pub fn beginning(bytes: &[u8], is_cut: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    match is_cut {
        true => text
            .trim_end_matches(char::REPLACEMENT_CHARACTER)
            .to_owned(),
        false => text.into_owned(),
    }
}

/// Bytes as one visible line: invalid UTF-8, and characters that would move a cursor or turn the
/// direction of text, are escaped.
pub fn visible(name: &[u8]) -> Cow<'_, str> {
    let plain = |char: &char| !is_unsafe(*char);
    match std::str::from_utf8(name) {
        Ok(text) if !text.starts_with(BEGIN) && text.chars().all(|char| plain(&char)) => {
            Cow::Borrowed(text)
        }
        _ => Cow::Owned(quoted(name)),
    }
}

/// Bytes as text that is exactly them if they are UTF-8: for JSON, which has its own escapes for
/// characters that move a cursor.
pub fn exact(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(text) if !text.starts_with(BEGIN) => Cow::Borrowed(text),
        _ => Cow::Owned(quoted(name)),
    }
}

fn quoted(name: &[u8]) -> String {
    let mut text = BEGIN.to_owned();
    for chunk in name.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' | '\'' => text.extend(['\\', char]),
                _ if is_unsafe(char) => escape(&mut text, char.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => text.push(char),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text.push('\'');
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// The bytes of a shown name. A text that only begins like an escaped name is a name itself.
pub fn bytes(text: &str) -> Cow<'_, [u8]> {
    let inner = text.strip_prefix(BEGIN);
    let inner = inner.and_then(|text| text.strip_suffix('\''));
    match inner.and_then(unquoted) {
        Some(bytes) => Cow::Owned(bytes),
        None => Cow::Borrowed(text.as_bytes()),
    }
}

/// `None` for what bash would read otherwise.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'\'' {
            return None;
        }
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&letter, after) = rest.split_first()?;
        rest = after;
        bytes.push(match letter {
            b'\\' | b'\'' | b'"' => letter,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

/// Control characters, and the ones that change the direction of text (Unicode Standard Annex 9).
pub fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}'
        )
        || ('\u{202a}'..='\u{202e}').contains(&char)
        || ('\u{2066}'..='\u{2069}').contains(&char)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_no_plain_text_is_escaped() {
        for plain in ["a", "back\\slash", "it's", "日 é", "a$'b'", "$", "'"] {
            assert_eq!(visible(plain.as_bytes()), plain);
            assert_eq!(exact(plain.as_bytes()), plain);
            assert_eq!(&*bytes(plain), plain.as_bytes());
        }
        for (name, shown) in [
            (&b"caf\xe9"[..], r"$'caf\xe9'"),
            (b"caf\\xe9\xff", r"$'caf\\xe9\xff'"),
            (b"it's \xff", r"$'it\'s \xff'"),
            (b"$'a'", r"$'$\'a\''"),
        ] {
            assert_eq!(visible(name), shown);
            assert_eq!(exact(name), shown);
        }
        assert_eq!(visible(b"a\nb\x1b[31m"), r"$'a\x0ab\x1b[31m'");
        assert_eq!(visible("\u{202e}txt".as_bytes()), r"$'\xe2\x80\xaetxt'");
        assert_eq!(exact(b"a\nb"), "a\nb");
    }

    #[test]
    fn what_bash_would_read_otherwise_is_a_name_itself() {
        for text in [
            "$'a",
            "$'",
            r"$'a\'",
            r"$'\x4'",
            r"$'\xzz'",
            r"$'\u00e9'",
            "$'a'b'",
        ] {
            assert_eq!(&*bytes(text), text.as_bytes(), "{text}");
        }
        assert_eq!(&*bytes(r"$'a\n\t\x41'"), b"a\n\tA");
    }

    proptest! {
        #[test]
        fn no_two_names_look_alike_and_each_is_read_back(
            name in prop::collection::vec(prop_oneof![
                any::<u8>(), Just(b'\\'), Just(b'\''), Just(b'$'), Just(b'x'), Just(b'e'), Just(b'9')
            ], 0..12),
        ) {
            for shown in [visible(&name), exact(&name)] {
                prop_assert_eq!(&*bytes(&shown), &name[..]);
            }
            prop_assert!(!visible(&name).contains(char::is_control));
        }
    }
}
