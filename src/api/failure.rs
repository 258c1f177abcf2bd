//! Code and sentence of each failure in the container.

use casemate_protocol::Failure;
use casemate_protocol::failure::Code as FailureCode;

use super::code::Code;

/// Code and sentence of a failure about the thing called `subject`, with what was stored before it.
pub fn explain(failure: &Failure, subject: &str) -> (Code, String) {
    let subject = &entry_of(failure, subject);
    let (code, sentence) =
        of_command(failure, subject).unwrap_or_else(|| of_file(failure, subject));
    let stored = match failure.stored {
        0 => String::new(),
        1 => " The entry before it was stored, and stays.".to_owned(),
        stored => format!(" The {stored} entries before it were stored, and stay."),
    };
    (code, sentence + &stored)
}

/// `None` for a failure that is not a command's.
fn of_command(failure: &Failure, subject: &str) -> Option<(Code, String)> {
    let detail = &failure.detail;
    Some(match failure.code() {
        FailureCode::BadCwd => (
            Code::BadCwd,
            format!("`cwd`: {subject} cannot be entered ({detail}). {}.", other_cwd(subject)),
        ),
        FailureCode::NoShell => (
            Code::NoShell,
            "the sandbox image has neither bash nor sh, so no command can run. Files still work; the \
             operator can set CASEMATE_IMAGE."
                .to_owned(),
        ),
        FailureCode::TooManyProcesses => (
            Code::TooManyProcesses,
            "the sandbox has reached its limit of processes. End some, or wait for running commands to \
             end, then retry."
                .to_owned(),
        ),
        FailureCode::Exhausted => (
            Code::ResourceExhausted,
            format!(
                "the command could not be started: {detail}. Nothing was run, and this is not a full \
                 disk. Retry in a moment; if it keeps failing, end processes in the background, or ask \
                 the operator to check the host's limits."
            ),
        ),
        FailureCode::NotStarted => (
            Code::NotStarted,
            format!(
                "the command did not run: {detail}. Another process of this sandbox caused that; end it, \
                 then retry."
            ),
        ),
        FailureCode::TooManyCommands => {
            (Code::Busy, format!("{detail}. Wait for some to end, then retry."))
        }
        FailureCode::UnknownCommand => (
            Code::NotFound,
            format!(
                "{subject} is unknown: this user has no such command, its result is more than 10 minutes \
                 old, or its sandbox was replaced."
            ),
        ),
        FailureCode::Cancelled => (Code::Cancelled, "the call was cancelled.".to_owned()),
        _ => return None,
    })
}

fn of_file(failure: &Failure, subject: &str) -> (Code, String) {
    let detail = &failure.detail;
    let (code, problem) = match failure.code() {
        FailureCode::NotFound => (
            Code::NotFound,
            " does not exist. Use list_files to see which files exist.",
        ),
        FailureCode::OutsideWorkspace => (
            Code::OutsideWorkspace,
            " leads out of /workspace through a link. The file tools work only inside /workspace; use \
             shell_exec for other files.",
        ),
        FailureCode::IsDirectory => (Code::IsDirectory, " is a directory. Use list_files for it."),
        FailureCode::NotDirectory => (
            Code::NotDirectory,
            " is not a directory, or a part of the path is not.",
        ),
        FailureCode::NotRegular => (
            Code::NotRegular,
            " is a FIFO, socket or device. Only regular files can be used.",
        ),
        FailureCode::NameTooLong => (
            Code::InvalidArgument,
            ": a name is too long; 255 bytes at most.",
        ),
        FailureCode::Exists => (
            Code::Exists,
            " already exists. Use mode \"overwrite\" to replace it, or another path.",
        ),
        FailureCode::Changed => (
            Code::Changed,
            " changed while it was being edited; nothing was written. Read it again, then retry.",
        ),
        _ => return of_file_with_detail(failure, subject, detail),
    };
    (code, format!("{subject}{problem}"))
}

fn of_file_with_detail(failure: &Failure, subject: &str, detail: &str) -> (Code, String) {
    match failure.code() {
        FailureCode::PermissionDenied => (
            Code::PermissionDenied,
            format!(
                "{subject}: permission denied for the sandbox's user ({detail}). Change the mode of it \
                 and of the directories on its path with shell_exec, for example `chmod u+rwX`."
            ),
        ),
        FailureCode::TooManyLinks => (
            Code::OutsideWorkspace,
            format!("the path to {subject} has too many links, or a loop of links."),
        ),
        FailureCode::NoSpace if failure.stored > 0 => (
            Code::NoSpace,
            format!(
                "{subject}: the workspace has no space left ({detail}). Delete files, then retry."
            ),
        ),
        FailureCode::NoSpace => (
            Code::NoSpace,
            format!(
                "the workspace has no space left ({detail}). Delete files, then retry; nothing was changed."
            ),
        ),
        FailureCode::Busy => (
            Code::Busy,
            format!(
                "{subject} cannot be opened now: {detail}. End that program, or retry in a minute."
            ),
        ),
        FailureCode::FileTooLarge => (
            Code::TooLarge,
            format!("{subject} would be too large: {detail}."),
        ),
        FailureCode::NotText => (
            Code::NotText,
            format!(
                "{subject} is not UTF-8 text ({detail}). Read it with encoding \"base64\", or look at it \
                 and change it with shell_exec."
            ),
        ),
        FailureCode::Invalid => (Code::InvalidArgument, format!("{detail}.")),
        FailureCode::BadArchive => (Code::InvalidArgument, format!("{subject}: {detail}.")),
        FailureCode::BadPattern => (Code::InvalidArgument, format!("`pattern`: {detail}.")),
        _ => (Code::Internal, format!("{subject}: {detail}. Retry.")),
    }
}

/// The thing that failed: `subject`, or an entry in it.
pub fn entry_of(failure: &Failure, subject: &str) -> String {
    match failure.entry.as_str() {
        "" => subject.to_owned(),
        entry => format!("\"{entry}\" in {subject}"),
    }
}

/// A directory to use instead of `cwd`, which is shown in quotes.
fn other_cwd(cwd: &str) -> &'static str {
    match cwd.trim_matches(['"', '`']).trim_end_matches('/') {
        "/workspace" => {
            "Use another `cwd`, such as \"/\", and check it from there: `ls -ld /workspace`"
        }
        _ => "Give a directory that exists, for example /workspace",
    }
}
