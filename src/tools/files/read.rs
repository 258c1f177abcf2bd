//! `read_file`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casemate_protocol::{ReadBytesReply, ReadBytesRequest, ReadLinesReply, ReadLinesRequest};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{done, file, plain};
use crate::config::limits::{self, READ_LINES};
use crate::sandbox::{Answer, Sandbox};
use crate::tools::{Definition, ToolError, arguments, entries, error};
use crate::workspace::WorkspacePath;

/// Its name.
pub const NAME: &str = "read_file";

/// How the content of a file is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ReadEncoding {
    /// Lines of UTF-8 text.
    #[default]
    Text,
    /// Base64 of bytes (RFC 4648, with padding).
    Base64,
}

/// Arguments of `read_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadArgs {
    /// The file, relative to /workspace.
    path: String,
    /// First line to show, from 1. For encoding "text".
    #[serde(default = "first_line")]
    #[schemars(range(min = 1))]
    start_line: u64,
    /// Lines to show, 1 to 50000; at most 50,000 characters are shown. For encoding "text".
    #[serde(default = "default_lines")]
    #[schemars(range(min = 1, max = 50000))]
    max_lines: u32,
    /// How the content is shown.
    #[serde(default)]
    encoding: ReadEncoding,
    /// First byte to show, from 0; 37,500 bytes are shown. For encoding "base64".
    #[serde(default)]
    offset: u64,
}

fn first_line() -> u64 {
    1
}

fn default_lines() -> u32 {
    READ_LINES.default
}

/// As clients see it. No output schema: the facts are in `_meta`.
pub fn tool() -> Tool {
    Definition {
        name: NAME,
        title: "Read a file",
        description: "Read a file of the user's /workspace: lines of text, or bytes as base64. \
            At most 50,000 characters; lines over 2,000 are cut and marked. When not all was \
            shown, the last line says how to go on.",
        input: arguments::schema::<ReadArgs>(),
        output: None,
        read_only: true,
        destructive: false,
        idempotent: true,
    }
    .into()
}

/// Reads a file.
pub async fn call(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
    let args: ReadArgs = arguments::parse(args)?;
    let path = file(&args.path)?;
    match args.encoding {
        ReadEncoding::Text => read_text(sandbox, &path, args.start_line, args.max_lines).await,
        ReadEncoding::Base64 => read_base64(sandbox, &path, args.offset).await,
    }
}

async fn read_text(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    start_line: u64,
    max_lines: u32,
) -> Result<CallToolResult, ToolError> {
    if start_line == 0 {
        return Err(ToolError::argument("start_line", "counts from 1"));
    }
    if !READ_LINES.contains(&max_lines) {
        return Err(ToolError::argument("max_lines", error::bounds(&READ_LINES)));
    }
    let request = ReadLinesRequest {
        path: path.as_str().to_owned(),
        start_line,
        max_lines: max_lines.into(),
        max_chars: limits::READ_CHARS,
        max_line_chars: limits::READ_LINE_CHARS,
    };
    let Answer { value, note } = done(sandbox.read_lines(request).await, path)?;
    let meta = json!({
        "path": path.to_string(), "size": value.size, "modified": entries::time(value.modified_ms),
        "start_line": start_line, "lines": value.lines,
        "total_lines": value.complete.then_some(value.lines_seen),
    });
    Ok(plain(text_form(value, start_line), note, meta))
}

/// The text, and a closing line when it is not the whole file.
fn text_form(reply: ReadLinesReply, start: u64) -> String {
    let seen = reply.lines_seen;
    let more = if reply.complete { "" } else { "more than " };
    let last = start + reply.lines.saturating_sub(1);
    let closing = if reply.size == 0 {
        "[the file is empty]".to_owned()
    } else if reply.lines == 0 {
        format!("[line {start} is beyond the end; the file has {more}{seen} lines]")
    } else if reply.complete && start == 1 && last >= seen {
        return reply.text;
    } else if reply.complete && last >= seen {
        format!("[lines {start}-{last} of {seen}]")
    } else {
        format!(
            "[lines {start}-{last} of {more}{seen}; next: start_line={}]",
            last + 1
        )
    };
    let mut text = reply.text;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text + &closing
}

async fn read_base64(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    offset: u64,
) -> Result<CallToolResult, ToolError> {
    let request = ReadBytesRequest {
        path: path.as_str().to_owned(),
        offset,
        length: limits::READ_BASE64_BYTES,
    };
    let Answer { value, note } = done(sandbox.read_bytes(request).await, path)?;
    let meta = json!({
        "path": path.to_string(), "size": value.size, "modified": entries::time(value.modified_ms),
        "offset": offset, "length": value.data.len(),
    });
    Ok(plain(base64_form(&value, offset), note, meta))
}

fn base64_form(reply: &ReadBytesReply, offset: u64) -> String {
    let text = STANDARD.encode(&reply.data);
    let end = offset + reply.data.len() as u64;
    let size = reply.size;
    if size == 0 {
        "[the file is empty]".to_owned()
    } else if reply.data.is_empty() {
        format!("[offset {offset} is beyond the end; the file has {size} bytes]")
    } else if end < size {
        format!(
            "{text}\n[bytes {offset}-{} of {size}; next: offset={end}]",
            end - 1
        )
    } else if offset > 0 {
        format!("{text}\n[bytes {offset}-{} of {size}]", end - 1)
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn lines(text: &str, lines: u64, seen: u64, complete: bool) -> ReadLinesReply {
        ReadLinesReply {
            text: text.to_owned(),
            lines,
            lines_seen: seen,
            complete,
            size: 1,
            ..ReadLinesReply::default()
        }
    }

    #[test]
    fn a_whole_file_is_shown_as_it_is() {
        assert_eq!(text_form(lines("a\nb\n", 2, 2, true), 1), "a\nb\n");
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
    fn bytes_say_which_and_how_to_go_on() {
        let reply = |data: &'static [u8], size| ReadBytesReply {
            data: Bytes::from_static(data),
            size,
            modified_ms: 0,
        };
        assert_eq!(base64_form(&reply(b"abc", 3), 0), "YWJj");
        let part = base64_form(&reply(b"abc", 9), 3);
        assert_eq!(part, "YWJj\n[bytes 3-5 of 9; next: offset=6]");
        assert_eq!(base64_form(&reply(b"", 0), 0), "[the file is empty]");
    }
}
