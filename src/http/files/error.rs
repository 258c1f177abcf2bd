//! Errors of requests: the tools' codes and sentences, as HTTP.

use axum::Extension;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::{Code, ToolError, subject_of};
use crate::http::failure::failure;
use crate::sandbox::SandboxError;
use crate::workspace::WorkspacePath;

/// Seconds after which a request may be repeated.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// An error as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRejection {
    /// For HTTP.
    pub status: StatusCode,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl FileRejection {
    /// A wrong request.
    pub fn bad(message: impl Into<String>) -> Self {
        ToolError::new(Code::InvalidArgument, message).into()
    }

    /// The user already has the maximum number of requests under way.
    pub fn too_many_requests() -> Self {
        let sentence = "too many requests of yours are under way; wait for some to end.";
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..ToolError::new(Code::Busy, sentence).into()
        }
    }

    /// A code of the tools, about `path`.
    pub fn about(code: Code, path: &WorkspacePath, problem: &str) -> Self {
        ToolError::new(code, format!("\"{path}\" {problem}")).into()
    }

    /// A condition of the request does not hold.
    pub fn precondition(path: &WorkspacePath) -> Self {
        Self {
            status: StatusCode::PRECONDITION_FAILED,
            code: "precondition_failed",
            message: format!("\"{path}\" does not match the request's conditions."),
        }
    }

    /// An error of the sandbox about `path`, in sentences that name no tool.
    pub fn sandbox(error: &SandboxError, path: &WorkspacePath) -> Self {
        let path = format!("\"{path}\"");
        let ToolError { code, sentence } = ToolError::sandbox(error, &path);
        let subject = subject_of(error, &path);
        let of_one = matches!(error, SandboxError::Failed(failure) if failure.stored == 0);
        let message = match code {
            Code::NotFound if of_one => format!("{subject} does not exist."),
            Code::IsDirectory if of_one => format!("{subject} is a directory."),
            Code::Exists if of_one => format!("{subject} already exists."),
            _ => sentence,
        };
        ToolError::new(code, message).into()
    }
}

impl From<ToolError> for FileRejection {
    fn from(error: ToolError) -> Self {
        Self {
            status: status(error.code),
            code: error.code.as_str(),
            message: error.sentence,
        }
    }
}

impl IntoResponse for FileRejection {
    fn into_response(self) -> Response {
        let body = failure(self.code, &self.message);
        let mut headers = HeaderMap::new();
        let later = [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        if later.contains(&self.status) {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        let said = Extension(ErrorCodeExt(self.code));
        (self.status, headers, said, body).into_response()
    }
}

/// The error code of an answer, in its extensions, for the audit.
#[derive(Debug, Clone, Copy)]
pub struct ErrorCodeExt(pub &'static str);

/// The status of each code. 503 is for errors that may be over when the request is repeated;
/// `uncertain` is 500, because clients repeat a 503 on their own.
fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::BadCwd => StatusCode::BAD_REQUEST,
        Code::OutsideWorkspace | Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::IsDirectory
        | Code::NotDirectory
        | Code::NotRegular
        | Code::Exists
        | Code::TooManyWorkspaces
        | Code::Changed => StatusCode::CONFLICT,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::NoMatch | Code::SeveralMatches | Code::NotText | Code::NoShell => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        Code::Busy
        | Code::TooManyProcesses
        | Code::ResourceExhausted
        | Code::NotStarted
        | Code::EngineUnavailable
        | Code::EngineError
        | Code::ImageMissing
        | Code::ImageUnusable
        | Code::ImagePreparing
        | Code::SandboxUnavailable
        | Code::WorkspaceUnusable
        | Code::Foreign
        | Code::GroupChanged
        | Code::ServerEnding
        | Code::AuditUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Uncertain | Code::Unrecorded | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status_and_only_a_503_says_when_to_come_again() {
        let table = [
            (400, "invalid_argument bad_cwd"),
            (403, "outside_workspace permission_denied"),
            (404, "not_found"),
            (408, "cancelled"),
            (
                409,
                "is_directory not_directory not_regular exists changed too_many_workspaces",
            ),
            (413, "too_large"),
            (422, "no_match several_matches not_text no_shell"),
            (500, "uncertain unrecorded internal"),
            (
                503,
                "busy too_many_processes resource_exhausted not_started engine_unavailable engine_error image_missing \
                 image_unusable image_preparing sandbox_unavailable workspace_unusable foreign \
                 group_changed server_ending audit_unavailable",
            ),
            (507, "no_space"),
        ];
        for &code in Code::ALL {
            let (wanted, _) = table
                .iter()
                .find(|(_, codes)| codes.split_whitespace().any(|name| name == code.as_str()))
                .unwrap_or_else(|| panic!("no row for {code:?}"));
            let response = FileRejection::from(ToolError::new(code, "")).into_response();
            assert_eq!(response.status().as_u16(), *wanted, "{code:?}");
            let says = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(says, *wanted == 503, "{code:?}");
        }
    }

    #[test]
    fn the_page_has_every_code_with_its_status() {
        let page = include_str!("../../../docs/errors.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let told: Vec<(&str, &str)> = rows
            .map(|row| {
                let (code, rest) = row.split_once("` | ").expect("a code");
                (code, rest.split(" | ").next().expect("a status"))
            })
            .collect();
        for &code in Code::ALL {
            let status = status(code).as_str().to_owned();
            let row = (code.as_str(), status.as_str());
            assert_eq!(told.iter().filter(|it| **it == row).count(), 1, "{row:?}");
        }
        assert_eq!(told.len(), Code::ALL.len());
    }
}
