//! The tool `write_file`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use casemate_protocol::write_file_request::Mode;
use casemate_protocol::{WriteFileReply, WriteFileRequest};
use rmcp::model::{CallToolResult, JsonObject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{done, file_to_change, is_zero, split_from, structured};
use crate::api::SandboxNotice;
use crate::api::ToolError;
use crate::config::limits::MAX_WRITE;
use crate::sandbox::{Answer, Sandbox};
use crate::tools::arguments;
use crate::tools::definition::Definition;
use crate::workspace::WorkspacePath;

pub const NAME: &str = "write_file";

/// The encoding of content in an argument.
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

/// What to do if the file exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WriteMode {
    /// It is replaced.
    #[default]
    Overwrite,
    /// The content is added at its end.
    Append,
    /// It stays, and the call fails.
    CreateNew,
}

/// Arguments of `write_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WriteArgs {
    /// The file, relative to /workspace. Missing directories are created.
    path: String,
    /// The content. At most 3 MiB; write more in parts, with mode "append".
    content: String,
    /// How `content` is written, by default "utf-8".
    #[serde(default)]
    encoding: ContentEncoding,
    /// What to do if the file exists, by default "overwrite". A missing file is created.
    #[serde(default)]
    mode: WriteMode,
    /// Whether to make it executable. false leaves the permissions of an existing file.
    #[serde(default)]
    executable: bool,
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
    /// Other names that the file had (hard links). They keep the old content.
    #[serde(default, skip_serializing_if = "is_zero")]
    other_names: u64,
    /// What happened to the sandbox itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SandboxNotice")]
    sandbox: Option<SandboxNotice>,
}

/// As clients see it.
pub fn definition() -> Definition {
    Definition {
        title: "Write a file",
        description: "Create or replace a file in the user's /workspace, or append to it. A \
            file is created and replaced atomically: a reader sees the old content or the new, \
            never a mix. Permissions of an existing file stay; a read-only one is refused. To \
            change a part of a file use \
            edit_file if it is available."
            .into(),
        input: arguments::schema::<WriteArgs>(),
        output: Some(arguments::schema::<WriteOutput>()),
        read_only: false,
        destructive: true,
        // An append is not.
        idempotent: false,
        open_world: false,
    }
}

/// Writes a file.
pub async fn call(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
    let args: WriteArgs = arguments::parse(args)?;
    let path = file_to_change(sandbox, &args.path)?;
    let content: Bytes = match args.encoding {
        ContentEncoding::Utf8 => args.content.into(),
        ContentEncoding::Base64 => STANDARD
            .decode(&args.content)
            .map_err(|error| ToolError::argument("content", format!("is not base64 ({error})")))?
            .into(),
    };
    if content.len() > MAX_WRITE {
        let problem = format!(
            "has {} bytes; at most {MAX_WRITE} are allowed. Write it in parts: the first one, \
             then the others with mode \"append\"; or ask the user to upload it over HTTP, if this server \
             offers that: PUT /files/content/<path>",
            content.len()
        );
        return Err(ToolError::argument("content", problem));
    }
    let request = WriteFileRequest {
        path: path.to_bytes(),
        content,
        mode: match args.mode {
            WriteMode::Overwrite => Mode::Overwrite,
            WriteMode::Append => Mode::Append,
            WriteMode::CreateNew => Mode::CreateNew,
        }
        .into(),
        executable: args.executable,
        text: matches!(args.encoding, ContentEncoding::Utf8),
        ..WriteFileRequest::default()
    };
    let Answer { value, notice } = done(sandbox.write_file(request).await, &path)?;
    let output = WriteOutput {
        path: path.to_string(),
        size: value.size,
        created: value.created,
        other_names: value.other_names,
        sandbox: notice.map(SandboxNotice::from),
    };
    let text = format!(
        "{} ({} bytes){}",
        verb(args.mode, &value, &path),
        value.size,
        split_from(value.other_names)
    );
    structured(text, output.sandbox.as_ref(), &output)
}

fn verb(mode: WriteMode, reply: &WriteFileReply, path: &WorkspacePath) -> String {
    match (reply.created, mode) {
        (true, _) => format!("created {path}"),
        (false, WriteMode::Append) => format!("appended to {path}"),
        (false, _) => format!("replaced {path}"),
    }
}
