//! `casemate audit verify`: checks that the audit is as it was written.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

use crate::audit::{self, Report};
use crate::cli::json;

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Find lines that were changed, removed or moved. Exit code: 0 if the audit is unchanged,
    /// 2 if not, and 1 if it could not check.
    Verify(VerifyArgs),
}

/// Flags of `audit verify`.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Directories of audits, or files of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print JSON: also the hash that each file ends with, to be kept elsewhere.
    #[arg(long)]
    json: bool,
}

/// The exit code for changes. 1 is that of every verb that failed.
const CHANGED: u8 = 2;

/// Prints the report.
///
/// # Errors
/// A file that cannot be read.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Verb::Verify(VerifyArgs { paths, json }) = args.verb;
    let report = audit::verify(&paths).context("the audit cannot be read")?;
    let mut out = std::io::stdout().lock();
    if json {
        json::write(&mut out, &report)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(match report.findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(CHANGED),
    })
}

fn print(report: &Report, out: &mut impl std::io::Write) -> std::io::Result<()> {
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    let (files, lines) = (report.files, report.lines);
    match report.findings.len() {
        0 => writeln!(out, "{lines} lines in {files} files: as they were written"),
        found => writeln!(out, "{lines} lines in {files} files: {found} changes found"),
    }
}
