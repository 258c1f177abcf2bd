//! `casemate man`: the manual pages, made from what `--help` is made from. Hidden: packages run it
//! once.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Cli;

/// Flags of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the pages are written: casemate.1, and one for each verb.
    directory: PathBuf,
}

/// Writes them. Hidden verbs have none.
///
/// # Errors
/// A directory that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let command = Cli::command();
    clap_mangen::generate_to(command, &args.directory)
        .with_context(|| format!("cannot write manual pages to {:?}", args.directory))
}
