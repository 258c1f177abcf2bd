//! `casemate egress`: what a user's sandbox may reach, by the settings, and what was refused, by the
//! audit. No server and no Engine is asked, except by `learn`, which runs a command.

mod check;
mod denied;
mod learn;
mod show;

use std::process::ExitCode;

use casemate_egress::rules::DEFAULT_PORT;
use casemate_egress::{HostName, Reason};
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
    /// List the hosts that sandboxes were refused lately, as TOML to paste. They are read from the
    /// audit.
    Denied(denied::Args),
    /// Run a command in a throw-away sandbox, and list the hosts that it was refused, as TOML to
    /// paste. Its own output goes to stderr. Exit code: 0 if nothing was refused, 1 if something was.
    Learn(learn::Args),
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
        Verb::Denied(args) => denied::run(args).map(|()| ExitCode::SUCCESS),
        Verb::Learn(args) => learn::run(&args),
        Verb::Show(args) => show::run(args).map(|()| ExitCode::SUCCESS),
    }
}

/// The rule that would allow what was refused; `None`: it was refused for another reason.
fn rule_for(host: &str, port: Option<u16>, reason: &str) -> Option<String> {
    let host = HostName::parse(host).ok()?;
    if reason != Reason::NotAllowed.as_str() {
        return None;
    }
    Some(match port {
        None | Some(DEFAULT_PORT) => host.as_str().to_owned(),
        Some(port) => format!("{}:{port}", host.as_str()),
    })
}

/// The settings as a server that starts now would have them.
fn load(settings: SettingsArgs) -> anyhow::Result<Config> {
    let config = Config::load(settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    Ok(config)
}
