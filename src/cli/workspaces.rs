//! `casemate workspaces`: the workspaces of one user, with their sizes and last uses.

use super::user_args::UserArgs;
use super::workspace_cells::{ago, held, size, state, unknown};
use super::{setup, table};
use crate::config::SettingsArgs;
use crate::ops::workspace_list::{ListedWorkspace, WorkspaceLister};
use crate::sandbox::Manager;

/// Flags of `workspaces`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// Print JSON: an array with one object per workspace.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Lists the workspaces.
///
/// # Errors
/// No user of this name, or several; the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let listed = setup::runtime()?.block_on(async {
        let user = args.user.resolve(&engine, &config.instance).await?;
        let manager = Manager::new(config.clone(), engine.clone());
        let mut known = manager.workspaces(&user).await?;
        // A user's own is in the list before there is one.
        known.retain(|one| one.volume.is_some() || one.state.is_some());
        let backups = super::backup::of_settings(&manager)?;
        let lister = WorkspaceLister::new(&manager, backups.as_ref(), &engine, false).await?;
        let listed = lister.list(known).await;
        manager.close().await;
        anyhow::Ok(listed)
    })?;
    table::print(args.json, &listed, HEADINGS, row)
}

const HEADINGS: [&str; 6] = ["WORKSPACE", "STATE", "SIZE", "LAST USE", "CREATED", "HELD"];

fn row(workspace: &ListedWorkspace) -> [String; 6] {
    [
        workspace.name.clone().unwrap_or_else(unknown),
        state(workspace),
        size(workspace),
        ago(workspace.last_used.as_deref()),
        workspace.created.clone().unwrap_or_else(unknown),
        held(workspace),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::workspace_cells::tests::{time_ago, workspace_of};
    use super::*;

    #[test]
    fn a_row_says_what_is_known() {
        let mut workspace = workspace_of("ada");
        assert_eq!(row(&workspace), ["-", "stopped", "-", "-", "-", "no"]);
        workspace.name = Some("chat-1".to_owned());
        workspace.state = Some("running");
        workspace.size_bytes = Some(2048);
        workspace.last_used = Some(time_ago(3600));
        workspace.created = Some("2026-01-01T00:00:00Z".to_owned());
        workspace.held = true;
        let row = row(&workspace);
        assert!(
            row[3].starts_with("1h") && row[3].ends_with("ago"),
            "{row:?}"
        );
        assert_eq!(row[2], "2.00 KiB");
        assert_eq!((&*row[0], &*row[1], &*row[5]), ("chat-1", "running", "yes"));
    }
}
