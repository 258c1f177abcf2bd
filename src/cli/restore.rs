//! `casemate restore`: a backup becomes a user's workspace.

use std::fmt::Write as _;

use super::backup::{Session, summary};
use super::setup;
use super::whose::UserArgs;
use crate::config::{BackupTarget, Config, ProcessEnvironment, SettingsArgs};
use crate::identity::User;
use crate::ops::backup::Id;
use crate::ops::gc::hold;

/// Flags of `restore`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// A directory or s3://bucket/prefix; else the setting backup_target.
    #[arg(long, value_name = "TARGET")]
    from: Option<BackupTarget>,
    /// Which backup; else the newest.
    #[arg(long, value_name = "ID")]
    id: Option<Id>,
    /// Also when commands run: they are ended.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Restores. All that was written to the workspace since the backup is gone then.
///
/// # Errors
/// Why not; then the old workspace is in force.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    let user = User::from(args.user);
    let audit = setup::audit(&config, &engine)?;
    setup::runtime()?.block_on(async {
        let restored = async {
            // Its files would be gone.
            hold::check(&engine, &config.instance, &user).await?;
            let session = Session::begin(config, engine, audit.clone(), args.from)?;
            restore(&session, &user, args.id.as_ref(), args.force).await
        };
        let restored = restored.await;
        audit.close().await;
        restored
    })
}

async fn restore(
    session: &Session,
    user: &User,
    id: Option<&Id>,
    force: bool,
) -> anyhow::Result<()> {
    let shown = user.subject.as_str().escape_debug().to_string();
    session.progress.begin(&shown);
    let keeper = session.manager.keeper(user);
    let source = session.backups.find(&keeper, id).await?;
    let lost = session.backups.restore(&keeper, &source, force).await?;
    let mut told = format!("restored {shown} from {}", summary(&source.manifest));
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
