//! The file tools, and the parts that they share.

pub mod edit;
pub mod list;
pub mod read;
mod twin;
pub mod write;

use std::fmt::Display;

use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde::Serialize;

use crate::api::SandboxNotice;
use crate::api::{Code, ToolError};
use crate::sandbox::{Answer, Notice, Sandbox, SandboxError};
use crate::workspace::{ReadPath, WorkspacePath};

pub(super) fn path(text: &str) -> Result<WorkspacePath, ToolError> {
    text.parse().map_err(|error| ToolError::path(&error))
}

/// A path in the workspace, or in shared data.
fn path_to_read(sandbox: &Sandbox, text: &str) -> Result<ReadPath, ToolError> {
    ReadPath::parse(text, sandbox.shared()).map_err(|error| ToolError::path(&error))
}

/// As [`path_to_read`], of a file.
fn file_to_read(sandbox: &Sandbox, text: &str) -> Result<ReadPath, ToolError> {
    let path = path_to_read(sandbox, text)?;
    match path.names_directory() {
        true => Err(names_directory(&path)),
        false => Ok(path),
    }
}

/// A path that can name a file, and is in no shared data.
fn file_to_change(sandbox: &Sandbox, text: &str) -> Result<WorkspacePath, ToolError> {
    match ReadPath::parse(text, sandbox.shared()) {
        Ok(path) if path.is_shared() => {
            let sentence = format!(
                "\"{path}\" is in shared data, which is read-only. Copy it to /workspace with \
                 shell_exec, and change the copy."
            );
            Err(ToolError::new(Code::PermissionDenied, sentence))
        }
        _ => file(text),
    }
}

/// A path that can name a file.
fn file(text: &str) -> Result<WorkspacePath, ToolError> {
    let path = path(text)?;
    if path.names_directory() {
        return Err(names_directory(&path));
    }
    Ok(path)
}

fn names_directory(path: &impl Display) -> ToolError {
    let sentence = format!("\"{path}\" names a directory; give the path of a file.");
    ToolError::new(Code::IsDirectory, sentence)
}

fn done<T>(
    answer: Result<Answer<T>, SandboxError>,
    path: &impl Display,
) -> Result<Answer<T>, ToolError> {
    answer.map_err(|error| ToolError::sandbox(&error, &format!("\"{path}\"")))
}

/// A result whose text and structure say the same.
pub(super) fn structured(
    mut text: String,
    notice: Option<&SandboxNotice>,
    output: &impl Serialize,
) -> Result<CallToolResult, ToolError> {
    if let Some(notice) = notice {
        text = format!("{text}\n{}", notice.lines().join("\n"));
    }
    let value = serde_json::to_value(output)
        .map_err(|error| ToolError::new(Code::Internal, format!("the result: {error}.")))?;
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(value);
    Ok(result)
}

/// A result of text alone, with the file's metadata in `_meta`.
fn plain(text: String, notice: Option<Notice>, facts: serde_json::Value) -> CallToolResult {
    with_facts(vec![ContentBlock::text(text)], notice, facts)
}

/// A result without structure, with the file's metadata in `_meta`.
fn with_facts(
    content: Vec<ContentBlock>,
    notice: Option<Notice>,
    facts: serde_json::Value,
) -> CallToolResult {
    let mut meta = MetaObject::new();
    meta.insert("io.casemate/file".to_owned(), facts);
    let mut result = CallToolResult::success(content);
    result.meta = Some(meta);
    noted(result, notice)
}

/// A result with the notice as a separate text.
fn noted(mut result: CallToolResult, notice: Option<Notice>) -> CallToolResult {
    if let Some(notice) = notice {
        let lines = SandboxNotice::from(notice).lines();
        result.content.push(ContentBlock::text(lines.join("\n")));
    }
    result
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A line about the other names of a file that was changed; empty where it had none.
fn split_from(other_names: u64) -> String {
    let (s, keep) = if other_names == 1 {
        ("", "keeps")
    } else {
        ("s", "keep")
    };
    match other_names {
        0 => String::new(),
        count => format!(
            "\n[the file had {count} other name{s} (hard links), which {keep} the old content]"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
