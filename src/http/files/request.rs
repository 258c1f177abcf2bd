//! What every request is parsed into: whose sandbox, which path, which parameters.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Files;
use super::error::Refused;
use crate::http::load::{Amount, Share};
use crate::identity::Principal;
use crate::sandbox::{Sandbox, Used};
use crate::tools::{Code, ToolError};
use crate::workspace::WorkspacePath;

/// The sandbox of the user that this one request's credential names.
#[derive(Debug)]
pub struct Caller {
    /// Theirs.
    pub sandbox: Sandbox,
    /// The end of the server waits for what is under way.
    _call: TaskTrackerToken,
    _share: Share,
}

impl FromRequestParts<Files> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, files: &Files) -> Result<Self, Refused> {
        let principal = parts.extensions.get::<Principal>().ok_or(Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            message: "the request has no caller.".to_owned(),
        })?;
        let user = &principal.user;
        let share = files.load.take(user, Amount::request(0)).ok_or(Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: Code::Busy.as_str(),
            message: "too many requests of yours are under way; wait for some to end.".to_owned(),
        })?;
        let sandbox = files.manager.sandbox(user);
        let sandbox = match parts.extensions.get::<Used>() {
            Some(used) => sandbox.noting(used),
            None => sandbox,
        };
        Ok(Self {
            sandbox,
            _call: files.manager.calls().token(),
            _share: share,
        })
    }
}

/// The path in the workspace that the request's own path names, behind
/// `/files/content/` or `/files/download/`.
#[derive(Debug)]
pub struct FilePath(pub WorkspacePath);

impl FromRequestParts<Files> for FilePath {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Files) -> Result<Self, Refused> {
        // "", "files", "content", and all the rest
        let rest = parts.uri.path().splitn(4, '/').nth(3).unwrap_or_default();
        workspace_path(&decoded(rest)?).map(Self)
    }
}

/// A path as a person writes it; nothing means the workspace itself.
pub fn workspace_path(text: &str) -> Result<WorkspacePath, Refused> {
    let text = if text.is_empty() { "." } else { text };
    text.parse().map_err(|error| ToolError::path(&error).into())
}

/// Each name of a path is decoded once and alone, so that none can become two, or a
/// step upwards.
fn decoded(path: &str) -> Result<String, Refused> {
    let names: Result<Vec<String>, Refused> = path.split('/').map(decoded_name).collect();
    Ok(names?.join("/"))
}

fn decoded_name(name: &str) -> Result<String, Refused> {
    let text = decoded_text(name)?;
    let hidden = text != name && matches!(text.as_str(), "." | "..");
    if hidden || text.contains(['/', '\0']) {
        return Err(Refused::bad(format!(
            "the path's part {name:?} stands for no name of a file: it hides a slash, a NUL or \
             dots behind %."
        )));
    }
    Ok(text)
}

fn decoded_text(text: &str) -> Result<String, Refused> {
    let mut escapes = text.split('%').skip(1);
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return Err(Refused::bad(
            "a % without two hexadecimal digits behind it; write % as %25.",
        ));
    }
    let text = percent_decode_str(text).decode_utf8();
    Ok(text
        .map_err(|_| Refused::bad("what stands behind % is not UTF-8."))?
        .into_owned())
}

/// The parameters behind `?`. An unknown one is refused.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Files> for Params<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Files) -> Result<Self, Refused> {
        params(&parts.uri).map(Self)
    }
}

fn params<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refused> {
    // The parser replaces what is not UTF-8, and would so name another file.
    decoded_text(uri.query().unwrap_or_default())?;
    let Query(params) = Query::try_from_uri(uri)
        .map_err(|error| Refused::bad(format!("{}.", error.body_text())))?;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

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
            ("", ""),
        ] {
            assert_eq!(decoded(path).as_deref(), Ok(text), "{path}");
        }
    }

    #[test]
    fn what_hides_another_path_behind_an_escape_is_refused() {
        for path in [
            "a%2Fb", "a%2fb", "%00", "a%00b", "%2e%2e/a", "%2E.", ".%2e", "%2e", "%ff", "%C3", "%",
            "%4", "%zz", "%+1",
        ] {
            let refused = decoded(path).expect_err(path);
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
            assert_eq!(refused.code, "invalid_argument");
        }
    }

    #[test]
    fn what_leads_out_is_forbidden_and_nothing_is_the_workspace() {
        for path in ["..", "../../etc/passwd", "/etc/passwd", "a/../../b"] {
            let refused = workspace_path(path).expect_err(path);
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        }
        let root = workspace_path("").expect("a path");
        assert_eq!((root.as_str(), root.names_directory()), ("", true));
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Known {
        #[serde(default)]
        path: String,
    }

    #[test]
    fn parameters_are_text_and_known() {
        let of = |uri: &'static str| params::<Known>(&Uri::from_static(uri)).map(|p| p.path);
        assert_eq!(of("/files/list").as_deref(), Ok(""));
        assert_eq!(of("/files/list?path=a%20b+c%2Fd").as_deref(), Ok("a b c/d"));
        for uri in ["/?path=%ff", "/?pth=a", "/?path=%", "/?path=a&path=b"] {
            assert_eq!(of(uri).expect_err(uri).status, StatusCode::BAD_REQUEST);
        }
    }
}
