//! `write_file`, `read_file`, `list_files`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use casemate_protocol::{
    ListFilesReply, ListFilesRequest, ReadBytesReply, ReadBytesRequest, ReadLinesReply,
    ReadLinesRequest, WriteFileRequest,
};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, MetaObject, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::entries::{self, Entry};
use super::note::SandboxNote;
use super::{Code, Definition, ToolError, arguments, error};
use crate::config::limits::{self, LIST_DEPTH, LIST_LIMIT, MAX_WRITE, READ_LINES};
use crate::sandbox::{Answer, Note, Sandbox, SandboxError};
use crate::workspace::WorkspacePath;

/// Its name.
pub const WRITE: &str = "write_file";
/// Its name.
pub const READ: &str = "read_file";
/// Its name.
pub const LIST: &str = "list_files";

/// How the content of a file stands in an argument.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum ContentEncoding {
    /// The text itself.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Base64 of the bytes (RFC 4648, with padding).
    #[serde(rename = "base64")]
    Base64,
}

/// Arguments of `write_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WriteArgs {
    /// The file, relative to /workspace. Missing directories are made.
    path: String,
    /// All of its new content. At most 3 MiB.
    content: String,
    /// How `content` is written.
    #[serde(default)]
    encoding: ContentEncoding,
}

/// Result of `write_file`.
#[derive(Debug, Serialize, JsonSchema)]
struct WriteOutput {
    /// The file, relative to /workspace.
    path: String,
    /// Its size now, in bytes.
    size: u64,
    /// Whether there was no such file before.
    created: bool,
    /// What happened to the sandbox itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SandboxNote")]
    sandbox: Option<SandboxNote>,
}

/// As clients see it.
pub fn write_tool() -> Tool {
    Definition {
        name: WRITE,
        title: "Write a file",
        description: "Create or replace a file in the user's /workspace. The change is atomic: \
            a reader sees the old content or the new, never a mix. Permissions of an existing \
            file stay.",
        input: arguments::schema::<WriteArgs>(),
        output: Some(arguments::schema::<WriteOutput>()),
        read_only: false,
        destructive: true,
        idempotent: true,
    }
    .into()
}

/// Writes a file.
pub async fn write(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
    let args: WriteArgs = arguments::parse(args)?;
    let path = file(&args.path)?;
    let content: Bytes = match args.encoding {
        ContentEncoding::Utf8 => args.content.into(),
        ContentEncoding::Base64 => STANDARD
            .decode(&args.content)
            .map_err(|error| ToolError::argument("content", format!("is not base64 ({error})")))?
            .into(),
    };
    if content.len() > MAX_WRITE {
        let problem = format!(
            "has {} bytes; at most {MAX_WRITE} are allowed. Write it in parts with shell_exec",
            content.len()
        );
        return Err(ToolError::argument("content", problem));
    }
    let request = WriteFileRequest {
        path: path.as_str().to_owned(),
        content,
    };
    let Answer { value, note } = done(sandbox.write_file(request).await, &path)?;
    let output = WriteOutput {
        path: path.to_string(),
        size: value.size,
        created: value.created,
        sandbox: note.map(SandboxNote::from),
    };
    let verb = if output.created {
        "created"
    } else {
        "replaced"
    };
    let text = format!("{verb} {} ({} bytes)", output.path, output.size);
    structured(text, output.sandbox.as_ref(), &output)
}

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
pub fn read_tool() -> Tool {
    Definition {
        name: READ,
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
pub async fn read(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
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

/// Arguments of `list_files`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    /// The directory, relative to /workspace.
    #[serde(default = "here")]
    path: String,
    /// Levels to show: 1 is the directory's own entries. 1 to 64.
    #[serde(default = "default_depth")]
    #[schemars(range(min = 1, max = 64))]
    depth: u32,
    /// Entries a page, 1 to 5000; at most 50,000 characters are shown.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 5000))]
    limit: u32,
    /// `next_cursor` of the page before; empty for the first.
    #[serde(default)]
    cursor: String,
}

fn here() -> String {
    ".".to_owned()
}

fn default_depth() -> u32 {
    LIST_DEPTH.default
}

fn default_limit() -> u32 {
    LIST_LIMIT.default
}

/// Result of `list_files`.
#[derive(Debug, Serialize, JsonSchema)]
struct ListOutput {
    /// Sorted by path.
    entries: Vec<Entry>,
    /// For the next page; empty when there is none.
    next_cursor: String,
    /// What happened to the sandbox itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SandboxNote")]
    sandbox: Option<SandboxNote>,
}

/// As clients see it.
pub fn list_tool() -> Tool {
    Definition {
        name: LIST,
        title: "List files",
        description: "List a directory of the user's /workspace, sorted, a page at a time. The \
            directories .casemate and .home are shown only when asked for by path. Names that \
            are not plain text are shown with \\xNN.",
        input: arguments::schema::<ListArgs>(),
        output: Some(arguments::schema::<ListOutput>()),
        read_only: true,
        destructive: false,
        idempotent: true,
    }
    .into()
}

/// Lists a directory.
pub async fn list(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
    let args: ListArgs = arguments::parse(args)?;
    let path = path(&args.path)?;
    if !LIST_DEPTH.contains(&args.depth) {
        return Err(ToolError::argument("depth", error::bounds(&LIST_DEPTH)));
    }
    if !LIST_LIMIT.contains(&args.limit) {
        return Err(ToolError::argument("limit", error::bounds(&LIST_LIMIT)));
    }
    let after = URL_SAFE_NO_PAD.decode(&args.cursor).map_err(|_| {
        ToolError::argument(
            "cursor",
            "is not a next_cursor; leave it out for the first page",
        )
    })?;
    let request = ListFilesRequest {
        path: path.as_str().to_owned(),
        depth: args.depth,
        limit: args.limit,
        after: after.into(),
        max_chars: limits::LIST_CHARS,
    };
    let Answer { value, note } = done(sandbox.list_files(request).await, &path)?;
    let output = page(&value, note);
    let text = entries::table(&output.entries, &output.next_cursor);
    structured(text, output.sandbox.as_ref(), &output)
}

/// As many entries as a result can hold, and where the next page begins.
fn page(reply: &ListFilesReply, note: Option<Note>) -> ListOutput {
    let entries = entries::fitting(&reply.entries);
    let more = reply.more || entries.len() < reply.entries.len();
    let last = entries
        .len()
        .checked_sub(1)
        .map(|at| &reply.entries[at].path);
    ListOutput {
        next_cursor: match last {
            Some(path) if more => URL_SAFE_NO_PAD.encode(path),
            _ => String::new(),
        },
        entries,
        sandbox: note.map(SandboxNote::from),
    }
}

fn path(text: &str) -> Result<WorkspacePath, ToolError> {
    text.parse().map_err(|error| ToolError::path(&error))
}

/// A path that can be a file's.
fn file(text: &str) -> Result<WorkspacePath, ToolError> {
    let path = path(text)?;
    if path.names_directory() {
        let sentence = format!("\"{path}\" names a directory; give the path of a file.");
        return Err(ToolError::new(Code::IsDirectory, sentence));
    }
    Ok(path)
}

fn done<T>(
    answer: Result<Answer<T>, SandboxError>,
    path: &WorkspacePath,
) -> Result<Answer<T>, ToolError> {
    answer.map_err(|error| ToolError::sandbox(&error, &format!("\"{path}\"")))
}

/// A result whose text and structure say the same.
fn structured(
    mut text: String,
    note: Option<&SandboxNote>,
    output: &impl Serialize,
) -> Result<CallToolResult, ToolError> {
    if let Some(note) = note {
        text = format!("{text}\n{}", note.lines().join("\n"));
    }
    let value = serde_json::to_value(output)
        .map_err(|error| ToolError::new(Code::Internal, format!("the result: {error}.")))?;
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    Ok(result)
}

/// A result of text alone, with the file's facts beside it.
fn plain(text: String, note: Option<Note>, facts: serde_json::Value) -> CallToolResult {
    let mut content = vec![ContentBlock::text(text)];
    if let Some(note) = note {
        let lines = SandboxNote::from(note).lines();
        content.push(ContentBlock::text(lines.join("\n")));
    }
    let mut meta = MetaObject::new();
    meta.insert("io.casemate/file".to_owned(), facts);
    let mut result = CallToolResult::success(content);
    result.meta = Some(meta);
    result
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

    #[test]
    fn a_directory_is_no_file() {
        assert_eq!(file("a/").expect_err("refused").code, Code::IsDirectory);
        assert_eq!(
            file("..").expect_err("refused").code,
            Code::OutsideWorkspace
        );
        assert!(file("a").is_ok());
    }
}
