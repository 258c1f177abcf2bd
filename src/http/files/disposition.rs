//! `Content-Disposition` of a download (RFC 6266).

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that RFC 8187 section 3.2.1 leaves unescaped: `attr-char`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// An attachment under this name.
pub fn attachment(name: &str) -> HeaderValue {
    // Only visible ASCII is left; if that were ever wrong, it would still be an attachment.
    named("attachment", name).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Shown, and saved under this name where somebody asks for that.
pub fn inline(name: &str) -> HeaderValue {
    named("inline", name).unwrap_or(HeaderValue::from_static("inline"))
}

/// If the name cannot be quoted as it is, `filename` has a similar one for old clients, and
/// `filename*` the exact one.
fn named(disposition: &str, name: &str) -> Option<HeaderValue> {
    let like_it: String = name.chars().map(plain).collect();
    let mut value = format!("{disposition}; filename=\"{like_it}\"");
    if like_it != name {
        let exact = utf8_percent_encode(name, ESCAPED);
        value = format!("{value}; filename*=UTF-8''{exact}");
    }
    HeaderValue::try_from(value).ok()
}

/// `%` too: some clients decode it (RFC 6266 appendix D).
fn plain(char: char) -> char {
    match char {
        '"' | '\\' | '%' => '_',
        ' '..='~' => char,
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_stands_alone_and_any_other_has_a_likeness_before_it() {
        for (name, value) in [
            ("a.txt", r#"attachment; filename="a.txt""#),
            ("a b;c", r#"attachment; filename="a b;c""#),
            (
                "say \"hi\"",
                r#"attachment; filename="say _hi_"; filename*=UTF-8''say%20%22hi%22"#,
            ),
            (
                "naïve 日.html",
                r#"attachment; filename="na_ve _.html"; filename*=UTF-8''na%C3%AFve%20%E6%97%A5.html"#,
            ),
            (
                "a\r\nSet-Cookie: b",
                r#"attachment; filename="a__Set-Cookie: b"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b"#,
            ),
            (
                r"100%\",
                r#"attachment; filename="100__"; filename*=UTF-8''100%25%5C"#,
            ),
        ] {
            assert_eq!(attachment(name), value, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_an_attachment_that_names_it_exactly(name: String) {
            let value = attachment(&name);
            let value = value.to_str().expect("visible ASCII");
            let rest = value.strip_prefix("attachment; filename=\"").expect("quoted");
            let (quoted, rest) = rest.split_once('"').expect("closed");
            let exact = match rest.strip_prefix("; filename*=UTF-8''") {
                Some(escaped) => percent_encoding::percent_decode_str(escaped)
                    .decode_utf8()
                    .expect("UTF-8")
                    .into_owned(),
                None => quoted.to_owned(),
            };
            prop_assert_eq!(exact, name);
        }
    }
}
