//! The parts of every request: the user's sandbox and the path.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Files;
use super::error::FileRejection;
use crate::api::ToolError;
use crate::http::quotas::{QuotaPermit, QuotaUsage};
use crate::identity::Principal;
use crate::sandbox::{LastContainer, Sandbox};
use crate::workspace::WorkspacePath;

/// The user of this request, by its credential.
#[derive(Debug)]
pub struct Caller {
    /// The user's sandbox.
    pub sandbox: Sandbox,
    /// The server waits for requests under way when it ends.
    _call: TaskTrackerToken,
    _permit: QuotaPermit,
}

impl FromRequestParts<Files> for Caller {
    type Rejection = FileRejection;

    async fn from_request_parts(parts: &mut Parts, files: &Files) -> Result<Self, FileRejection> {
        let principal = parts
            .extensions
            .get::<Principal>()
            .ok_or_else(|| FileRejection {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                code: "internal",
                message: "the request has no caller.".to_owned(),
            })?;
        let identity = &principal.identity;
        let permit = files
            .quotas
            .take(&identity.user, QuotaUsage::request(0))
            .ok_or_else(FileRejection::too_many_requests)?;
        let sandbox = files.manager.sandbox(identity);
        let sandbox = match parts.extensions.get::<LastContainer>() {
            Some(used) => sandbox.with_last_container(used),
            None => sandbox,
        };
        Ok(Self {
            sandbox,
            _call: files.manager.calls().token(),
            _permit: permit,
        })
    }
}

/// The path in the workspace that the request's path names, after `/files/content/` or
/// `/files/download/`.
#[derive(Debug)]
pub struct FilePath(pub WorkspacePath);

impl FromRequestParts<Files> for FilePath {
    type Rejection = FileRejection;

    async fn from_request_parts(parts: &mut Parts, _: &Files) -> Result<Self, FileRejection> {
        // "", "files", "content", and all the rest
        let rest = parts.uri.path().splitn(4, '/').nth(3).unwrap_or_default();
        workspace_path(&decoded(rest)?).map(Self)
    }
}

/// A path as a person writes it; nothing means the workspace itself.
pub fn workspace_path(path: &[u8]) -> Result<WorkspacePath, FileRejection> {
    let path = if path.is_empty() { b"." } else { path };
    WorkspacePath::of_bytes(path).map_err(|error| ToolError::path(&error).into())
}

/// Each name of a path is decoded once and separately, so that no name can become two, or `..`.
/// Names are any bytes.
fn decoded(path: &str) -> Result<Vec<u8>, FileRejection> {
    let names: Result<Vec<Vec<u8>>, FileRejection> = path.split('/').map(decoded_name).collect();
    Ok(names?.join(&b'/'))
}

fn decoded_name(name: &str) -> Result<Vec<u8>, FileRejection> {
    escapes_are_whole(name)?;
    let decoded: Vec<u8> = percent_decode_str(name).collect();
    let hidden = decoded != name.as_bytes() && matches!(&decoded[..], b"." | b"..");
    if hidden || decoded.contains(&b'/') || decoded.contains(&0) {
        return Err(FileRejection::bad(format!(
            "the path's part {name:?} stands for no name of a file: it hides a slash, a NUL or \
             dots after %."
        )));
    }
    Ok(decoded)
}

/// # Errors
/// A `%` that escapes nothing.
pub fn escapes_are_whole(text: &str) -> Result<(), FileRejection> {
    let mut escapes = text.split('%').skip(1);
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return Err(FileRejection::bad(
            "a % without two hexadecimal digits after it; write % as %25.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_exactly_once() {
        for (path, text) in [
            ("a/b.txt", "a/b.txt"),
            ("a%20b", "a b"),
            ("100%25", "100%"),
            ("%2525", "%25"),
            ("a+b", "a+b"),
            ("%E6%97%A5", "日"),
            ("a%0Ab%22", "a\nb\""),
            ("a/", "a/"),
            ("caf%5Cxe9", r"caf\xe9"),
            ("", ""),
        ] {
            assert_eq!(decoded(path).as_deref(), Ok(text.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_name_is_any_bytes() {
        assert_eq!(decoded("caf%E9/%ff").as_deref(), Ok(&b"caf\xe9/\xff"[..]));
    }

    #[test]
    fn what_hides_another_path_behind_an_escape_is_refused() {
        for path in [
            "a%2Fb", "a%2fb", "%00", "a%00b", "%2e%2e/a", "%2E.", ".%2e", "%2e", "%", "%4", "%zz",
            "%+1",
        ] {
            let refused = decoded(path).expect_err(path);
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
            assert_eq!(refused.code, "invalid_argument");
        }
    }

    #[test]
    fn what_leads_out_is_forbidden_and_nothing_is_the_workspace() {
        for path in ["..", "../../etc/passwd", "/etc/passwd", "a/../../b"] {
            let refused = workspace_path(path.as_bytes()).expect_err(path);
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        }
        let root = workspace_path(b"").expect("a path");
        assert_eq!((root.as_bytes(), root.names_directory()), (&b""[..], true));
    }
}
