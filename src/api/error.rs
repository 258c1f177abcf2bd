//! The error of a call: a code from a fixed set, and one or two sentences that name the limit and
//! the next step.

use std::fmt;

use super::code::Code;
use super::failure;
use crate::audit::AuditWriteError;
use crate::channel::ChannelError;
use crate::config::limits;
use crate::engine::EngineError;
use crate::sandbox::{SandboxError, SandboxLimit, Uncertainty};
use crate::workspace::PathError;

/// The error of a call, as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolError {
    /// For programs.
    pub code: Code,
    /// For people and models.
    pub sentence: String,
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.sentence)
    }
}

impl ToolError {
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
        }
    }

    /// A call that was not made, because it could not be recorded.
    pub fn not_recorded(error: &AuditWriteError) -> Self {
        Self::new(
            Code::AuditUnavailable,
            format!(
                "every call of this server must be recorded, but recording fails now ({error}). \
                 Nothing was done. Retry later; the operator finds more in the log."
            ),
        )
    }

    /// A call that was made but could not be recorded.
    pub fn unrecorded(error: &AuditWriteError) -> Self {
        Self::new(
            Code::Unrecorded,
            format!(
                "the call was carried out, but it could not be recorded ({error}), so its result is \
                 withheld. Do not repeat it blindly; the operator finds more in the log."
            ),
        )
    }

    /// A wrong argument: its name, and what is wrong with it.
    pub fn argument(name: &str, problem: impl fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, format!("`{name}`: {problem}."))
    }

    /// A wrong `path`.
    pub fn path(error: &PathError) -> Self {
        match error {
            PathError::Outside => Self::new(Code::OutsideWorkspace, format!("`path`: {error}.")),
            _ => Self::argument("path", error),
        }
    }

    /// An error of the sandbox layer, about the thing called `subject` where it is about one. Logs
    /// the chain of causes.
    pub fn sandbox(error: &SandboxError, subject: &str) -> Self {
        if !matches!(error, SandboxError::Failed(_) | SandboxError::Cancelled) {
            tracing::warn!(error = error as &dyn std::error::Error, "a call failed");
        }
        match error {
            SandboxError::Failed(failure) => {
                let (code, sentence) = failure::explain(failure, subject);
                Self::new(code, sentence)
            }
            SandboxError::Engine(error) => Self::engine(error),
            SandboxError::Busy { .. }
            | SandboxError::Crowded { .. }
            | SandboxError::NoTurn(_)
            | SandboxError::Full { .. } => Self::new(Code::Busy, busy(error)),
            SandboxError::DiskFull { free, floor } => Self::new(
                Code::NoSpace,
                format!(
                    "{} MiB are free on the Engine's disk, but {} MiB must stay free, so there is no \
                     room for a new workspace. The operator can free space or lower CASEMATE_MIN_FREE_DISK.",
                    free >> 20,
                    floor >> 20
                ),
            ),
            SandboxError::TooManyWorkspaces {
                oldest: Some(oldest),
                most,
            } => Self::new(
                Code::TooManyWorkspaces,
                format!(
                    "this user has {most} workspaces with a name, which is the most there may be, and \
                     none that is empty and unused. Nothing was run. Remove one that is not needed; the \
                     oldest is {:?}. The operator can raise CASEMATE_WORKSPACES_PER_USER.",
                    oldest.as_str()
                ),
            ),
            SandboxError::TooManyWorkspaces { oldest: None, .. } => Self::new(
                Code::TooManyWorkspaces,
                "the operator lets users have no workspaces with a name. Nothing was run. Call without \
                 one; the operator can raise CASEMATE_WORKSPACES_PER_USER.",
            ),
            SandboxError::NotOwner => Self::new(
                Code::WorkspaceUnusable,
                "the workspace's top directory belongs to a different uid than its user's; Casemate did \
                 not change it. The operator can restore its owner, as docs/operations.md says.",
            ),
            SandboxError::GroupChanged => Self::new(
                Code::GroupChanged,
                "the running sandbox was made for another group of this user, and something runs in \
                 it. Nothing was run. Retry when that has ended: a sandbox of the new group is made \
                 then, with the same files.",
            ),
            SandboxError::Bind(error) => Self::new(Code::WorkspaceUnusable, format!("{error}.")),
            SandboxError::ImagePreparing => Self::new(
                Code::ImagePreparing,
                "the sandbox image is still being prepared. Retry in a minute.",
            ),
            SandboxError::Uncertain { why, repeatable } => {
                Self::uncertain(*why, *repeatable, subject)
            }
            SandboxError::Cancelled => Self::new(Code::Cancelled, "the call was cancelled."),
            SandboxError::Ending => Self::new(
                Code::ServerEnding,
                "the server is ending. Call again when it is back.",
            ),
            SandboxError::EndedAtStart(_)
            | SandboxError::NoUid { .. }
            | SandboxError::NotReady(_)
            | SandboxError::Deadline(_)
            | SandboxError::BrokenOff
            | SandboxError::Channel(_)
            | SandboxError::Weaker { .. } => {
                Self::new(Code::SandboxUnavailable, unavailable(error))
            }
        }
    }

    fn uncertain(why: Uncertainty, repeatable: bool, subject: &str) -> Self {
        let what = match why {
            Uncertainty::Ending => "the server was told to end".to_owned(),
            Uncertainty::Replaced => "the sandbox was replaced".to_owned(),
            Uncertainty::Unreachable => "the sandbox could no longer be reached".to_owned(),
            Uncertainty::Silent(after) => {
                format!("the sandbox did not answer for {} s", after.as_secs())
            }
        };
        let (code, next) = match why {
            _ if !repeatable => (Code::Uncertain, "Read the file, then decide."),
            Uncertainty::Ending => (
                Code::ServerEnding,
                "Call again when it is back: writing the same content again is safe.",
            ),
            _ => (
                Code::SandboxUnavailable,
                "Retry: writing the same content again is safe.",
            ),
        };
        Self::new(
            code,
            format!(
                "{what} while {subject} was being changed; the change may or may not have been made. \
                 {next}"
            ),
        )
    }

    /// An error of the Engine.
    pub fn engine(error: &EngineError) -> Self {
        let why = root_cause(error).map_or(String::new(), |cause| format!(" ({cause})"));
        let (code, next) = match error {
            EngineError::NotFound { .. }
            | EngineError::Address { .. }
            | EngineError::Forbidden { .. }
            | EngineError::Unauthenticated { .. } => (Code::EngineUnavailable, ""),
            EngineError::Unavailable { remedy, .. } => {
                return Self::new(Code::EngineUnavailable, format!("{error}{why}. {remedy}"));
            }
            EngineError::Deadline { .. } => (Code::EngineUnavailable, " Retry in a moment."),
            EngineError::ImageMissing { .. } => (Code::ImageMissing, ""),
            EngineError::Full { .. } => (
                Code::NoSpace,
                " Delete files in a running sandbox, or ask the operator to free space, then retry.",
            ),
            // The container ended while it was being created or called, or its name is not free.
            EngineError::Conflict { .. }
            | EngineError::Missing { .. }
            | EngineError::NotRunning { .. }
            | EngineError::Exec { .. } => (
                Code::SandboxUnavailable,
                " Retry; if it keeps failing, the operator finds more in the log.",
            ),
            EngineError::Unschedulable { .. } | EngineError::ClaimPending { .. } => {
                (Code::EngineUnavailable, " Retry in a minute.")
            }
            EngineError::NodeLost { .. } => (Code::EngineUnavailable, " Nothing was run."),
            EngineError::NotAdmitted { .. } | EngineError::NotStarted { .. } => {
                (Code::EngineError, " Nothing was run; ask the operator.")
            }
            // The error has what an operator can do.
            EngineError::Unlimited { .. }
            | EngineError::NoRuntime { .. }
            | EngineError::NotOnKubernetes { .. } => (Code::EngineError, ""),
            EngineError::ImageUnusable { .. } => {
                (Code::ImageUnusable, " Set CASEMATE_IMAGE to another.")
            }
            EngineError::Foreign { .. } => (
                Code::Foreign,
                " The operator can remove it, or set CASEMATE_INSTANCE to another name.",
            ),
            _ => (
                Code::EngineError,
                " Retry; if it keeps failing, the operator finds more in the log.",
            ),
        };
        Self::new(code, format!("{error}{why}.{next}"))
    }
}

/// The sentence of a call that found no free place.
fn busy(error: &SandboxError) -> String {
    match error {
        SandboxError::Busy { waiting } => format!(
            "{waiting} calls of this user are already waiting. Wait until some end, then retry."
        ),
        SandboxError::Crowded { waiting } => {
            format!("{waiting} calls of all users are already waiting. Retry in a minute.")
        }
        SandboxError::NoTurn(after) => format!(
            "this call waited {} s for its turn: this user already has the maximum number of calls \
             running. Wait for some to end, or stop one, then retry; nothing was run.",
            after.as_secs()
        ),
        SandboxError::Full {
            limit: SandboxLimit::Instance(most),
        } => format!(
            "all {most} sandboxes that the server may have are in use. Retry in a minute; the operator \
             can raise CASEMATE_MAX_SANDBOXES."
        ),
        SandboxError::Full {
            limit: SandboxLimit::User(most),
        } => format!(
            "sandboxes of {most} other workspaces of this user are in use, which is the most there may \
             be at once. Wait until what runs there has ended, processes in the background too, or \
             stop it, then retry; the operator can raise CASEMATE_SANDBOXES_PER_USER."
        ),
        other => format!("{other}. Retry in a minute."),
    }
}

/// The sentence of a call that got no sandbox, or lost it.
fn unavailable(error: &SandboxError) -> String {
    match error {
        SandboxError::EndedAtStart(_) => {
            format!("{error}. Nothing was run. Retrying will not help; ask the operator.")
        }
        SandboxError::NoUid { count } => format!(
            "all {count} uids for users are in use, and a new user needs one. The operator can raise \
             CASEMATE_UID_COUNT, or remove unused workspaces (casemate rm USER --volume)."
        ),
        SandboxError::NotReady(after) => format!(
            "the sandbox was not ready after {} s. Retry; nothing was run.",
            after.as_secs()
        ),
        SandboxError::Deadline(after) => format!(
            "the sandbox did not answer in {} s. Retry.",
            after.as_secs()
        ),
        SandboxError::BrokenOff => {
            "the transfer broke off: the sandbox ended, or the connection to it broke. Retry."
                .to_owned()
        }
        SandboxError::Channel(error) if matches!(**error, ChannelError::Unshielded { .. }) => {
            format!("the sandbox is not used: {error}.")
        }
        SandboxError::Channel(error) => {
            format!("the sandbox runs but does not respond: {error}. Retry; nothing was run.")
        }
        SandboxError::Weaker { fields } => format!(
            "the running container is less isolated than this server allows ({fields}) and is busy. \
             Wait until it is idle, or have the operator remove it."
        ),
        other => format!("{other}. Retry."),
    }
}

/// The innermost cause, which says most: "connection refused" rather than "client error".
fn root_cause(error: &dyn std::error::Error) -> Option<&dyn std::error::Error> {
    let mut cause = error.source()?;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(cause)
}

/// The thing that an error is about: `subject`, or an entry in it.
pub fn subject_of(error: &SandboxError, subject: &str) -> String {
    match error {
        SandboxError::Failed(failure) => failure::entry_of(failure, subject),
        _ => subject.to_owned(),
    }
}

/// The bounds of a number, in words.
pub fn bounds<T: fmt::Display>(bounds: &limits::Bounds<T>) -> String {
    format!("must be {} to {}", bounds.least, bounds.most)
}
