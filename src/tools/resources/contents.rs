//! `resources/read`: a file, whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use rmcp::model::{ReadResourceResult, ResourceContents};

use super::uri;
use crate::api::{Code, ToolError};
use crate::config::limits::RESOURCE_BYTES;
use crate::identity::WorkspaceId;
use crate::sandbox::Sandbox;
use crate::workspace::{BYTES, WorkspacePath, media_type};

/// What the name of a file says about its type.
pub fn mime_type(path: &WorkspacePath) -> &'static str {
    media_type(path.as_bytes()).unwrap_or(BYTES)
}

/// The file that a URI names, up to 3 MiB of it.
///
/// # Errors
/// Those of `read_file`, and `too_large`.
pub async fn read(
    sandbox: &Sandbox,
    workspace: &WorkspaceId,
    uri: &str,
) -> Result<ReadResourceResult, ToolError> {
    let path = uri::file(workspace, uri)?;
    let failed = |error| ToolError::sandbox(&error, &format!("\"{path}\""));
    let stat = sandbox.stat(path.to_bytes()).await.map_err(failed)?;
    if stat.is_dir {
        let sentence = format!("\"{path}\" is a directory. Use list_files for it.");
        return Err(ToolError::new(Code::IsDirectory, sentence));
    }
    check_size(&path, stat.size)?;
    let download = sandbox.download(path.to_bytes(), 0, None).await;
    let mut download = download.map_err(failed)?;
    // It may have grown by now. No more than this is ever sent, or held.
    check_size(&path, download.stat.size)?;
    let mut content = BytesMut::new();
    while let Some(chunk) = download.content.try_next().await.map_err(failed)? {
        content.extend_from_slice(&chunk);
    }
    let content = of_bytes(workspace, &path, content.into());
    Ok(ReadResourceResult::new(vec![content]))
}

fn check_size(path: &WorkspacePath, size: u64) -> Result<(), ToolError> {
    if size <= RESOURCE_BYTES {
        return Ok(());
    }
    let sentence = format!(
        "\"{path}\" has {size} bytes; a resource has {RESOURCE_BYTES} at most. Read a part of it with \
         read_file, or share it and open its link."
    );
    Err(ToolError::new(Code::TooLarge, sentence))
}

/// As text if it is one.
fn of_bytes(workspace: &WorkspaceId, path: &WorkspacePath, content: Vec<u8>) -> ResourceContents {
    let uri = uri::of_path(workspace, path);
    let named = media_type(path.as_bytes());
    match String::from_utf8(content) {
        Ok(text) if !text.contains('\0') => {
            ResourceContents::text(text, uri).with_mime_type(named.unwrap_or("text/plain"))
        }
        Ok(text) => blob(text.as_bytes(), uri, named),
        Err(error) => blob(error.as_bytes(), uri, named),
    }
}

fn blob(content: &[u8], uri: String, named: Option<&'static str>) -> ResourceContents {
    ResourceContents::blob(STANDARD.encode(content), uri).with_mime_type(named.unwrap_or(BYTES))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_text_and_everything_else_is_base64() {
        let user = crate::identity::User::local("ada".parse().expect("a subject"));
        let workspace = WorkspaceId::from(user);
        let of = |path: &str, content: &[u8]| {
            let path = path.parse().expect("a path");
            let content = of_bytes(&workspace, &path, content.to_vec());
            serde_json::to_value(content).expect("JSON")
        };
        assert_eq!(
            of("a.csv", b"x,y\n"),
            json!({ "uri": "casemate:///a.csv", "mimeType": "text/csv", "text": "x,y\n" })
        );
        assert_eq!(of("Makefile", "ä".as_bytes())["mimeType"], "text/plain");
        assert_eq!(of("empty", b"")["text"], "");
        let bytes = json!({
            "uri": "casemate:///a", "mimeType": "application/octet-stream", "blob": "AP8=",
        });
        assert_eq!(of("a", b"\0\xff"), bytes);
        assert_eq!(of("a.txt", b"a\0b")["blob"], "YQBi");
        assert_eq!(of("a.png", b"\x89PNG")["mimeType"], "image/png");
    }
}
