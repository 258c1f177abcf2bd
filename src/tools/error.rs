//! What a tool says when it could not do what it was asked: a code from a fixed
//! set, and one or two sentences that name the limit and the next step.

use std::fmt;

use casemate_protocol::{Failure, failure};
use rmcp::model::{CallToolResult, ContentBlock, MetaObject};
use serde_json::json;

use super::code::Code;
use crate::audit::AuditWriteError;
use crate::config::limits;
use crate::engine::EngineError;
use crate::sandbox::{SandboxError, Uncertainty};
use crate::workspace::PathError;

/// What the caller is told.
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
    /// A code with its sentence.
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
                "every call of this server must be recorded, and that is not possible now ({error}). \
                 Nothing was done. Retry later; the operator finds more in the log."
            ),
        )
    }

    /// A call that was made, and is not recorded.
    pub fn unrecorded(error: &AuditWriteError) -> Self {
        Self::new(
            Code::Unrecorded,
            format!(
                "the call was carried out, but it could not be recorded ({error}), so its result is \
                 withheld. Do not repeat it blindly; the operator finds more in the log."
            ),
        )
    }

    /// A wrong argument: which one, and what it may be.
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

    /// What the sandbox layer says, about the thing called `subject` where it is
    /// about one. The chain of causes is logged here, once.
    pub fn sandbox(error: &SandboxError, subject: &str) -> Self {
        if !matches!(error, SandboxError::Failed(_) | SandboxError::Cancelled) {
            tracing::warn!(error = error as &dyn std::error::Error, "a call failed");
        }
        match error {
            SandboxError::Failed(failure) => Self::failure(failure, subject),
            SandboxError::Engine(error) => Self::engine(error),
            SandboxError::EndedAtStart(_) => Self::new(
                Code::SandboxUnavailable,
                format!(
                    "{error}. Nothing was run. Retrying will not help: the operator has to look at it."
                ),
            ),
            SandboxError::Busy { waiting } => Self::new(
                Code::Busy,
                format!(
                    "{waiting} calls of this user wait already. Wait for some to end, then retry."
                ),
            ),
            SandboxError::Crowded { waiting } => Self::new(
                Code::Busy,
                format!("{waiting} calls of all users wait already. Retry in a minute."),
            ),
            SandboxError::NoTurn(after) => Self::new(
                Code::Busy,
                format!(
                    "this call's turn did not come in {} s: as many calls of this user run as may. \
                     Wait for some to end, or stop one, then retry; nothing was run.",
                    after.as_secs()
                ),
            ),
            SandboxError::Full { most } => Self::new(
                Code::Busy,
                format!(
                    "{most} sandboxes are in use, as many as the server may have. Retry in a minute; \
                     the operator can raise CASEMATE_MAX_SANDBOXES."
                ),
            ),
            SandboxError::DiskFull { free, floor } => Self::new(
                Code::NoSpace,
                format!(
                    "{} MiB are free on the Engine's disk, and {} MiB must stay free: there is no room for a \
                     new workspace. The operator can free space or set CASEMATE_MIN_FREE_DISK.",
                    free >> 20,
                    floor >> 20
                ),
            ),
            SandboxError::NoUid { count } => Self::new(
                Code::SandboxUnavailable,
                format!(
                    "all {count} uids for users are taken, and a new user needs one. The operator can raise \
                     CASEMATE_UID_COUNT, or remove workspaces that nobody needs (casemate rm USER --volume)."
                ),
            ),
            SandboxError::NotOwner => Self::new(
                Code::WorkspaceUnusable,
                "the workspace's top directory belongs to another uid than its user's, and Casemate did not \
                 do that. The operator can give it back, as docs/operations.md says.",
            ),
            SandboxError::ImagePreparing => Self::new(
                Code::ImagePreparing,
                "the sandbox image is still being prepared. Retry in a minute.",
            ),
            SandboxError::NotReady(after) => Self::new(
                Code::SandboxUnavailable,
                format!(
                    "the sandbox was not ready after {} s. Retry; nothing was run.",
                    after.as_secs()
                ),
            ),
            SandboxError::Deadline(after) => Self::new(
                Code::SandboxUnavailable,
                format!(
                    "the sandbox did not answer in {} s. Retry.",
                    after.as_secs()
                ),
            ),
            SandboxError::BrokenOff => Self::new(
                Code::SandboxUnavailable,
                "the transfer broke off: the sandbox ended, or the connection to it broke. Retry.",
            ),
            SandboxError::Channel(error) => Self::new(
                Code::SandboxUnavailable,
                format!(
                    "the sandbox runs and cannot be talked to: {error}. Retry; nothing was run."
                ),
            ),
            SandboxError::Weaker { fields } => Self::new(
                Code::SandboxUnavailable,
                format!(
                    "the running container is less isolated than this server allows ({fields}) and is busy. \
                     Wait until it is idle, or have the operator remove it."
                ),
            ),
            SandboxError::Bind(error) => Self::new(Code::WorkspaceUnusable, format!("{error}.")),
            SandboxError::Uncertain { why, repeatable } => {
                Self::uncertain(*why, *repeatable, subject)
            }
            SandboxError::Cancelled => Self::new(Code::Cancelled, "the call was cancelled."),
            SandboxError::Ending => Self::new(
                Code::ServerEnding,
                "the server is ending. Call again when it is back.",
            ),
        }
    }

    fn uncertain(why: Uncertainty, repeatable: bool, subject: &str) -> Self {
        let what = match why {
            Uncertainty::Ending => "the server was told to end".to_owned(),
            Uncertainty::Replaced => "the sandbox was replaced".to_owned(),
            Uncertainty::Unreachable => "the sandbox could not be reached any more".to_owned(),
            Uncertainty::Silent(after) => {
                format!("the sandbox did not answer for {} s", after.as_secs())
            }
        };
        let (code, next) = match why {
            _ if !repeatable => (Code::Uncertain, "Read the file, then decide."),
            Uncertainty::Ending => (
                Code::ServerEnding,
                "Call again when it is back: to write the same again is safe.",
            ),
            _ => (
                Code::SandboxUnavailable,
                "Retry: to write the same again is safe.",
            ),
        };
        Self::new(
            code,
            format!("{what} while {subject} was changed; it may or may not have happened. {next}"),
        )
    }

    fn engine(error: &EngineError) -> Self {
        let why = root_cause(error).map_or(String::new(), |cause| format!(" ({cause})"));
        let (code, next) = match error {
            EngineError::NotFound { .. }
            | EngineError::Address { .. }
            | EngineError::Forbidden { .. } => (Code::EngineUnavailable, ""),
            EngineError::Unavailable { .. } => (
                Code::EngineUnavailable,
                " Start Docker, or ask the operator to, then retry.",
            ),
            EngineError::Deadline { .. } => (Code::EngineUnavailable, " Retry in a moment."),
            EngineError::ImageMissing { .. } => (Code::ImageMissing, ""),
            EngineError::Full { .. } => (
                Code::NoSpace,
                " Delete files in a sandbox that runs, or ask the operator to free space, then retry.",
            ),
            // It ended while it was made, or was reached for.
            EngineError::Missing { .. }
            | EngineError::NotRunning { .. }
            | EngineError::Exec { .. } => (
                Code::SandboxUnavailable,
                " Retry; if it stays, the operator finds more in the log.",
            ),
            EngineError::ImageUnusable { .. } => {
                (Code::ImageUnusable, " Set CASEMATE_IMAGE to another.")
            }
            EngineError::Foreign { .. } => (
                Code::Foreign,
                " The operator can remove it, or set CASEMATE_INSTANCE to another name.",
            ),
            _ => (
                Code::EngineError,
                " Retry; if it stays, the operator finds more in the log.",
            ),
        };
        Self::new(code, format!("{error}{why}.{next}"))
    }

    fn failure(failure: &Failure, subject: &str) -> Self {
        use failure::Code as F;
        let detail = &failure.detail;
        let subject = &entry_of(failure, subject);
        let (code, sentence) = match failure.code() {
            F::NotFound => (Code::NotFound, format!("{subject} does not exist. Use list_files to see what does.")),
            F::OutsideWorkspace => (
                Code::OutsideWorkspace,
                format!("{subject} leads out of /workspace through a link. Only files beneath it can be used; shell_exec reaches others."),
            ),
            F::IsDirectory => (Code::IsDirectory, format!("{subject} is a directory. Use list_files for it.")),
            F::NotDirectory => (Code::NotDirectory, format!("{subject} is not a directory, or a part of the path is not.")),
            F::NotRegular => (Code::NotRegular, format!("{subject} is a FIFO, socket or device. Only regular files can be used.")),
            F::PermissionDenied => (Code::PermissionDenied, format!(
                "{subject}: permission denied for the sandbox's user ({detail}). Change the mode of it and of the directories on its path with shell_exec, for example `chmod u+rwX`."
            )),
            F::TooManyLinks => (Code::OutsideWorkspace, format!("{subject} is reached through too many links, or through a loop of them.")),
            F::NoSpace if failure.stored > 0 => (Code::NoSpace, format!("{subject}: the workspace has no space left ({detail}). Delete files, then retry.")),
            F::NoSpace => (Code::NoSpace, format!("the workspace has no space left ({detail}). Delete files, then retry; nothing was changed.")),
            F::Busy => (Code::Busy, format!("{subject} cannot be opened now: {detail}. End that program, or retry in a minute.")),
            F::FileTooLarge => (Code::TooLarge, format!("{subject} would be too large: {detail}.")),
            F::NotText => (Code::NotText, format!("{subject} is not UTF-8 text ({detail}). Read it with encoding \"base64\", or look at it and change it with shell_exec.")),
            F::NameTooLong => (Code::InvalidArgument, format!("{subject}: a name is too long; 255 bytes at most.")),
            F::BadCwd => (Code::BadCwd, format!("`cwd`: {subject} cannot be entered ({detail}). {}.", elsewhere(subject))),
            F::NoShell => (Code::NoShell, "the sandbox image has neither bash nor sh, so no command can run. Files still work; the operator can set CASEMATE_IMAGE.".to_owned()),
            F::TooManyProcesses => (
                Code::TooManyProcesses,
                "the sandbox has as many processes as it may. End some, or wait for running commands to end, then retry.".to_owned(),
            ),
            F::Exhausted => (
                Code::ResourceExhausted,
                format!(
                    "the command could not be started: {detail}. Nothing was run, and no files are to blame. \
                     Retry in a moment; if it stays, end processes that run in the background, or ask the operator to look at the host's limits."
                ),
            ),
            F::NotStarted => (
                Code::NotStarted,
                format!("the command did not run: {detail}. Another process of this sandbox did that; end it, then retry."),
            ),
            F::TooManyCommands => (Code::Busy, format!("{detail}. Wait for some to end, then retry.")),
            F::Cancelled => (Code::Cancelled, "the call was cancelled.".to_owned()),
            F::Invalid => (Code::InvalidArgument, format!("{detail}.")),
            F::UnknownCommand => (
                Code::NotFound,
                format!("{subject} is not known: no command of this user has it, or its result is over 10 minutes old, or its sandbox was replaced."),
            ),
            F::Exists => (Code::Exists, format!("{subject} is there already. Use mode \"overwrite\" to replace it, or another path.")),
            F::Changed => (Code::Changed, format!("{subject} changed while it was being edited; nothing was written. Read it again, then retry.")),
            F::BadArchive => (Code::InvalidArgument, format!("{subject}: {detail}.")),
            F::BadPattern => (Code::InvalidArgument, format!("`pattern`: {detail}.")),
            F::Unspecified | F::Ending | F::Other => {
                (Code::Internal, format!("{subject}: {detail}. Retry."))
            }
        };
        match failure.stored {
            0 => Self::new(code, sentence),
            1 => Self::new(
                code,
                format!("{sentence} The entry before it was stored, and stays."),
            ),
            stored => Self::new(
                code,
                format!("{sentence} The {stored} entries before it were stored, and stay."),
            ),
        }
    }

    /// The result that carries it: the text says all, `_meta` has the code.
    pub fn into_result(self) -> CallToolResult {
        let mut result = CallToolResult::error(vec![ContentBlock::text(self.to_string())]);
        let mut meta = MetaObject::new();
        meta.insert(
            "io.casemate/error".to_owned(),
            json!({ "code": self.code.as_str() }),
        );
        result.meta = Some(meta);
        result
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

/// What an error is about: `subject`, or an entry of it.
pub fn subject_of(error: &SandboxError, subject: &str) -> String {
    match error {
        SandboxError::Failed(failure) => entry_of(failure, subject),
        _ => subject.to_owned(),
    }
}

fn entry_of(failure: &Failure, subject: &str) -> String {
    match failure.entry.as_str() {
        "" => subject.to_owned(),
        entry => format!("\"{entry}\" in {subject}"),
    }
}

/// Where a command can begin that cannot begin in `cwd`, which is shown in quotes.
fn elsewhere(cwd: &str) -> &'static str {
    match cwd.trim_matches(['"', '`']).trim_end_matches('/') {
        "/workspace" => {
            "Begin elsewhere, with `cwd` \"/\", and look at it from there: `ls -ld /workspace`"
        }
        _ => "Give a directory that exists, for example /workspace",
    }
}

/// The bound of a number, in words.
pub fn bounds<T: fmt::Display>(bounds: &limits::Bounds<T>) -> String {
    format!("must be {} to {}", bounds.least, bounds.most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_codes_has_every_one() {
        for (at, &code) in Code::ALL.iter().enumerate() {
            assert_eq!(code as usize, at, "{code:?}");
        }
        assert_eq!(Code::ALL.len(), Code::Internal as usize + 1);
    }
}
