//! `casemate backup`: workspaces into a directory or a bucket; `casemate backup verify`:
//! whether they are whole there.

use std::io::Write as _;

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;

use super::progress::Progress;
use super::setup;
use crate::audit::Audit;
use crate::config::{AwsVariables, BackupTarget, Config, ProcessEnvironment, SettingsArgs};
use crate::engine::Engine;
use crate::identity::{Issuer, Subject, User};
use crate::ops::backup::{BackupError, Backups, Consistent, Id, Manifest, Store};
use crate::sandbox::{Keeper, Manager};

/// Flags of `backup`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    whose: Whose,
    /// A directory or s3://bucket/prefix; else the setting backup_target.
    #[arg(long, value_name = "TARGET")]
    to: Option<BackupTarget>,
    /// Print JSON: an array with the manifest of each backup.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read backups whole and compare them with their hashes.
    Verify(VerifyArgs),
}

/// Flags of `backup verify`.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    whose: Whose,
    /// A directory or s3://bucket/prefix; else the setting backup_target.
    #[arg(long, value_name = "TARGET")]
    from: Option<BackupTarget>,
    /// Which backup of the user; else the newest.
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    id: Option<Id>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Whose workspaces.
#[derive(Debug, clap::Args)]
struct Whose {
    /// Users, exactly as `casemate ps` shows them.
    #[arg(
        value_name = "USER",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    users: Vec<Subject>,
    /// Who vouches for them.
    #[arg(long, default_value = "local")]
    issuer: Issuer,
    /// All who have a volume in this instance.
    #[arg(long)]
    all: bool,
}

/// What the verbs of backups work with.
pub(super) struct Session {
    pub(super) manager: Manager,
    pub(super) backups: Backups,
    pub(super) progress: Progress,
}

impl Session {
    /// To be made inside of the runtime.
    pub(super) fn begin(
        config: Config,
        engine: Engine,
        audit: Audit,
        target: Option<BackupTarget>,
    ) -> anyhow::Result<Self> {
        let target = target.or_else(|| config.backup.target.clone());
        let target = target.context("where to? name a target, or set backup_target")?;
        let store = Store::open(&target, &AwsVariables::read(&ProcessEnvironment))?;
        let stop = setup::stop_on_signal()?;
        let progress = Progress::new();
        let verify = config.backup.verify;
        let manager = Manager::new(config, engine).recorded_in(audit);
        let backups = Backups::new(store, &manager, stop)
            .verifying(verify)
            .telling(progress.listener());
        Ok(Self {
            manager,
            backups,
            progress,
        })
    }

    async fn keepers(&self, whose: Whose) -> anyhow::Result<Vec<Keeper>> {
        let users = if whose.all {
            ensure!(
                !self.manager.config().everybody_binds(),
                "in mode bind no user has a volume, and --all is nobody: name the users"
            );
            let users = self.manager.users_with_a_volume().await;
            users.map_err(BackupError::from)?
        } else {
            let user = |subject| User {
                issuer: whose.issuer.clone(),
                subject,
            };
            whose.users.into_iter().map(user).collect()
        };
        Ok(users.iter().map(|user| self.manager.keeper(user)).collect())
    }

    /// Does it for each, also when it fails for some; those that it was done for.
    async fn each<T>(
        &self,
        keepers: &[Keeper],
        operation: impl AsyncFn(&Keeper) -> Result<T, BackupError>,
        tell: impl Fn(&Keeper, &T) -> String,
    ) -> anyhow::Result<Vec<T>> {
        let (mut done, mut failed) = (Vec::new(), 0);
        for keeper in keepers {
            self.progress.begin(&shown(keeper));
            match operation(keeper).await {
                Ok(value) => {
                    self.progress.end(&tell(keeper, &value))?;
                    done.push(value);
                }
                Err(BackupError::Stopped) => bail!("stopped"),
                Err(error) if keepers.len() == 1 => return Err(error.into()),
                Err(error) => {
                    failed += 1;
                    let error = anyhow::Error::from(error);
                    self.progress
                        .end(&format!("{}: {error:#}", shown(keeper)))?;
                }
            }
        }
        ensure!(failed == 0, "{failed} of {} failed", keepers.len());
        Ok(done)
    }
}

/// A user's name is no place for what moves a cursor.
fn shown(keeper: &Keeper) -> String {
    keeper.user().subject.as_str().escape_debug().to_string()
}

/// Makes or verifies backups.
///
/// # Errors
/// A wrong setting, or why there is no backup; of several users, when one failed.
pub fn run(args: Args) -> anyhow::Result<()> {
    if let Some(Action::Verify(args)) = args.action {
        return verify(args);
    }
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    setup::runtime()?.block_on(async {
        // It removes nothing that was complete.
        let session = Session::begin(config, engine, Audit::off(), args.to)?;
        let keepers = session.keepers(args.whose).await?;
        let json = args.json;
        let tell = |keeper: &Keeper, made: &Manifest| {
            let told = format!("backed up {}: {}", shown(keeper), summary(made));
            if json { String::new() } else { told }
        };
        let make = async |keeper: &Keeper| Ok(session.backups.run(keeper).await?.manifest);
        let made = session.each(&keepers, make, tell).await?;
        if args.json {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &made)?;
            writeln!(out)?;
        }
        Ok(())
    })
}

fn verify(args: VerifyArgs) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    setup::runtime()?.block_on(async {
        let session = Session::begin(config, engine, Audit::off(), args.from)?;
        let keepers = session.keepers(args.whose).await?;
        let read = async |keeper: &Keeper| {
            let source = session.backups.find(keeper, args.id.as_ref()).await?;
            session.backups.verify(&source).await?;
            Ok(source.manifest)
        };
        let tell = |keeper: &Keeper, whole: &Manifest| {
            format!("whole: {} {}", shown(keeper), summary(whole))
        };
        session.each(&keepers, read, tell).await.map(drop)
    })
}

/// One line about a backup.
pub(super) fn summary(manifest: &Manifest) -> String {
    let warning = match manifest.consistency {
        Consistent::Changed => "WARNING: ",
        _ => "",
    };
    let left_out = manifest.left_out.sentence();
    let separator = if left_out.is_empty() { "" } else { "; " };
    format!(
        "{}, {} entries, {} ({} stored), {warning}{}{separator}{left_out}",
        manifest.id,
        manifest.entries,
        indicatif::HumanBytes(manifest.content_bytes),
        indicatif::HumanBytes(manifest.archive.bytes),
        manifest.consistency.sentence()
    )
}
