//! casemate-init: what runs in every Casemate container besides the user's
//! own code. One static binary with four roles, by its first argument:
//!
//! | role | runs as | what it does |
//! |---|---|---|
//! | `pid1` | the user, PID 1 | accepts commands and file work over its socket, reaps, kills, ends itself when idle |
//! | `supervise` | the user, a child of PID 1 | one per command: starts it, reaps what descends from it, reports |
//! | `volume` | the user, before PID 1 | makes the workspace in a new volume of Kubernetes |
//! | `bridge` | uid 65534, by `docker exec`; with `--keyed` the user | joins its stdin and stdout to PID 1's socket |
//!
//! `pid1` and `bridge` first put themselves under the filters of system calls ([`filters`]), which
//! every command inherits.
//!
//! The user's code is hostile and has the same uid as `pid1` and `supervise`.
//! It cannot look into them: the binary is execute-only, which makes the
//! process non-dumpable from its first instruction, and [`lockdown`] says so
//! to the kernel once more. On a kernel that does not protect them so they have another
//! real user: [`shield`].

mod bridge;
mod bridge_key;
mod capture;
mod egress;
mod files;
mod filters;
mod lockdown;
mod peer;
mod pid1;
mod pieces;
mod procfs;
mod shield;
mod supervisor;
mod sys;
mod tree;
mod volume;

use std::process::ExitCode;

use casemate_protocol::exit;

fn main() -> ExitCode {
    if let Err(error) = lockdown::apply() {
        report_error(&format!("cannot become non-dumpable: {error}"));
        return ExitCode::from(71);
    }
    let mut args = std::env::args().skip(1);
    let role = args.next();
    if matches!(role.as_deref(), Some("pid1" | "bridge"))
        && let Err(error) = filters::install()
    {
        report_error(&format!("cannot install its seccomp filters: {error}"));
        return ExitCode::from(u8::try_from(exit::UNFILTERED).unwrap_or(u8::MAX));
    }
    match role.as_deref() {
        Some("pid1") => pid1::main(args),
        Some("supervise") => supervisor::main(args),
        Some("bridge") => bridge::main(args),
        Some("volume") => volume::main(args),
        _ => {
            report_error(
                "usage: casemate-init pid1|supervise|bridge|volume; it is started by Casemate",
            );
            ExitCode::from(64)
        }
    }
}

/// The only way to report an error: stderr, which may have no reader.
fn report_error(message: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "casemate-init: {message}");
}
