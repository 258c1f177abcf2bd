//! `write_file`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use casemate_protocol::WriteFileRequest;
use rmcp::model::{CallToolResult, JsonObject, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{done, file, structured};
use crate::config::limits::MAX_WRITE;
use crate::sandbox::{Answer, Sandbox};
use crate::tools::note::SandboxNote;
use crate::tools::{Definition, ToolError, arguments};

/// Its name.
pub const NAME: &str = "write_file";

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
pub fn tool() -> Tool {
    Definition {
        name: NAME,
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
pub async fn call(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
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
        ..WriteFileRequest::default()
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
