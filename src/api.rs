//! The answers that every way into the server gives: error codes and their sentences, the outcome
//! of a command, times, and the subject of an audit line.
//!
//! MCP tools, HTTP routes and the command line all report through this module, so that one
//! failure has one code and one sentence everywhere.

mod code;
mod command;
mod error;
mod failure;
mod network;
mod notice;
mod outcome;
pub mod render;
mod signals;
mod time;

pub use code::Code;
pub use command::{CommandSpec, start_attached};
pub use error::{ToolError, bounds, subject_of};
pub use notice::SandboxNotice;
pub use outcome::{CommandResult, Outcome};
pub use time::{instant, rfc3339};

use crate::audit::AuditSubject;
use crate::identity::User;

/// The user as an audit line names them.
pub fn audit_subject(user: &User) -> AuditSubject {
    AuditSubject {
        issuer: user.issuer.as_str().to_owned(),
        subject: user.subject.as_str().to_owned(),
    }
}
