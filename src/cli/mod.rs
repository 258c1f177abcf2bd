//! The command line. One verb a file.

mod serve;

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
    /// Serve MCP on standard input and output.
    Serve(serve::Args),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// What the person at the terminal should read.
    pub fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::Serve(args) => serve::run(args),
        }
    }
}
