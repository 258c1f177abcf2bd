//! `casemate backup` copies workspaces to a directory or a bucket, `casemate backup verify` checks
//! the copies, and `casemate backup list` lists them.

mod list;

use anyhow::Context as _;
use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use super::each::{each, shown};
use super::progress::Progress;
use super::setup;
use super::user_args::{UsersArgs, on_volumes, search_scope};
use crate::audit::Audit;
use crate::cli::json;
use crate::config::{AwsVariables, BackupTarget, Config, ProcessEnvironment, SettingsArgs};
use crate::engine::Engine;
use crate::identity::{Issuer, Subject, User, WorkspaceId};
use crate::ops::backup::{Backups, Id, Manifest, ManifestConsistency, Store};
use crate::ops::users::{self, UserError};
use crate::sandbox::Manager;
use crate::snapshot::Snapshots;

/// Flags of `backup`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    selection: UsersArgs,
    /// A directory or s3://bucket/prefix; default: the setting backup_target.
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
    /// Read whole backups and compare them with their hashes.
    Verify(VerifyArgs),
    /// List the backups.
    List(list::Args),
}

/// Flags of `backup verify`.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    selection: UsersArgs,
    /// A directory or s3://bucket/prefix; default: the setting backup_target.
    #[arg(long, value_name = "TARGET")]
    from: Option<BackupTarget>,
    /// Which backup of the workspace; default: the newest of each.
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    id: Option<Id>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Those of the setting `backup_target`, if it is set, to be listed.
///
/// # Errors
/// The store cannot be opened.
pub(super) fn of_settings(manager: &Manager) -> anyhow::Result<Option<Backups>> {
    let Some(target) = &manager.config().backup.target else {
        return Ok(None);
    };
    let store = Store::open(target, &AwsVariables::read(&ProcessEnvironment));
    let store = store.context("the backups cannot be listed")?;
    let never = CancellationToken::new();
    Ok(Some(Backups::new(store, manager, never)))
}

/// Where a user's name is looked up.
#[derive(Clone, Copy)]
enum UserLookup {
    /// Those that have a container or a volume.
    ToEngine,
    /// Those that have a backup.
    ToStore,
}

/// The parts that the verbs of backups share.
pub(super) struct Session {
    engine: Engine,
    pub(super) manager: Manager,
    pub(super) backups: Backups,
    pub(super) progress: Progress,
}

impl Session {
    /// Must be created inside the runtime.
    pub(super) fn begin(
        config: Config,
        engine: Engine,
        audit: Audit,
        target: Option<BackupTarget>,
    ) -> anyhow::Result<Self> {
        let target = target.or_else(|| config.backup.target.clone());
        let target = target.context("no target for backups: name one, or set backup_target")?;
        let store = Store::open(&target, &AwsVariables::read(&ProcessEnvironment))?;
        let stop = setup::stop_on_signal()?;
        let progress = Progress::new();
        let verify = config.backup.verify;
        let manager = Manager::new(config, engine.clone()).recorded_in(audit);
        let backups = Backups::new(store, &manager, stop)
            .verifying(verify)
            .with_listener(progress.listener());
        Ok(Self {
            engine,
            manager,
            backups,
            progress,
        })
    }

    /// The user of this name that has backups here, or otherwise one that the Engine knows, so that
    /// the error is about its backups.
    ///
    /// # Errors
    /// No such user, or several; the store's.
    pub(super) async fn stored_user(
        &self,
        name: &Subject,
        issuer: Option<&Issuer>,
    ) -> anyhow::Result<User> {
        let known = self.backups.workspaces(Some(name)).await?;
        let known = known.into_iter().map(|workspace| workspace.user);
        let place = format!("with a readable backup in {}", self.backups.target());
        match users::resolve(name, issuer, known, &place) {
            Err(error @ UserError::Unknown { .. }) => {
                let known = self.engine_user(name, issuer).await;
                known.map_err(|_| error.into())
            }
            resolved => Ok(resolved?),
        }
    }

    /// The user of this name that has a container or a volume, or whose workspace is a directory of
    /// the host, which leaves no trace on the Engine.
    async fn engine_user(&self, name: &Subject, issuer: Option<&Issuer>) -> anyhow::Result<User> {
        let instance = &self.manager.config().instance;
        let known = users::on_engine(&self.engine, instance, name).await?;
        match users::resolve(name, issuer, known, &search_scope(instance)) {
            Err(error @ UserError::Unknown { .. }) => {
                let user = User {
                    issuer: issuer.cloned().unwrap_or_else(Issuer::local),
                    subject: name.clone(),
                };
                let is_bound = self.manager.snapshots(&user.clone().into()).is_bound();
                is_bound.then_some(user).ok_or_else(|| error.into())
            }
            resolved => Ok(resolved?),
        }
    }

    /// The workspaces of the user that have backups here.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn stored_workspaces(&self, user: &User) -> anyhow::Result<Vec<WorkspaceId>> {
        let mut all = self.backups.workspaces(Some(&user.subject)).await?;
        all.retain(|workspace| workspace.user == *user);
        Ok(all)
    }

    async fn workspaces(
        &self,
        selection: &UsersArgs,
        known: UserLookup,
    ) -> anyhow::Result<Vec<Snapshots>> {
        let user = async |name: &Subject, issuer: Option<&Issuer>| match known {
            UserLookup::ToStore => self.stored_user(name, issuer).await,
            UserLookup::ToEngine => self.engine_user(name, issuer).await,
        };
        let theirs = async |user: &User| match known {
            UserLookup::ToStore => self.stored_workspaces(user).await,
            UserLookup::ToEngine => on_volumes(&self.manager, user).await,
        };
        selection.workspaces(&self.manager, user, theirs).await
    }
}

/// Makes or verifies backups.
///
/// # Errors
/// A wrong setting, or why there is no backup; of several users, when one failed.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.action {
        Some(Action::Verify(args)) => return verify(args),
        Some(Action::List(args)) => return list::run(args),
        None => {}
    }
    let (config, engine) = setup::verb(args.settings)?;
    setup::runtime()?.block_on(async {
        // A stopped run removes no complete backup.
        let session = Session::begin(config, engine, Audit::off(), args.to)?;
        let workspaces = session
            .workspaces(&args.selection, UserLookup::ToEngine)
            .await?;
        let json = args.json;
        let tell = |snapshots: &Snapshots, made: &Manifest| {
            let told = format!("backed up {}: {}", shown(snapshots), summary(made));
            if json { String::new() } else { told }
        };
        let make = async |snapshots: &Snapshots| Ok(session.backups.run(snapshots).await?.manifest);
        let made = each(&session.progress, &workspaces, make, tell).await?;
        if args.json {
            let mut out = std::io::stdout().lock();
            json::write(&mut out, &made)?;
        }
        Ok(())
    })
}

fn verify(args: VerifyArgs) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    setup::runtime()?.block_on(async {
        let session = Session::begin(config, engine, Audit::off(), args.from)?;
        let workspaces = session
            .workspaces(&args.selection, UserLookup::ToStore)
            .await?;
        let read = async |snapshots: &Snapshots| {
            let source = session.backups.find(snapshots, args.id.as_ref()).await?;
            session.backups.verify(&source).await?;
            Ok(source.manifest)
        };
        let tell = |snapshots: &Snapshots, whole: &Manifest| {
            format!("whole: {} {}", shown(snapshots), summary(whole))
        };
        each(&session.progress, &workspaces, read, tell)
            .await
            .map(drop)
    })
}

/// One line about a backup.
pub(super) fn summary(manifest: &Manifest) -> String {
    let warning = match manifest.consistency {
        ManifestConsistency::Changed => "WARNING: ",
        _ => "",
    };
    format!(
        "{}, {} entries, {} ({} stored), {warning}{}{}",
        manifest.id,
        manifest.entries,
        indicatif::HumanBytes(manifest.content_bytes),
        indicatif::HumanBytes(manifest.archive.bytes),
        manifest.consistency.sentence(),
        manifest.left_out.clause()
    )
}
