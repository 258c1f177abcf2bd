//! `list_files`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use casemate_protocol::{ListFilesReply, ListFilesRequest};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{done, path, structured};
use crate::config::limits::{self, LIST_DEPTH, LIST_LIMIT};
use crate::sandbox::{Answer, Note, Sandbox};
use crate::tools::entries::{self, Entry};
use crate::tools::note::SandboxNote;
use crate::tools::{Definition, ToolError, arguments, error};

/// Its name.
pub const NAME: &str = "list_files";

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
pub fn tool() -> Tool {
    Definition {
        name: NAME,
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
pub async fn call(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
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
        pattern: String::new(),
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
