//! The tool `read_file`: lines of text, bytes as base64, or an image.

mod bytes;
mod image;
mod text;

use rmcp::model::{CallToolResult, JsonObject};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{done, file_to_read, noted, plain, with_facts};
use crate::api::ToolError;
use crate::config::limits::READ_LINES;
use crate::sandbox::Sandbox;
use crate::tools::arguments;
use crate::tools::definition::{Definition, DefinitionContext};

pub const NAME: &str = "read_file";

/// How the content of a file is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ReadEncoding {
    /// Lines of text, as UTF-8; PNG, JPEG, GIF and WebP as an image.
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

/// As clients see it. It has no output schema: the file's metadata are in `_meta`.
pub fn definition(context: &DefinitionContext) -> Definition {
    Definition {
        title: "Read a file",
        description: context.with_shared("Read a file of the user's /workspace: lines of text, bytes as base64, or an \
            image (PNG, JPEG, GIF, WebP up to 700 KB). At most 50,000 characters; lines over 2,000 \
            are cut and marked. Text in UTF-16 or Latin-1 is shown as UTF-8. A last line in \
            brackets says how to read the rest when not everything was shown, and what is special about \
            the file."),
        input: arguments::schema::<ReadArgs>(),
        output: None,
        read_only: true,
        destructive: false,
        idempotent: true,
        open_world: false,
    }
}

/// Reads a file.
pub async fn call(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
    let args: ReadArgs = arguments::parse(args)?;
    let path = file_to_read(sandbox, &args.path)?;
    match args.encoding {
        ReadEncoding::Text => text::read(sandbox, &path, args.start_line, args.max_lines).await,
        ReadEncoding::Base64 => bytes::read(sandbox, &path, args.offset).await,
    }
}
