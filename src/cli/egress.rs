//! `casemate egress`: what a user's sandbox may reach, by the settings alone. No server and no
//! Engine is asked.

mod check;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use super::setup;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};

/// Flags of `egress`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say whether a user's sandbox may connect to a host, and by which rule. Nothing is resolved or
    /// dialled: addresses and handshakes are judged when a program connects. Exit code: 0 if it may,
    /// 1 if not.
    Check(check::Args),
    /// List the rules of a user, where each is from, and their hash.
    Show(show::Args),
}

/// Runs the verb.
///
/// # Errors
/// A wrong setting, or a name at several issuers.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Check(args) => check::run(args),
        Verb::Show(args) => show::run(args).map(|()| ExitCode::SUCCESS),
    }
}

/// The settings as a server that starts now would have them.
fn load(settings: SettingsArgs) -> anyhow::Result<Config> {
    let config = Config::load(settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    Ok(config)
}
