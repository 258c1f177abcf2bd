//! Files that are not text: images for the model, and a hint for the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casemate_protocol::{ReadBytesReply, ReadBytesRequest, image_type};
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::json;

use super::{done, noted, with_facts};
use crate::api::{Code, ToolError, rfc3339};
use crate::config::limits::IMAGE_BYTES;
use crate::sandbox::{Answer, Sandbox};
use crate::tools::result;
use crate::workspace::ReadPath;

/// The file as an image.
pub(super) async fn read(sandbox: &Sandbox, path: &ReadPath) -> Result<CallToolResult, ToolError> {
    let request = ReadBytesRequest {
        path: path.to_bytes(),
        offset: 0,
        length: IMAGE_BYTES,
    };
    let Answer { value, notice } = done(sandbox.read_bytes(request).await, path)?;
    let kind = match shown_as(&value, path) {
        Ok(kind) => kind,
        // A notice belongs to this result too.
        Err(error) => return Ok(noted(result::of_error(&error), notice)),
    };
    let facts = json!({
        "path": path.to_string(), "size": value.size, "modified": rfc3339(value.modified_ms),
        "mime_type": kind,
    });
    let content = vec![
        ContentBlock::image(STANDARD.encode(&value.data), kind),
        ContentBlock::text(format!("[{path}: {kind}, {} bytes]", value.size)),
    ];
    Ok(with_facts(content, notice, facts))
}

/// The media type to show it as.
fn shown_as(reply: &ReadBytesReply, path: &ReadPath) -> Result<&'static str, ToolError> {
    let size = reply.size;
    let Some(kind) = image_type(&reply.data) else {
        let sentence = format!(
            "\"{path}\" ({size} bytes) is not text, at least not in these lines. Read it with \
             encoding \"base64\", or look at it with shell_exec (file, strings, od)."
        );
        return Err(ToolError::new(Code::NotText, sentence));
    };
    if size > u64::from(IMAGE_BYTES) {
        let sentence = format!(
            "\"{path}\" is an image ({kind}) of {size} bytes; up to {IMAGE_BYTES} can be shown. Make \
             a smaller copy with shell_exec, where the sandbox has a program for it (convert \
             -resize 1024x, or Python with Pillow), and read that, or have the user download it."
        );
        return Err(ToolError::new(Code::TooLarge, sentence));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn kind(data: &'static [u8], size: u64) -> Result<&'static str, ToolError> {
        let reply = ReadBytesReply {
            data: Bytes::from_static(data),
            size,
            modified_ms: 0,
            version: 0,
        };
        shown_as(
            &reply,
            &ReadPath::parse("a.txt", std::iter::empty()).expect("a path"),
        )
    }

    #[test]
    fn an_image_is_known_by_its_first_bytes_and_has_a_bound() {
        assert_eq!(kind(b"GIF89a", 700_000), Ok("image/gif"));
        let large = kind(b"GIF89a", 700_001).expect_err("too large");
        assert_eq!(large.code, Code::TooLarge);
        assert!(large.sentence.contains("700001") && large.sentence.contains("shell_exec"));
        let binary = kind(b"\x7fELF", 4).expect_err("no image");
        assert_eq!(binary.code, Code::NotText);
        assert!(binary.sentence.contains("base64"));
    }
}
