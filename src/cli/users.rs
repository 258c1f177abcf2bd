//! `casemate users`: all workspaces of the instance, also those that no container has now.

use super::workspace_cells::{age, ago, held, size, state, unknown};
use super::{backup, setup, table};
use crate::config::SettingsArgs;
use crate::ops::workspace_list::{ListedWorkspace, WorkspaceLister};
use crate::sandbox::Manager;

/// Flags of `users`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave out what takes long: sizes, and the last use where no sandbox runs.
    #[arg(long)]
    quick: bool,
    /// Print JSON: an array with one object per workspace.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Lists the workspaces, sorted by issuer, user and name.
///
/// # Errors
/// A wrong setting, the Engine's, or a store of backups that cannot be opened.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let listed = setup::runtime()?.block_on(async {
        let manager = Manager::new(config, engine.clone());
        let backups = backup::of_settings(&manager)?;
        let known = manager.all_workspaces(true).await?;
        let lister = WorkspaceLister::new(&manager, backups.as_ref(), &engine, args.quick).await?;
        let listed = lister.list(known).await;
        manager.close().await;
        anyhow::Ok(listed)
    })?;
    table::print(args.json, &listed, HEADINGS, row)
}

const COLUMNS: usize = 9;

const HEADINGS: [&str; COLUMNS] = [
    "USER",
    "ISSUER",
    "WORKSPACE",
    "STATE",
    "SIZE",
    "AGE",
    "LAST USE",
    "BACKUP",
    "HELD",
];

fn row(workspace: &ListedWorkspace) -> [String; COLUMNS] {
    [
        workspace.user.clone(),
        workspace.issuer.clone(),
        workspace.name.clone().unwrap_or_else(unknown),
        state(workspace),
        size(workspace),
        workspace.created.as_deref().map_or_else(unknown, age),
        ago(workspace.last_used.as_deref()),
        ago(workspace.newest_backup.as_deref()),
        held(workspace),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::workspace_cells::tests::{time_ago, workspace_of};
    use super::*;

    #[test]
    fn a_row_says_what_is_known() {
        let expected = ["ada", "local", "-", "stopped", "-", "-", "-", "-", "no"];
        assert_eq!(row(&workspace_of("ada")), expected);
        let day = Some(time_ago(90_000));
        let used = ListedWorkspace {
            name: Some("chat-1".to_owned()),
            size_bytes: Some(2048),
            created: day.clone(),
            last_used: day.clone(),
            newest_backup: day,
            held: true,
            ..workspace_of("ada")
        };
        let row = row(&used);
        assert_eq!(
            (&*row[2], &*row[4], &*row[8]),
            ("chat-1", "2.00 KiB", "yes")
        );
        assert!(row[5].starts_with("1day 1h"), "{row:?}");
        for ago in &row[6..8] {
            assert!(
                ago.starts_with("1day 1h") && ago.ends_with(" ago"),
                "{row:?}"
            );
        }
    }

    #[test]
    fn hostile_names_leave_one_line_for_each_workspace() {
        let hostile = "\u{1b}[2J\r\n\u{202e}<b>".repeat(90);
        let listed = ListedWorkspace {
            name: Some(hostile.clone()),
            ..workspace_of(&hostile)
        };
        let table = table::render(HEADINGS, [row(&listed)].into_iter());
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(!table.contains(['\u{1b}', '\u{202e}', '\r']), "{table}");
    }
}
