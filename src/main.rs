//! `casemate`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match casemate::cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "what the person at the terminal reads")]
fn complain(error: &anyhow::Error) {
    eprintln!("casemate: {error:#}");
}
