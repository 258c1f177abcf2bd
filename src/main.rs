//! `casemate`: parse, run, exit code.

use std::io;
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = casemate::cli::Cli::parse();
    let failed = cli.failed();
    match cli.run() {
        Ok(code) => code,
        // `casemate ps | head`: a reader that stops early needs no message.
        Err(error) if is_closed_pipe(&error) => ExitCode::from(CLOSED_PIPE),
        Err(error) => {
            report_error(&error);
            failed
        }
    }
}

/// As a shell reports an end by SIGPIPE: 128 + 13.
const CLOSED_PIPE: u8 = 141;

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        // serde_json wraps the writer's error.
        let json = cause.downcast_ref::<serde_json::Error>();
        io.map(io::Error::kind)
            .or(json.and_then(serde_json::Error::io_error_kind))
            == Some(io::ErrorKind::BrokenPipe)
    })
}

#[expect(clippy::print_stderr, reason = "for the person at the terminal")]
fn report_error(error: &anyhow::Error) {
    eprintln!("casemate: {error:#}");
}
