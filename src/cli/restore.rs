//! `casemate restore`: makes a backup the user's workspace.

use std::fmt::Write as _;

use super::backup::{Session, summary};
use super::setup;
use super::user_args::{UserArgs, WorkspaceArgs};
use crate::config::{BackupTarget, SettingsArgs};
use crate::identity::WorkspaceId;
use crate::ops::backup::Id;
use crate::ops::gc::hold;

/// Flags of `restore`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    workspace: WorkspaceArgs,
    /// A directory or s3://bucket/prefix; default: the setting backup_target.
    #[arg(long, value_name = "TARGET")]
    from: Option<BackupTarget>,
    /// Which backup; default: the newest.
    #[arg(long, value_name = "ID")]
    id: Option<Id>,
    /// Restore even if commands run in the workspace; they are ended.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Restores the workspace. Everything written to it since the backup is lost.
///
/// # Errors
/// It failed; the old workspace stays in use.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let audit = setup::audit(&config, &engine)?;
    setup::runtime()?.block_on(async {
        let restored = async {
            let instance = config.instance.clone();
            let session = Session::begin(config, engine.clone(), audit.clone(), args.from)?;
            let user = session
                .stored_user(args.user.name(), args.user.issuer())
                .await?;
            // A restore replaces the user's files.
            let workspace = args.workspace.of(user);
            hold::check(&engine, &instance, &workspace).await?;
            restore(&session, &workspace, args.id.as_ref(), args.force).await
        };
        let restored = restored.await;
        audit.close().await;
        restored
    })
}

async fn restore(
    session: &Session,
    workspace: &WorkspaceId,
    id: Option<&Id>,
    force: bool,
) -> anyhow::Result<()> {
    session.progress.begin(&workspace.shown());
    let snapshots = session.manager.snapshots(workspace);
    let source = session.backups.find(&snapshots, id).await?;
    let lost = session.backups.restore(&snapshots, &source, force).await?;
    let mut told = format!("restored {workspace} from {}", summary(&source.manifest));
    if let Some(first) = lost.first {
        let entries = lost.entries;
        let _ = write!(
            told,
            "\nWARNING: the disk could not keep the times or extended attributes of {entries} \
             entries, first {first}; all files are whole"
        );
    }
    session.progress.end(&told)
}
