//! The command line. One verb a file.

mod audit;
mod exec;
mod gc;
mod hold;
mod ps;
mod rm;
mod serve;
mod setup;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Gives every user of an MCP client a private, hardened container.
#[derive(Debug, Parser)]
#[command(name = "casemate", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve MCP on standard input and output, or over HTTP.
    Serve(serve::Args),
    /// List the sandboxes of the instance, those of all servers.
    Ps(ps::Args),
    /// Run a command in a user's sandbox.
    Exec(exec::Args),
    /// Remove a user's sandbox, and with --volume the user's files.
    Rm(rm::Args),
    /// Remove what nobody needs any more.
    Gc(gc::Args),
    /// Keep a user's workspace whatever its age.
    Hold(hold::Args),
    /// Check the records of calls.
    Audit(audit::Args),
    /// Make a token for HTTP.
    Token(token::Args),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// What the person at the terminal should read.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Ps(args) => ps::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Exec(args) => exec::run(args),
            Verb::Rm(args) => rm::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Gc(args) => gc::run(args),
            Verb::Hold(args) => hold::run(args).map(|()| ExitCode::SUCCESS),
            Verb::Audit(args) => audit::run(args),
            Verb::Token(args) => token::run(args).map(|()| ExitCode::SUCCESS),
        }
    }
}
