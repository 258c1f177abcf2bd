//! `casemate rm`: a user's containers, and on request the user's files.

use std::io::Write as _;

use super::setup;
use super::user_args::UserArgs;
use crate::cli::json;
use crate::config::SettingsArgs;
use crate::identity::{WorkspaceId, WorkspaceName};
use crate::ops::workspace_removal::{RemovalScope, RemovedResources, WorkspaceRemoval};

/// Flags of `rm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// Only the workspace with this name; default: all workspaces of the user.
    #[arg(long = "workspace", value_name = "NAME")]
    workspace_name: Option<WorkspaceName>,
    /// Only the user's own workspace, which has no name.
    #[arg(long, conflicts_with = "workspace_name")]
    own: bool,
    /// Remove the volumes too: all files in them are lost.
    #[arg(long)]
    volume: bool,
    /// Remove a sandbox even if commands run in it; they are ended.
    #[arg(long)]
    force: bool,
    /// Print JSON: the removed containers and volumes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Removes the containers of the user or workspace, and the volumes if asked to.
///
/// # Errors
/// A busy sandbox without `--force`; no user of this name, or several; the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let audit = setup::audit(&config, &engine)?;
    let removed = setup::runtime()?.block_on(async {
        let user = args.user.resolve(&engine, &config.instance).await?;
        let removal = WorkspaceRemoval {
            engine,
            audit: audit.clone(),
            instance: config.instance.clone(),
            scope: match args.workspace_name {
                name @ Some(_) => RemovalScope::Workspace(WorkspaceId { user, name }),
                None if args.own => RemovalScope::Workspace(user.into()),
                None => RemovalScope::User(user),
            },
            reason: "casemate rm",
        };
        let removed = removal.run(args.force, args.volume).await;
        audit.close().await;
        anyhow::Ok(removed?)
    })?;
    print(&removed, args.json)
}

fn print(removed: &RemovedResources, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        json::write(&mut out, removed)?;
        return Ok(());
    }
    let workspace = removed.workspace.as_ref();
    let workspace = workspace.map_or_else(String::new, |name| format!(", workspace {name:?}"));
    let user = format!("{:?} of {:?}{workspace}", removed.user, removed.issuer);
    for name in &removed.containers {
        writeln!(out, "removed container {name} of the user {user}")?;
    }
    for name in &removed.volumes {
        writeln!(out, "removed volume {name} of the user {user}")?;
    }
    if removed.containers.is_empty() && removed.volumes.is_empty() {
        writeln!(
            out,
            "the user {user} has no container to remove; the files stay without --volume"
        )?;
    }
    Ok(())
}
