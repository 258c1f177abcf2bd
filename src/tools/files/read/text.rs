//! Lines of text.

use casemate_protocol::failure::Code;
use casemate_protocol::{Encoding, ReadLinesReply, ReadLinesRequest};
use rmcp::model::CallToolResult;
use serde_json::json;

use super::super::twin;
use super::{image, plain};
use crate::api::{ToolError, bounds, rfc3339};
use crate::config::limits::{READ_CHARS, READ_LINE_CHARS, READ_LINES};
use crate::sandbox::{Answer, Sandbox, SandboxError};
use crate::workspace::ReadPath;

/// Lines from `start_line` on, or the image if the file is one.
pub(super) async fn read(
    sandbox: &Sandbox,
    path: &ReadPath,
    start_line: u64,
    max_lines: u32,
) -> Result<CallToolResult, ToolError> {
    if start_line == 0 {
        return Err(ToolError::argument("start_line", "counts from 1"));
    }
    if !READ_LINES.contains(&max_lines) {
        return Err(ToolError::argument("max_lines", bounds(&READ_LINES)));
    }
    let request = ReadLinesRequest {
        path: path.to_bytes(),
        start_line,
        max_lines: max_lines.into(),
        max_chars: READ_CHARS,
        max_line_chars: READ_LINE_CHARS,
    };
    let Answer { value, notice } = match sandbox.read_lines(request).await {
        Err(SandboxError::Failed(failure)) if failure.code() == Code::NotText => {
            return image::read(sandbox, path).await;
        }
        Err(error) => {
            let told = ToolError::sandbox(&error, &format!("\"{path}\""));
            return Err(twin::named(sandbox, path.as_bytes(), &error, told).await);
        }
        Ok(answer) => answer,
    };
    let mut facts = json!({
        "path": path.to_string(), "size": value.size, "modified": rfc3339(value.modified_ms),
        "encoding": name(value.encoding()), "start_line": start_line, "lines": value.lines,
        "lines_cut": value.lines_cut,
    });
    if value.complete {
        facts["total_lines"] = value.lines_seen.into();
    }
    Ok(plain(text_form(value, start_line), notice, facts))
}

/// The text, and a closing line if more must be said.
fn text_form(reply: ReadLinesReply, start: u64) -> String {
    let notes: Vec<String> = [position(&reply, start), cut(&reply), encoding(&reply)]
        .into_iter()
        .flatten()
        .collect();
    let mut text = reply.text;
    if notes.is_empty() {
        return text;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    format!("{text}[{}]", notes.join("; "))
}

/// The numbers of these lines and how to read the rest, unless they are all.
fn position(reply: &ReadLinesReply, start: u64) -> Option<String> {
    let ReadLinesReply {
        lines,
        lines_seen: seen,
        complete,
        ..
    } = *reply;
    let last = start + lines.saturating_sub(1);
    let more = if complete { "" } else { "more than " };
    if complete && seen == 0 {
        Some("the file is empty".to_owned())
    } else if lines == 0 {
        let beyond = format!("line {start} is beyond the end");
        Some(format!("{beyond}; the file has {more}{seen} lines"))
    } else if complete && last >= seen {
        (start > 1).then(|| format!("lines {start}-{last} of {seen}"))
    } else {
        let next = last + 1;
        Some(format!(
            "lines {start}-{last} of {more}{seen}; next: start_line={next}"
        ))
    }
}

/// How to read the rest of lines that were cut.
fn cut(reply: &ReadLinesReply) -> Option<String> {
    let (s, are) = match reply.lines_cut {
        0 => return None,
        1 => ("", "is"),
        _ => ("s", "are"),
    };
    Some(format!(
        "{} line{s} {are} cut; the rest: encoding=\"base64\" with an offset, or \
         `sed -n LINEp FILE | cut -c{}-` with shell_exec",
        reply.lines_cut,
        READ_LINE_CHARS + 1
    ))
}

/// The encoding of the file, unless it is UTF-8.
fn encoding(reply: &ReadLinesReply) -> Option<String> {
    let said = match reply.encoding() {
        Encoding::Unspecified | Encoding::Utf8 => return None,
        Encoding::Utf8Bom => "UTF-8 with a byte order mark, which is not shown",
        Encoding::Utf16Le => "UTF-16 LE with a byte order mark, shown as UTF-8",
        Encoding::Utf16Be => "UTF-16 BE with a byte order mark, shown as UTF-8",
        Encoding::Utf8Damaged => {
            "UTF-8 with bytes that are not; \u{fffd} stands for them, and edits leave them as they are"
        }
        Encoding::Latin1 => {
            "not UTF-8, shown as Latin-1: one character for each byte, which may not be the one meant"
        }
    };
    // Half a character of UTF-16 cannot be shown.
    let utf_16 = matches!(reply.encoding(), Encoding::Utf16Le | Encoding::Utf16Be);
    let lossy = if utf_16 && reply.text.contains(char::REPLACEMENT_CHARACTER) {
        "; \u{fffd} stands for what is not UTF-16"
    } else {
        ""
    };
    Some(format!("encoding: {said}{lossy}"))
}

/// For programs.
fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Unspecified | Encoding::Utf8 => "utf-8",
        Encoding::Utf8Bom => "utf-8-bom",
        Encoding::Utf16Le => "utf-16le",
        Encoding::Utf16Be => "utf-16be",
        Encoding::Utf8Damaged => "utf-8-damaged",
        Encoding::Latin1 => "latin-1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, lines: u64, seen: u64, complete: bool) -> ReadLinesReply {
        ReadLinesReply {
            text: text.to_owned(),
            lines,
            lines_seen: seen,
            complete,
            ..ReadLinesReply::default()
        }
    }

    fn written_in(encoding: Encoding, text: &str) -> String {
        let seen = text.lines().count() as u64;
        let reply = ReadLinesReply {
            encoding: encoding.into(),
            ..lines(text, seen, seen, true)
        };
        text_form(reply, 1)
    }

    #[test]
    fn a_whole_file_is_shown_as_it_is() {
        assert_eq!(text_form(lines("a\nb\n", 2, 2, true), 1), "a\nb\n");
        assert_eq!(written_in(Encoding::Utf8, "a\u{fffd}"), "a\u{fffd}");
    }

    #[test]
    fn a_part_says_which_and_how_to_go_on() {
        let first = text_form(lines("a\n", 1, 5000, true), 1);
        assert_eq!(first, "a\n[lines 1-1 of 5000; next: start_line=2]");
        let open = text_form(lines("a\nb", 2, 9, false), 3);
        assert_eq!(open, "a\nb\n[lines 3-4 of more than 9; next: start_line=5]");
        let last = text_form(lines("z\n", 1, 7, true), 7);
        assert_eq!(last, "z\n[lines 7-7 of 7]");
        let beyond = text_form(lines("", 0, 7, true), 9);
        assert_eq!(beyond, "[line 9 is beyond the end; the file has 7 lines]");
    }

    #[test]
    fn a_cut_line_says_how_to_read_the_rest() {
        let cut = |lines_cut| ReadLinesReply {
            lines_cut,
            ..lines("a\n", 1, 1, true)
        };
        let one = text_form(cut(1), 1);
        assert!(
            one.starts_with("a\n[1 line is cut; the rest: encoding=\"base64\""),
            "{one}"
        );
        assert!(one.contains("cut -c2001-"), "{one}");
        assert!(text_form(cut(2), 1).contains("2 lines are cut"));
    }

    #[test]
    fn an_empty_file_says_that_it_is() {
        assert_eq!(text_form(lines("", 0, 0, true), 1), "[the file is empty]");
        assert_eq!(text_form(lines("", 0, 0, true), 5), "[the file is empty]");
        let marked = written_in(Encoding::Utf8Bom, "");
        assert!(marked.starts_with("[the file is empty; encoding: UTF-8 with"));
    }

    #[test]
    fn what_is_not_shown_as_it_is_written_says_so() {
        let marked = written_in(Encoding::Utf8Bom, "a\n");
        let expected = "a\n[encoding: UTF-8 with a byte order mark, which is not shown]";
        assert_eq!(marked, expected);
        assert!(written_in(Encoding::Latin1, "\u{e9}").starts_with("\u{e9}\n[encoding: not UTF-8"));
        let whole = written_in(Encoding::Utf16Be, "a");
        assert!(whole.ends_with("shown as UTF-8]"), "{whole}");
        let lossy = written_in(Encoding::Utf16Le, "a\u{fffd}");
        assert!(
            lossy.ends_with("\u{fffd} stands for what is not UTF-16]"),
            "{lossy}"
        );
        let part = ReadLinesReply {
            encoding: Encoding::Latin1.into(),
            ..lines("a\n", 1, 2, true)
        };
        let closing = "a\n[lines 1-1 of 2; next: start_line=2; encoding: not UTF-8";
        assert!(text_form(part, 1).starts_with(closing));
    }
}
