//! `casemate completions`: the script with which a shell completes this command's flags.

use std::io;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Cli;

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints it.
pub fn run(args: &Args) {
    generate(
        args.shell,
        &mut Cli::command(),
        "casemate",
        &mut io::stdout(),
    );
}
