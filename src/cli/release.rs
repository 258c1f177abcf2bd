//! `casemate release`: an operator says that nothing writes to a workspace any more whose node was lost.

use std::io::Write as _;

use super::setup;
use super::user_args::{UserArgs, WorkspaceArgs};
use crate::config::SettingsArgs;
use crate::identity::SandboxName;

/// Flags of `release`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    workspace: WorkspaceArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Frees the workspace of a Pod whose node was lost.
///
/// # Errors
/// No user of this name, or several; an Engine that is not Kubernetes; its own.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let told = setup::runtime()?.block_on(async {
        let user = args.user.resolve(&engine, &config.instance).await?;
        let workspace = args.workspace.of(user);
        let name = SandboxName::new(&config.instance, &workspace);
        engine.release(name.as_str()).await?;
        anyhow::Ok(format!("released the workspace of {workspace}"))
    })?;
    writeln!(std::io::stdout().lock(), "{told}")?;
    Ok(())
}
