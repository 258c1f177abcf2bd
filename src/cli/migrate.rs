//! `casemate migrate`: moves workspaces of older versions to their users' own uids.

use super::each::{each, shown};
use super::progress::Progress;
use super::setup;
use super::user_args::{UsersArgs, find_user, on_volumes};
use crate::config::SettingsArgs;
use crate::identity::{Issuer, Subject, User};
use crate::ops::backup::{BackupError, MigratedWorkspace, Migration};
use crate::sandbox::Manager;
use crate::snapshot::Snapshots;

/// Flags of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    users: UsersArgs,
    /// Move a workspace even if its user's commands run; they are ended.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Moves each workspace that does not have its user's uid into a volume that has it.
///
/// # Errors
/// A wrong setting, or a failed move, after which the old volume stays in use.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let audit = setup::audit(&config, &engine)?;
    setup::runtime()?.block_on(async {
        let instance = config.instance.clone();
        let manager = Manager::new(config, engine.clone()).recorded_in(audit.clone());
        let migrated = async {
            let user = async |name: &Subject, issuer: Option<&Issuer>| {
                find_user(&engine, &instance, name, issuer).await
            };
            let known = async |user: &User| on_volumes(&manager, user).await;
            let workspaces = args.users.workspaces(&manager, user, known).await?;
            migrate(&manager, &workspaces, args.force).await
        };
        let migrated = migrated.await;
        manager.close().await;
        audit.close().await;
        migrated
    })
}

async fn migrate(manager: &Manager, workspaces: &[Snapshots], force: bool) -> anyhow::Result<()> {
    let progress = Progress::new();
    let tell = progress.listener();
    let migration = Migration {
        manager,
        force,
        stop: setup::stop_on_signal()?,
        tell: &tell,
    };
    let move_one = async |snapshots: &Snapshots| {
        if !snapshots.exists().await? {
            return Err(BackupError::NoWorkspace(snapshots.workspace().to_string()));
        }
        migration.run(snapshots).await
    };
    let tell = |snapshots: &Snapshots, migrated: &Option<MigratedWorkspace>| {
        let told = migrated
            .as_ref()
            .map_or("nothing to do".to_owned(), summary);
        format!("{}: {told}", shown(snapshots))
    };
    each(&progress, workspaces, move_one, tell).await.map(drop)
}

fn summary(migrated: &MigratedWorkspace) -> String {
    format!(
        "moved to uid {}: {} entries, {}{}",
        migrated.uid,
        migrated.counted.entries,
        indicatif::HumanBytes(migrated.counted.content),
        migrated.left_out.clause()
    )
}
