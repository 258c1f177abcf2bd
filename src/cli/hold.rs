//! `casemate hold`: keeps a user's workspace regardless of its age.

use std::io::Write as _;

use anyhow::Context as _;

use super::setup;
use super::user_args::{UserArgs, WorkspaceArgs};
use crate::config::SettingsArgs;
use crate::engine::Engine;
use crate::identity::{Instance, User, shown};
use crate::ops::gc::hold;
use crate::ops::users;
use crate::sandbox::Manager;

/// Flags of `hold`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    workspace: WorkspaceArgs,
    /// Release the hold: the settings of retention apply again.
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Places or releases the hold.
///
/// # Errors
/// No user of this name, or several; no such workspace; nothing to release; the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let instance = &config.instance;
    let told = setup::runtime()?.block_on(async {
        let user = user(&args.user, &engine, instance).await?;
        let workspace = args.workspace.of(user);
        if args.release {
            let was_held = hold::release(&engine, instance, &workspace).await?;
            anyhow::ensure!(was_held, "the workspace of {workspace} is not held");
            return Ok(format!("released the workspace of {workspace}"));
        }
        // With an issuer a hold may come before the workspace.
        let manager = Manager::new(config.clone(), engine.clone());
        if args.user.issuer().is_none() && !manager.snapshots(&workspace).is_bound() {
            anyhow::ensure!(
                users::has_workspace(&engine, instance, &workspace).await?,
                "the workspace of {workspace} does not exist; to hold it before it does, name the \
                 issuer: --issuer {}",
                shown(workspace.user.issuer.as_str())
            );
        }
        hold::create(&engine, instance, &workspace).await?;
        anyhow::Ok(format!("held the workspace of {workspace}"))
    })?;
    writeln!(std::io::stdout().lock(), "{told}")?;
    Ok(())
}

/// With an issuer the user need not have a workspace: a hold may come before it and outlive it.
async fn user(args: &UserArgs, engine: &Engine, instance: &Instance) -> anyhow::Result<User> {
    if let Some(issuer) = args.issuer() {
        return Ok(User {
            issuer: issuer.clone(),
            subject: args.name().clone(),
        });
    }
    let resolved = args.resolve(engine, instance).await;
    resolved.context(
        "to hold a workspace that does not exist, name the issuer: --issuer local for users of \
         tokens and of stdio",
    )
}
