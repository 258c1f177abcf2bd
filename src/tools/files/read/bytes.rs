//! Bytes as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casemate_protocol::{ReadBytesReply, ReadBytesRequest};
use rmcp::model::CallToolResult;
use serde_json::json;

use super::{done, plain};
use crate::api::{ToolError, rfc3339};
use crate::config::limits::READ_BASE64_BYTES;
use crate::sandbox::{Answer, Sandbox};
use crate::workspace::ReadPath;

/// Bytes from `offset` on.
pub(super) async fn read(
    sandbox: &Sandbox,
    path: &ReadPath,
    offset: u64,
) -> Result<CallToolResult, ToolError> {
    let request = ReadBytesRequest {
        path: path.to_bytes(),
        offset,
        length: READ_BASE64_BYTES,
    };
    let Answer { value, notice } = done(sandbox.read_bytes(request).await, path)?;
    let facts = json!({
        "path": path.to_string(), "size": value.size, "modified": rfc3339(value.modified_ms),
        "encoding": "base64", "offset": offset, "length": value.data.len(),
    });
    Ok(plain(base64_form(&value, offset), notice, facts))
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

    #[test]
    fn bytes_say_which_and_how_to_go_on() {
        let reply = |data: &'static [u8], size| ReadBytesReply {
            data: Bytes::from_static(data),
            size,
            modified_ms: 0,
            version: 0,
        };
        assert_eq!(base64_form(&reply(b"abc", 3), 0), "YWJj");
        let part = base64_form(&reply(b"abc", 9), 3);
        assert_eq!(part, "YWJj\n[bytes 3-5 of 9; next: offset=6]");
        assert_eq!(base64_form(&reply(b"", 0), 0), "[the file is empty]");
        let beyond = base64_form(&reply(b"", 9), 9);
        assert_eq!(beyond, "[offset 9 is beyond the end; the file has 9 bytes]");
    }
}
