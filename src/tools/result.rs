//! Results in the form of MCP.

use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde_json::json;

use crate::api::{CommandResult, ToolError};
use crate::sandbox::{Answer, ExecReport};

/// The result of a command; `timeout` is the command's own, in seconds.
pub fn of_command(answer: Answer<ExecReport>, timeout: u32) -> CallToolResult {
    let output = CommandResult::from(answer);
    let mut result = CallToolResult::success(vec![ContentBlock::text(output.text(timeout))]);
    result.structured_content = serde_json::to_value(&output).ok();
    result.is_error = Some(output.is_error());
    result
}

/// The result that carries an error: the whole error as text, its code in `_meta`.
pub fn of_error(error: &ToolError) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(error.to_string())]);
    let mut meta = MetaObject::new();
    meta.insert(
        "io.casemate/error".to_owned(),
        json!({ "code": error.code.as_str() }),
    );
    result.meta = Some(meta);
    result
}

/// The label of a call in the metrics: the outcome of a command, the code of an error, or `ok`.
pub fn counted(result: &Result<CallToolResult, ToolError>) -> &str {
    match result {
        Err(error) => error.code.as_str(),
        Ok(result) => {
            let structured = result.structured_content.as_ref();
            let outcome = structured.and_then(|value| value.get("outcome")?.as_str());
            outcome.unwrap_or("ok")
        }
    }
}

/// Some model APIs refuse a text block without a visible character: such a block gets a text.
pub fn never_blank(result: &mut CallToolResult) {
    for block in &mut result.content {
        if let ContentBlock::Text(text) = block
            && text.text.trim().is_empty()
        {
            let said = if text.text.is_empty() {
                "[no output]"
            } else {
                "[only white space]"
            };
            text.text.push_str(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_block_is_blank() {
        for (text, wanted) in [
            ("", "[no output]"),
            (" \n", " \n[only white space]"),
            ("a", "a"),
        ] {
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            never_blank(&mut result);
            let shown = serde_json::to_value(&result).expect("JSON");
            assert_eq!(shown["content"][0]["text"], wanted);
        }
    }
}
