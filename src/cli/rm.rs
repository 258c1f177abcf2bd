//! `casemate rm`: a user's containers, and on request the user's files.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::setup;
use super::user_args::UserArgs;
use crate::audit::Audit;
use crate::config::SettingsArgs;
use crate::engine::{Engine, labels};
use crate::identity::{Instance, User};
use crate::ops::gc::hold;
use crate::ops::removal::AuditedRemoval;
use crate::provision::{removal_order, survey};

/// Flags of `rm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// Remove the volume too: all files of the user are lost.
    #[arg(long)]
    volume: bool,
    /// Even if commands run; they are ended.
    #[arg(long)]
    force: bool,
    /// Print JSON: the removed containers and volumes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// The removed containers and volumes.
#[derive(Debug, Serialize)]
struct RemovedResources {
    user: String,
    issuer: String,
    containers: Vec<String>,
    volumes: Vec<String>,
}

/// Removes the user's containers, and the user's volumes if asked to.
///
/// # Errors
/// A busy sandbox without `--force`; no user of this name, or several; the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let audit = setup::audit(&config, &engine)?;
    let removed = setup::runtime()?.block_on(async {
        let user = args.user.resolve(&engine, &config.instance).await?;
        let removal = UserRemoval {
            engine,
            audit: audit.clone(),
            instance: config.instance.clone(),
            user,
        };
        let removed = removal.run(args.force, args.volume).await;
        audit.close().await;
        removed
    })?;
    print(&removed, args.json)
}

/// The removal for one user.
struct UserRemoval {
    engine: Engine,
    audit: Audit,
    instance: Instance,
    user: User,
}

impl UserRemoval {
    async fn run(&self, force: bool, files: bool) -> anyhow::Result<RemovedResources> {
        let (engine, user) = (&self.engine, &self.user);
        if files {
            hold::check(engine, &self.instance, user).await?;
        }
        let selection = [
            (labels::INSTANCE, self.instance.as_str()),
            (labels::USER, user.subject.as_str()),
            (labels::ISSUER, user.issuer.as_str()),
        ];
        let mut removed = RemovedResources {
            user: user.subject.as_str().to_owned(),
            issuer: user.issuer.as_str().to_owned(),
            containers: Vec::new(),
            volumes: Vec::new(),
        };
        for sandbox in survey(engine, &self.instance).await? {
            let labels = &sandbox.row.labels;
            let has =
                |(name, value): &(&str, &str)| labels.get(*name).is_some_and(|own| own == value);
            if !selection.iter().all(has) {
                continue;
            }
            let recorded = self.record("container", &sandbox.row.id).await?;
            let ended = sandbox.end(engine, force).await;
            if matches!(ended, Ok(false)) {
                recorded.end("kept: it is busy".to_owned()).await;
                bail!(
                    "{} is busy; wait until it is idle, or use --force to end what runs",
                    sandbox.row.name
                );
            }
            recorded.done(ended).await?;
            removed.containers.push(sandbox.row.name);
        }
        if files {
            let volumes = engine.list_volumes(&selection).await?;
            // In this order, a kill or a volume in use leaves the same workspace in force.
            for volume in removal_order(&self.instance, user, volumes) {
                let recorded = self.record("volume", &volume.name).await?;
                recorded
                    .done(engine.remove_volume(&volume.name).await)
                    .await?;
                removed.volumes.push(volume.name);
            }
        }
        Ok(removed)
    }

    async fn record(&self, what: &'static str, name: &str) -> anyhow::Result<AuditedRemoval> {
        let reason = "casemate rm";
        let recorded =
            AuditedRemoval::begin(&self.audit, what, name, Some(&self.user), reason).await;
        recorded.context("not removed, because it could not be recorded")
    }
}

fn print(removed: &RemovedResources, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, removed)?;
        writeln!(out)?;
        return Ok(());
    }
    let user = format!("{:?} of {:?}", removed.user, removed.issuer);
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
