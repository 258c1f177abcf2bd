//! The tool `edit_file`.

mod unmatched;

use casemate_protocol::edit_file_reply::Result as Outcome;
use casemate_protocol::{EditFileRequest, Edited};
use rmcp::model::{CallToolResult, JsonObject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{file_to_change, is_zero, split_from, structured, twin};
use crate::api::SandboxNotice;
use crate::api::{Code, ToolError};
use crate::config::limits::{EDIT_BYTES, MAX_WRITE};
use crate::sandbox::{Answer, Notice, Sandbox, SandboxError};
use crate::tools::arguments;
use crate::tools::definition::Definition;
use crate::workspace::WorkspacePath;

/// Bytes of an excerpt in JSON besides its text.
const EXCERPT_OVERHEAD: usize = 64;

pub const NAME: &str = "edit_file";

/// Arguments of `edit_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EditArgs {
    /// The file, relative to /workspace. At most 8 MiB.
    path: String,
    /// The text to replace, exactly as it is in the file: with its white space and line endings.
    old_text: String,
    /// The replacement; empty deletes the text. Both together: at most 3 MiB.
    new_text: String,
    /// Whether to replace every occurrence. If false, there must be exactly one.
    #[serde(default)]
    replace_all: bool,
}

/// Result of `edit_file`.
#[derive(Debug, Serialize, JsonSchema)]
struct EditOutput {
    /// The file, relative to /workspace.
    path: String,
    /// Its size now, in bytes.
    size: u64,
    /// How many occurrences were replaced.
    replaced: u64,
    /// The changed lines as they are now, with lines around them; the first ones.
    excerpts: Vec<EditExcerpt>,
    /// Changes that no excerpt shows.
    #[serde(default, skip_serializing_if = "is_zero")]
    not_shown: u64,
    /// The encoding of the file, if it is not UTF-8. The edit keeps it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    encoding: String,
    /// Whether some lines now end with CRLF and some with LF.
    #[serde(default, skip_serializing_if = "is_false")]
    mixed_line_ends: bool,
    /// Other names that the file had (hard links). They keep the old content.
    #[serde(default, skip_serializing_if = "is_zero")]
    other_names: u64,
    /// What happened to the sandbox itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SandboxNotice")]
    sandbox: Option<SandboxNotice>,
}

/// Some lines of the file.
#[derive(Debug, Serialize, JsonSchema)]
struct EditExcerpt {
    /// The number of the first one, from 1.
    start_line: u64,
    /// The lines. Long ones are cut and marked, and so is a long excerpt.
    text: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// As clients see it.
pub fn definition() -> Definition {
    Definition {
        title: "Edit a file",
        description: "Replace text in a file in the user's /workspace with other text, and show \
            the changed lines. The old text must be in the file exactly once, unless replace_all is \
            set; otherwise nothing changes, and the error says what is there. The change is \
            atomic, and a file that changed during the edit is not overwritten.".into(),
        input: arguments::schema::<EditArgs>(),
        output: Some(arguments::schema::<EditOutput>()),
        read_only: false,
        destructive: true,
        idempotent: false,
        open_world: false,
    }
}

/// Edits a file.
pub async fn call(sandbox: &Sandbox, args: JsonObject) -> Result<CallToolResult, ToolError> {
    let args: EditArgs = arguments::parse(args)?;
    let path = file_to_change(sandbox, &args.path)?;
    check(&args)?;
    let request = EditFileRequest {
        path: path.to_bytes(),
        old_text: args.old_text.into(),
        new_text: args.new_text.into(),
        replace_all: args.replace_all,
        ..EditFileRequest::default()
    };
    let edited = sandbox.edit_file(request).await;
    let Answer { value, notice } = match edited {
        Ok(answer) => answer,
        Err(error) => {
            let told = failed(&error, &path);
            return Err(twin::named(sandbox, path.as_bytes(), &error, told).await);
        }
    };
    match value.result {
        Some(Outcome::Edited(edited)) => done(edited, &path, notice),
        Some(Outcome::NoMatch(none)) => Err(unmatched::none(&none, &path)),
        Some(Outcome::Several(several)) => Err(unmatched::several(&several, &path)),
        None => Err(ToolError::new(
            Code::Internal,
            format!("the sandbox did not report whether \"{path}\" was changed. Read the file."),
        )),
    }
}

fn check(args: &EditArgs) -> Result<(), ToolError> {
    if args.old_text.is_empty() {
        return Err(ToolError::argument(
            "old_text",
            "is empty; give the text to replace, or use write_file to create a file or append to one",
        ));
    }
    if args.old_text == args.new_text {
        let problem = "is the same as `old_text`; there is nothing to change";
        return Err(ToolError::argument("new_text", problem));
    }
    let bytes = args.old_text.len() + args.new_text.len();
    if bytes > MAX_WRITE {
        let problem = format!(
            "and `old_text` have {bytes} bytes together; at most {MAX_WRITE} are allowed. \
             Use write_file, or sed with shell_exec"
        );
        return Err(ToolError::argument("new_text", problem));
    }
    Ok(())
}

fn failed(error: &SandboxError, path: &WorkspacePath) -> ToolError {
    let told = ToolError::sandbox(error, &format!("\"{path}\""));
    if told.code != Code::TooLarge {
        return told;
    }
    let sentence = format!(
        "\"{path}\" is larger than 8 MiB, or would be. Change it with sed or a script in \
         shell_exec; nothing was changed."
    );
    ToolError::new(Code::TooLarge, sentence)
}

fn done(
    edited: Edited,
    path: &WorkspacePath,
    notice: Option<Notice>,
) -> Result<CallToolResult, ToolError> {
    let output = EditOutput {
        path: path.to_string(),
        size: edited.size,
        replaced: edited.replaced,
        excerpts: fitting(edited.excerpts),
        not_shown: edited.not_shown,
        encoding: edited.encoding,
        mixed_line_ends: edited.mixed_line_ends,
        other_names: edited.other_names,
        sandbox: notice.map(SandboxNotice::from),
    };
    structured(text_form(&output), output.sandbox.as_ref(), &output)
}

/// PID 1 sends no more excerpts than fit. This holds even if it does not.
fn fitting(excerpts: Vec<casemate_protocol::Excerpt>) -> Vec<EditExcerpt> {
    let mut bytes = 0;
    let mut fits = |excerpt: &casemate_protocol::Excerpt| {
        bytes += EXCERPT_OVERHEAD + excerpt.text.len();
        bytes <= EDIT_BYTES
    };
    let shown = excerpts.into_iter().take_while(&mut fits);
    let excerpt = |excerpt: casemate_protocol::Excerpt| EditExcerpt {
        start_line: excerpt.start_line,
        text: excerpt.text,
    };
    shown.map(excerpt).collect()
}

fn text_form(output: &EditOutput) -> String {
    let s = if output.replaced == 1 { "" } else { "s" };
    let mut text = format!(
        "edited {}: {} replacement{s} ({} bytes)",
        output.path, output.replaced, output.size
    );
    for EditExcerpt {
        start_line,
        text: lines,
    } in &output.excerpts
    {
        let lines = lines.strip_suffix('\n').unwrap_or(lines);
        text += &format!("\n[from line {start_line}]\n{lines}");
    }
    if output.not_shown > 0 {
        text += &format!("\n[{} more not shown]", output.not_shown);
    }
    if !output.encoding.is_empty() {
        text += &format!("\n[the file is {}; the edit kept that]", output.encoding);
    }
    if output.mixed_line_ends {
        text += "\n[some lines of the file end with CRLF now and some with LF]";
    }
    text += split_from(output.other_names).as_str();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_has_all_that_the_structure_has() {
        let excerpt = |start_line, text: &str| EditExcerpt {
            start_line,
            text: text.to_owned(),
        };
        let mut output = EditOutput {
            path: "a.txt".to_owned(),
            size: 9,
            replaced: 3,
            excerpts: vec![excerpt(1, "a\nb\n"), excerpt(7, "c")],
            not_shown: 1,
            encoding: "UTF-16LE".to_owned(),
            mixed_line_ends: true,
            other_names: 1,
            sandbox: None,
        };
        assert_eq!(
            text_form(&output),
            "edited a.txt: 3 replacements (9 bytes)\n[from line 1]\na\nb\n[from line 7]\nc\n\
             [1 more not shown]\n[the file is UTF-16LE; the edit kept that]\n\
             [some lines of the file end with CRLF now and some with LF]\n\
             [the file had 1 other name (hard links), which keeps the old content]"
        );
        output.encoding.clear();
        output.mixed_line_ends = false;
        output.other_names = 0;
        output.replaced = 1;
        output.not_shown = 0;
        output.excerpts.clear();
        assert_eq!(text_form(&output), "edited a.txt: 1 replacement (9 bytes)");
    }

    #[test]
    fn a_flood_of_excerpts_stays_below_the_limit_of_a_result() {
        // The characters that take the most bytes in JSON.
        let text = "\u{1}".repeat(4000);
        for (count, text) in [(1_000, text), (1_000_000, String::new())] {
            let excerpt = casemate_protocol::Excerpt {
                start_line: u64::MAX,
                text,
            };
            let edited = Edited {
                excerpts: vec![excerpt; count],
                ..Edited::default()
            };
            let path = "a.txt".parse().expect("a path");
            let result = done(edited, &path, None).expect("a result");
            let bytes = serde_json::to_string(&result).expect("json").len();
            assert!(bytes < crate::config::limits::RESULT_BYTES, "{bytes}");
        }
    }
}
