//! `casemate migrate`: gives workspaces from before users had uids to their users' own.

use anyhow::{bail, ensure};

use super::progress::Progress;
use super::setup;
use super::whose::place;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::identity::{Issuer, Subject, User};
use crate::ops::backup::{BackupError, Migration};
use crate::ops::users;
use crate::sandbox::{Keeper, Manager};

/// Flags of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Users, exactly as `casemate ps` shows them.
    #[arg(
        value_name = "USER",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    users: Vec<Subject>,
    /// The issuer of the users, where more than one has a user of this name.
    #[arg(long)]
    issuer: Option<Issuer>,
    /// All who have a volume in this instance.
    #[arg(long)]
    all: bool,
    /// Also when commands run: they are ended.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Moves each workspace that has not its user's uid into a volume that has.
///
/// # Errors
/// A wrong setting, or why not; of several users, when it failed for one. The old volume is in
/// force then.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    let audit = setup::audit(&config, &engine)?;
    setup::runtime()?.block_on(async {
        let instance = config.instance.clone();
        let manager = Manager::new(config, engine.clone()).recorded_in(audit.clone());
        let migrated = async {
            let users = match args.all {
                true => manager.users_with_a_volume().await?,
                false => {
                    let mut users = Vec::new();
                    for name in &args.users {
                        let known = users::on_engine(&engine, &instance, name).await?;
                        let issuer = args.issuer.as_ref();
                        users.push(users::resolve(name, issuer, known, &place(&instance))?);
                    }
                    users
                }
            };
            migrate(&manager, &users, args.force).await
        };
        let migrated = migrated.await;
        manager.close().await;
        audit.close().await;
        migrated
    })
}

async fn migrate(manager: &Manager, users: &[User], force: bool) -> anyhow::Result<()> {
    let progress = Progress::new();
    let tell = progress.listener();
    let migration = Migration {
        manager,
        force,
        stop: setup::stop_on_signal()?,
        tell: &tell,
    };
    let mut failed = 0;
    for user in users {
        let keeper = manager.keeper(user);
        let shown = user.subject.as_str().escape_debug().to_string();
        progress.begin(&shown);
        match one(&migration, &keeper).await {
            Ok(told) => progress.end(&format!("{shown}: {told}"))?,
            Err(BackupError::Stopped) => bail!("stopped"),
            Err(error) if users.len() == 1 => return Err(error.into()),
            Err(error) => {
                failed += 1;
                let error = anyhow::Error::from(error);
                progress.end(&format!("{shown}: {error:#}"))?;
            }
        }
    }
    ensure!(failed == 0, "{failed} of {} failed", users.len());
    Ok(())
}

async fn one(migration: &Migration<'_>, keeper: &Keeper) -> Result<String, BackupError> {
    if !keeper.exists().await? {
        return Err(BackupError::NoWorkspace(keeper.user().to_string()));
    }
    Ok(match migration.run(keeper).await? {
        Some(migrated) => {
            let left_out = migrated.left_out.sentence();
            let separator = if left_out.is_empty() { "" } else { "; " };
            format!(
                "moved to uid {}: {} entries, {}{separator}{left_out}",
                migrated.uid,
                migrated.counted.entries,
                indicatif::HumanBytes(migrated.counted.content)
            )
        }
        None => "nothing to do".to_owned(),
    })
}
