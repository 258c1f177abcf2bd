//! `casemate hold`: keeps a user's workspace whatever its age.

use std::io::Write as _;

use super::setup;
use super::whose::UserArgs;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::identity::User;
use crate::ops::gc::hold;

/// Flags of `hold`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// Let it go again: `volume_retention` holds for it then.
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Places or releases the hold.
///
/// # Errors
/// There is none to release, or the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    let user = User::from(args.user);
    let (instance, name) = (&config.instance, user.subject.as_str());
    let done = setup::runtime()?.block_on(async {
        if !args.release {
            hold::place(&engine, instance, &user).await?;
            return anyhow::Ok("held");
        }
        let was_held = hold::release(&engine, instance, &user).await?;
        anyhow::ensure!(was_held, "the workspace of {name:?} is not held");
        Ok("released")
    })?;
    writeln!(std::io::stdout().lock(), "{done} the workspace of {name:?}")?;
    Ok(())
}
