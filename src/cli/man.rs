//! `casemate man`: the manual pages, from the same source as `--help`. Hidden: packages run it
//! once.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Cli;

/// Flags of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory for the pages: casemate.1, and one for each verb.
    directory: PathBuf,
}

/// Writes the pages. Hidden verbs have none.
///
/// # Errors
/// A directory that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let command = Cli::command();
    clap_mangen::generate_to(command, &args.directory)
        .with_context(|| format!("cannot write manual pages to {:?}", args.directory))
}
