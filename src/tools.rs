//! The tools of MCP: each parses its arguments, calls the sandbox and converts the answer.
//!
//! A result is complete in each of its two forms: some clients give the model only
//! `structuredContent`, others only `content`, and on an error only the text.

mod arguments;
mod call;
mod catalog;
mod definition;
mod direct;
mod entries;
mod files;
pub mod message;
mod progress;
mod record;
mod resources;
mod result;
mod server;
mod share;
mod shell;

pub use arguments::parse as parse_arguments;
#[cfg(test)]
pub use catalog::list;
#[cfg(test)]
pub use definition::DefinitionContext;
pub use server::{RequestAddress, Tools};
pub use share::{NAME as SHARES, ShareLinks};
pub use shell::NAME as RUNS_COMMANDS;
