//! Why a preview shows nothing. A stranger may ask: no text names a user or a path.

use std::time::SystemTime;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use casemate_protocol::FailureExt as _;
use casemate_protocol::failure::Code;

use super::pages::{self, Message};
use crate::http::files::FileRejection;
use crate::http::shared::LinkRefusal;
use crate::sandbox::{EndTime, ObservedEnd, SandboxError};

/// Seconds after which what is busy may be asked again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// The link of a port is for one container.
const ASK_AGAIN: &str = "Ask for it to be started again, and for a new link.";

/// Why a request to the host of a preview is not answered.
#[derive(Debug)]
pub enum PreviewRefusal {
    /// No cookie, a wrong one, a share that has ended, a page of another origin: always the same.
    Gone,
    /// The files have changed since they were shared.
    Changed,
    /// The request has a credential of this deployment.
    Credential,
    /// Nothing listens, and did not before.
    NotListening(u16),
    /// The container or the program is gone.
    Ended(Option<ObservedEnd>),
    /// The sandbox has stopped, and this browser shows no group to start one for.
    Asleep,
    /// The program does not speak HTTP, or broke off before the head of its answer.
    Broken,
    /// It has not begun to answer in time.
    Silent,
    /// Too many connections.
    Busy,
    /// The sandbox or the Engine cannot be reached now.
    Later,
}

impl PreviewRefusal {
    /// What went wrong is in the log, and not in the answer.
    pub fn later(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error, "a preview could not be shown");
        Self::Later
    }

    /// In audit and metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::NotListening(_) => "not_listening",
            Self::Ended(_) => "ended",
            Self::Busy => "busy",
            _ => "failed",
        }
    }
}

/// Says what ended, when, as far as that is known, and how to go on.
fn end_text(end: Option<ObservedEnd>) -> String {
    match end {
        Some(ObservedEnd::Program(end)) => {
            let when = end_time(&end);
            format!("It ended {when}. Ask for it to be started again, then reload this page.")
        }
        Some(ObservedEnd::ProgramAndContainer(end)) => {
            format!("It ended {}. {ASK_AGAIN}", end_time(&end))
        }
        Some(ObservedEnd::Container(Some(at))) => {
            let at = time_of_day(at);
            format!("It ended with its sandbox at {at} UTC. {ASK_AGAIN}")
        }
        Some(ObservedEnd::Container(None)) | None => {
            format!("It ended with its sandbox. {ASK_AGAIN}")
        }
    }
}

fn end_time(EndTime { after, before }: &EndTime) -> String {
    let (after, before) = (time_of_day(*after), time_of_day(*before));
    match after == before {
        true => format!("at {before} UTC"),
        false => format!("between {after} and {before} UTC"),
    }
}

/// Hour and minute. An end that is shown is some hours old at most.
fn time_of_day(at: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    // `2026-01-02T14:02:30Z`
    text.get(11..16).unwrap_or_default().to_owned()
}

impl From<SandboxError> for PreviewRefusal {
    fn from(error: SandboxError) -> Self {
        match &error {
            SandboxError::Failed(failure) if failure.code() == Code::Ending => Self::Ended(None),
            SandboxError::Failed(failure) if failure.code() == Code::Busy => Self::Busy,
            SandboxError::Failed(failure) => {
                tracing::debug!(reason = %failure.text(), "a preview could not be shown");
                Self::Later
            }
            error if error.may_be_an_end() => Self::Ended(None),
            error => Self::later(error),
        }
    }
}

impl From<LinkRefusal> for PreviewRefusal {
    fn from(refusal: LinkRefusal) -> Self {
        match refusal {
            LinkRefusal::Gone => Self::Gone,
            LinkRefusal::Asleep => Self::Asleep,
            _ => Self::Later,
        }
    }
}

impl From<FileRejection> for PreviewRefusal {
    fn from(rejection: FileRejection) -> Self {
        match LinkRefusal::from(rejection) {
            LinkRefusal::Changed => Self::Changed,
            _ => Self::Later,
        }
    }
}

impl IntoResponse for PreviewRefusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Gone => return pages::not_found(),
            Self::Changed => (
                StatusCode::NOT_FOUND,
                Message::plain(
                    "This has changed since it was shared",
                    "Ask for a new link to see it as it is now.",
                ),
            ),
            Self::Credential => (
                StatusCode::BAD_REQUEST,
                Message::plain(
                    "This request was stopped",
                    "It has an access token of the server that runs this sandbox. The application \
                     in the sandbox must not get it.",
                ),
            ),
            Self::NotListening(port) => (StatusCode::BAD_GATEWAY, Message::waiting(port)),
            Self::Ended(end) => (
                StatusCode::BAD_GATEWAY,
                Message::plain("The application has ended", end_text(end)),
            ),
            Self::Asleep => (
                StatusCode::FORBIDDEN,
                Message::plain(
                    "The sandbox of this page has stopped",
                    "This link cannot start it. Ask the model to run something in the sandbox, then \
                     reload this page, or ask for a new link.",
                ),
            ),
            Self::Broken => (
                StatusCode::BAD_GATEWAY,
                Message::plain(
                    "The application did not answer as a web server does",
                    "It may have failed at this request. Ask for its output to be looked at.",
                ),
            ),
            Self::Silent => (
                StatusCode::GATEWAY_TIMEOUT,
                Message::plain(
                    "The application does not answer",
                    "It may be busy, or wait for something. Reload the page to ask again.",
                ),
            ),
            Self::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                Message::plain(
                    "Too many connections to this user\u{2019}s applications",
                    "Close other tabs that show them, or try again in a moment.",
                ),
            ),
            Self::Later => (
                StatusCode::SERVICE_UNAVAILABLE,
                Message::plain(
                    "The sandbox cannot be reached now",
                    "Try again in a moment.",
                ),
            ),
        };
        let mut response = (status, message).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn an_end_has_its_time_as_far_as_it_is_known() {
        // 2026-01-02T14:02:00Z
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_767_362_520 + seconds);
        let program = |after, before| {
            let (after, before) = (at(after), at(before));
            end_text(Some(ObservedEnd::Program(EndTime { after, before })))
        };
        let same = program(0, 59);
        assert!(
            same.starts_with("It ended at 14:02 UTC. Ask for it to be"),
            "{same}"
        );
        assert!(!same.contains("new link"), "the link is still good: {same}");
        let between = program(0, 60 * 60);
        assert!(between.contains("between 14:02 and 15:02 UTC"), "{between}");
        let container = end_text(Some(ObservedEnd::Container(Some(at(61)))));
        assert!(
            container.contains("with its sandbox at 14:03 UTC"),
            "{container}"
        );
        for unknown in [None, Some(ObservedEnd::Container(None))] {
            let text = end_text(unknown);
            assert!(!text.contains("UTC") && text.contains("new link"), "{text}");
        }
    }
}
