//! The answers that every way into the server gives: error codes and their sentences, the outcome
//! of a command, and times.
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
