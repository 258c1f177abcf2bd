//! `casemate`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = casemate::cli::Cli::parse();
    let failed = cli.failed();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            failed
        }
    }
}

#[expect(clippy::print_stderr, reason = "what the person at the terminal reads")]
fn complain(error: &anyhow::Error) {
    eprintln!("casemate: {error:#}");
}
