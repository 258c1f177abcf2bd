//! Why a link does not open. A stranger may have the link, so the texts name neither the user nor
//! the path.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::loads::LinkBusy;
use crate::api::ToolError;
use crate::engine::EngineError;
use crate::http::auth::{AuthRejection, reject_body};
use crate::http::failure::failure;
use crate::http::files::FileRejection;
use crate::sandbox::SandboxError;

/// Seconds after which a busy link may be opened again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// For a person with the link of a user who has to sign in.
const SIGN_IN: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Casemate\
    </title>\n<p>This link opens for the user who shared it. <a href=\"/\">Sign in</a>, then open the \
    link again.</p>\n";

/// Why a link does not open.
#[derive(Debug)]
pub enum LinkRefusal {
    /// It is wrong, over, ended, or another user's.
    Gone,
    /// Its sandbox has stopped, and the group to start one for is in the user's credential alone.
    Asleep,
    /// The content is not the one that was shared.
    Changed,
    /// Only its user may open it, and the request is not signed in.
    SignIn,
    /// The token of the request is not accepted.
    Credential(AuthRejection),
    /// It costs too much now.
    Busy(LinkBusy),
    /// An archive was asked for, and it is a file.
    NoArchive,
    /// A wrong request, or a condition of it that does not hold.
    Request(FileRejection),
    /// It has no such bytes; with the header that says how many there are.
    Unsatisfiable(Option<HeaderValue>),
    /// The content cannot be sent now.
    Later(StatusCode),
}

impl From<LinkBusy> for LinkRefusal {
    fn from(busy: LinkBusy) -> Self {
        Self::Busy(busy)
    }
}

impl From<EngineError> for LinkRefusal {
    fn from(error: EngineError) -> Self {
        FileRejection::from(ToolError::engine(&error)).into()
    }
}

impl From<SandboxError> for LinkRefusal {
    fn from(error: SandboxError) -> Self {
        FileRejection::from(ToolError::sandbox(&error, "the share")).into()
    }
}

impl From<FileRejection> for LinkRefusal {
    /// The visitor does not learn why the path cannot be read: for the link, the content has changed.
    fn from(rejection: FileRejection) -> Self {
        match rejection.status {
            StatusCode::NOT_FOUND
            | StatusCode::FORBIDDEN
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE => Self::Changed,
            StatusCode::BAD_REQUEST => Self::Request(rejection),
            StatusCode::PRECONDITION_FAILED => Self::Request(FileRejection {
                message: "the content does not match the request's conditions.".to_owned(),
                ..rejection
            }),
            status => Self::Later(status),
        }
    }
}

impl IntoResponse for LinkRefusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::Gone | Self::Asleep => (
                StatusCode::NOT_FOUND,
                "not_found",
                "there is nothing at this link: it is wrong, or it has ended.",
            ),
            Self::Changed => (
                StatusCode::NOT_FOUND,
                "changed",
                "the content has changed since it was shared, or is gone; ask for a new link.",
            ),
            Self::SignIn => return sign_in(),
            Self::Credential(rejection) => return reject_body(&rejection),
            Self::Busy(LinkBusy::Open) => (
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                "many people open this link now; try again in a moment.",
            ),
            Self::Busy(LinkBusy::Woken) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "the content cannot be sent now; try again in a moment.",
            ),
            Self::NoArchive => (
                StatusCode::BAD_REQUEST,
                "invalid_argument",
                "`format` is for directories; a file comes as it is.",
            ),
            Self::Request(rejection) => return rejection.into_response(),
            Self::Unsatisfiable(range) => return unsatisfiable(range),
            Self::Later(status) => (
                status,
                "unavailable",
                "the content cannot be sent now; try again later.",
            ),
        };
        let mut response = (status, failure(code, message)).into_response();
        if [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ]
        .contains(&status)
        {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

fn unsatisfiable(range: Option<HeaderValue>) -> Response {
    let body = failure("range_not_satisfiable", "the content has no such bytes.");
    let mut response = (StatusCode::RANGE_NOT_SATISFIABLE, body).into_response();
    if let Some(range) = range {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// No challenge: a browser would ask for a name and a password.
fn sign_in() -> Response {
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (StatusCode::FORBIDDEN, html, SIGN_IN).into_response()
}
