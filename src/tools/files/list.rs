//! The tool `list_files`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use casemate_protocol::{ListFilesReply, ListFilesRequest};
use rmcp::model::{CallToolResult, JsonObject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{done, path_to_read, structured};
use crate::api::SandboxNotice;
use crate::api::{ToolError, bounds};
use crate::config::limits::{self, LIST_DEPTH, LIST_LIMIT};
use crate::sandbox::{Answer, Notice, Sandbox};
use crate::tools::arguments;
use crate::tools::definition::{Definition, DefinitionContext};
use crate::tools::entries::{self, ListedEntry};

pub const NAME: &str = "list_files";

/// Arguments of `list_files`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    /// The directory, relative to /workspace.
    #[serde(default = "here")]
    path: String,
    /// Levels to show, 1 to 64: 1 is the directory's own entries. Default 1; with a pattern, 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = 64))]
    depth: Option<u32>,
    /// Only entries that match this glob: *, ? and [a-z] within a name, ** for any directories,
    /// {a,b}; \[id\] is the name [id]. Without / it is matched with names at any depth ("*.rs"), else with the path below
    /// `path` ("src/**/*.rs", "/*.md"); with / at its end, directories only. 1024 bytes at most.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pattern: String,
    /// Entries per page, 1 to 5000. A page ends earlier at 50,000 characters.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 5000))]
    limit: u32,
    /// `next_cursor` of the previous page; empty for the first.
    #[serde(default)]
    cursor: String,
}

fn here() -> String {
    ".".to_owned()
}

/// A call with a pattern searches at any depth.
fn default_depth(pattern: &str) -> u32 {
    if pattern.is_empty() {
        LIST_DEPTH.default
    } else {
        LIST_DEPTH.most
    }
}

fn default_limit() -> u32 {
    LIST_LIMIT.default
}

/// Result of `list_files`.
#[derive(Debug, Serialize, JsonSchema)]
struct ListOutput {
    /// Sorted by path.
    entries: Vec<ListedEntry>,
    /// For the next page; empty on the last one.
    next_cursor: String,
    /// What the pattern may mean other than intended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hint: String,
    /// What happened to the sandbox itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SandboxNotice")]
    sandbox: Option<SandboxNotice>,
}

/// As clients see it.
pub fn definition(context: &DefinitionContext) -> Definition {
    Definition {
        title: "List files",
        description: context.with_shared("List a directory of the user's /workspace, or find files in it by a glob \
            pattern, sorted, a page at a time. Links are shown with their targets and not \
            followed. The directories .casemate and .home are shown only when asked for by path. A name \
            that is not plain text is shown as bash writes it, $'caf\\xe9'; every tool and command \
            accepts that form."),
        input: arguments::schema::<ListArgs>(),
        output: Some(arguments::schema::<ListOutput>()),
        read_only: true,
        destructive: false,
        idempotent: true,
        open_world: false,
    }
}

/// Lists a directory.
pub async fn call(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
    let args: ListArgs = arguments::parse(args)?;
    let path = path_to_read(sandbox, &args.path)?;
    let depth = args.depth.unwrap_or(default_depth(&args.pattern));
    if !LIST_DEPTH.contains(&depth) {
        return Err(ToolError::argument("depth", bounds(&LIST_DEPTH)));
    }
    if !LIST_LIMIT.contains(&args.limit) {
        return Err(ToolError::argument("limit", bounds(&LIST_LIMIT)));
    }
    let after = URL_SAFE_NO_PAD.decode(&args.cursor).map_err(|_| {
        ToolError::argument("cursor", "is not a next_cursor; omit it for the first page")
    })?;
    let request = ListFilesRequest {
        path: path.to_bytes(),
        depth,
        limit: args.limit.min(limits::LIST_CHARS / entries::LINE_CHARS),
        after: after.into(),
        max_chars: limits::LIST_CHARS,
        pattern: args.pattern.clone(),
    };
    let Answer { value, notice } = done(sandbox.list_files(request).await, &path)?;
    let mut output = page(&value, notice);
    output.hint = word_in_brackets(&args.pattern).map_or_else(String::new, hint);
    let mut text = entries::table(&output.entries, &output.next_cursor);
    if !output.hint.is_empty() {
        text = format!("{text}\n[{}]", output.hint);
    }
    structured(text, output.sandbox.as_ref(), &output)
}

/// A word in brackets, as web frameworks name directories (`[id]`, `[...slug]`): a set of
/// characters to a glob.
fn word_in_brackets(pattern: &str) -> Option<&str> {
    let is_word = |set: &&str| {
        let mut chars = set.chars();
        set.len() > 1 && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
    };
    let mut rest = pattern;
    while let Some(at) = rest.find('[') {
        let is_plain = rest[..at].ends_with('\\');
        let set = &rest[at + 1..];
        let end = set.find(']').unwrap_or(set.len());
        let found = set[..end].trim_start_matches('[');
        if !is_plain && end < set.len() && is_word(&found) {
            return Some(found);
        }
        rest = set;
    }
    None
}

fn hint(word: &str) -> String {
    format!(
        "[{word}] in the pattern is one of these characters; for a name with brackets write \
         \\[{word}\\]"
    )
}

/// The entries that fit into a result, and the start of the next page.
fn page(reply: &ListFilesReply, notice: Option<Notice>) -> ListOutput {
    let entries = entries::fitting(&reply.entries, limits::LIST_CHARS);
    let last = entries.len().checked_sub(1);
    let last = last.map(|at| &reply.entries[at].path);
    let next = if entries.len() < reply.entries.len() {
        last
    } else if reply.next.is_empty() {
        // An older casemate-init only reports that there are more.
        last.filter(|_| reply.more)
    } else {
        Some(&reply.next)
    };
    ListOutput {
        next_cursor: next.map_or_else(String::new, |path| URL_SAFE_NO_PAD.encode(path)),
        entries,
        hint: String::new(),
        sandbox: notice.map(SandboxNotice::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_brackets_is_told_apart_from_a_set() {
        for (pattern, word) in [
            ("app/[id]/**", Some("id")),
            ("app/[[...slug]]/x", Some("...slug")),
            ("[a-z]/[slug].ts", Some("slug")),
            (r"app/\[id\]/**", None),
            ("[a-z]*", None),
            ("[!ab]", None),
            ("[x]", None),
            ("[", None),
            ("*.rs", None),
        ] {
            assert_eq!(word_in_brackets(pattern), word, "{pattern}");
        }
        assert!(hint("id").ends_with(r"write \[id\]"));
    }
}
