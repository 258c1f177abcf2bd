//! The text form of results, for clients that show only text.

use casemate_protocol::Captured;

use crate::workspace::shown::is_unsafe;

/// One stream as it is shown: whole, or its head, one marker line and its tail. Invalid UTF-8
/// becomes U+FFFD. `path` is the file with the full output.
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

/// Whether the shown part has invalid UTF-8.
pub fn is_lossy(captured: &Captured) -> bool {
    [&captured.head, &captured.tail]
        .iter()
        .any(|bytes| std::str::from_utf8(bytes).is_err())
}

/// The line in place of the omitted part.
fn marker(omitted: u64, path: Option<&str>) -> String {
    format!("[{omitted} bytes omitted{}]", all_output(path))
}

/// The line about frames of progress bars.
pub fn overwritten(bytes: u64, path: Option<&str>) -> String {
    format!(
        "[omitted {bytes} bytes that carriage returns overwrote{}]",
        all_output(path)
    )
}

fn all_output(path: Option<&str>) -> String {
    path.map_or_else(String::new, |path| format!("; full output: {path}"))
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

/// Any bytes as one visible line: invalid UTF-8, and characters that would move a terminal's cursor
/// or turn its direction, become `\xNN`.
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_omitted_part_is_one_line() {
        let captured = Captured {
            head: Bytes::from_static(b"begin"),
            omitted: 12,
            tail: Bytes::from_static(b"end\n"),
            total: 21,
            overwritten: 0,
        };
        assert_eq!(stream(&captured, None), "begin\n[12 bytes omitted]\nend\n");
    }

    #[test]
    fn our_lines_come_after_the_output() {
        assert_eq!(
            shell("out", "err\n", &["[exit code: 1]".into()]),
            "out\n[stderr]\nerr\n[exit code: 1]"
        );
        assert_eq!(shell("", "", &[]), "");
    }

    #[test]
    fn names_cannot_move_the_cursor_or_turn_the_text() {
        assert_eq!(visible(b"a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
        assert_eq!(visible("\u{202e}txt".as_bytes()), "\\xe2\\x80\\xaetxt");
        assert_eq!(visible(b"\xff\\"), "\\xff\\\\");
        assert_eq!(visible("日 é".as_bytes()), "日 é");
    }
}
