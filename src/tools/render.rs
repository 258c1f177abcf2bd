//! The text form of results, for clients that show only text.

use casemate_protocol::Captured;
use rmcp::model::{CallToolResult, ContentBlock};

/// One stream as it is shown: all of it, or head, one marker line, tail. What is
/// not UTF-8 becomes U+FFFD. `path` is where all of it is.
pub fn stream(captured: &Captured, path: Option<&str>) -> String {
    let head = String::from_utf8_lossy(&captured.head);
    if captured.omitted == 0 {
        return head.into_owned();
    }
    let tail = String::from_utf8_lossy(&captured.tail);
    let newline = if head.is_empty() || head.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{head}{newline}{}\n{tail}", marker(captured.omitted, path))
}

/// Whether what is shown of it is not all UTF-8.
pub fn is_lossy(captured: &Captured) -> bool {
    [&captured.head, &captured.tail]
        .iter()
        .any(|bytes| std::str::from_utf8(bytes).is_err())
}

/// The line that stands for what was left out.
fn marker(omitted: u64, path: Option<&str>) -> String {
    format!("[{omitted} bytes left out{}]", all_output(path))
}

/// What is said of the frames of progress bars.
pub fn overwritten(bytes: u64, path: Option<&str>) -> String {
    format!(
        "[{bytes} bytes that carriage returns overwrote left out{}]",
        all_output(path)
    )
}

fn all_output(path: Option<&str>) -> String {
    path.map_or_else(String::new, |path| {
        format!("; all output as it came: {path}")
    })
}

/// Some model APIs refuse a text block without a visible character: each says then that there
/// is none.
pub fn never_blank(result: &mut CallToolResult) {
    for block in &mut result.content {
        if let ContentBlock::Text(text) = block
            && text.text.trim().is_empty()
        {
            let said = if text.text.is_empty() {
                "[no output]"
            } else {
                "[only white space]"
            };
            text.text.push_str(said);
        }
    }
}

/// Standard output, then standard error under its title, then `lines` of our own.
pub fn shell(stdout: &str, stderr: &str, lines: &[String]) -> String {
    let mut text = stdout.to_owned();
    if !stderr.is_empty() {
        new_line(&mut text);
        text.push_str("[stderr]\n");
        text.push_str(stderr);
    }
    for line in lines {
        new_line(&mut text);
        text.push_str(line);
    }
    text
}

fn new_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// Bytes that may be anything as one visible line: what is not UTF-8, and what
/// would move a terminal's cursor or turn its direction, as `\xNN`.
pub fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char == '\\' {
                text.push_str("\\\\");
            } else if is_unsafe(char) {
                escape(&mut text, char.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(char);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Control characters, and the ones that change the direction of text (Unicode
/// Standard Annex 9).
fn is_unsafe(char: char) -> bool {
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
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_was_left_out_is_one_line_of_its_own() {
        let captured = Captured {
            head: Bytes::from_static(b"begin"),
            omitted: 12,
            tail: Bytes::from_static(b"end\n"),
            total: 21,
            overwritten: 0,
        };
        assert_eq!(stream(&captured, None), "begin\n[12 bytes left out]\nend\n");
    }

    #[test]
    fn our_lines_stand_behind_the_output() {
        assert_eq!(
            shell("out", "err\n", &["[exit code: 1]".into()]),
            "out\n[stderr]\nerr\n[exit code: 1]"
        );
        assert_eq!(shell("", "", &[]), "");
    }

    #[test]
    fn no_block_is_blank() {
        for (text, wanted) in [
            ("", "[no output]"),
            (" \n", " \n[only white space]"),
            ("a", "a"),
        ] {
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            never_blank(&mut result);
            let shown = serde_json::to_value(&result).expect("JSON");
            assert_eq!(shown["content"][0]["text"], wanted);
        }
    }

    #[test]
    fn names_cannot_move_the_cursor_or_turn_the_text() {
        assert_eq!(visible(b"a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
        assert_eq!(visible("\u{202e}txt".as_bytes()), "\\xe2\\x80\\xaetxt");
        assert_eq!(visible(b"\xff\\"), "\\xff\\\\");
        assert_eq!(visible("日 é".as_bytes()), "日 é");
    }
}
