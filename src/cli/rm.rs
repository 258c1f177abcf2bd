//! `casemate rm`: a user's containers, and on request the user's files.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Serialize;

use super::setup;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::engine::{Engine, EngineError, labels};
use crate::identity::{Issuer, Subject, User};
use crate::ops::gc::hold;
use crate::sandbox::{Occupant, survey};

/// Flags of `rm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The user, exactly as `casemate ps` shows it.
    name: Subject,
    /// Who vouches for the user.
    #[arg(long, default_value = "local")]
    issuer: Issuer,
    /// Remove the volume too: all files of the user are lost.
    #[arg(long)]
    volume: bool,
    /// Also when commands run: they are ended.
    #[arg(long)]
    force: bool,
    /// Print JSON: what was removed.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What was removed.
#[derive(Debug, Default, Serialize)]
struct Removed {
    containers: Vec<String>,
    volumes: Vec<String>,
}

/// How long the Engine may take to remove a container whose PID 1 has ended.
const REMOVAL: Duration = Duration::from_secs(30);

/// Removes what belongs to the user and nothing else.
///
/// # Errors
/// A busy sandbox without `--force`, a user of whom there is nothing, the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    let whose = [
        (labels::INSTANCE, config.instance.as_str()),
        (labels::USER, args.name.as_str()),
        (labels::ISSUER, args.issuer.as_str()),
    ];
    let user = User {
        issuer: args.issuer.clone(),
        subject: args.name.clone(),
    };
    let removed = setup::runtime()?.block_on(async {
        ensure!(
            !args.volume || !hold::is_held(&engine, &config.instance, &user).await?,
            "the workspace of {:?} is held; casemate hold --release lets it go",
            user.subject.as_str()
        );
        let mut occupants = survey(&engine, &config.instance).await?;
        occupants.retain(|occupant| {
            let label = |(name, value): &(&str, &str)| {
                occupant
                    .row
                    .labels
                    .get(*name)
                    .is_some_and(|found| found == value)
            };
            whose.iter().all(label)
        });
        let mut removed = Removed::default();
        for occupant in occupants {
            end(&engine, &occupant, args.force).await?;
            removed.containers.push(occupant.row.name);
        }
        if args.volume {
            for volume in engine.list_volumes(&whose).await? {
                engine.remove_volume(&volume.name).await?;
                removed.volumes.push(volume.name);
            }
        }
        anyhow::Ok(removed)
    })?;
    let nothing = removed.containers.is_empty() && removed.volumes.is_empty();
    ensure!(
        !nothing || !args.volume,
        "there is no sandbox and no volume of {:?} in instance {:?}; casemate ps shows whose there are",
        args.name.as_str(),
        config.instance.as_str()
    );
    print(&removed, args.json)
}

/// By its own PID 1 where that answers, so that a command that begins now is not lost.
async fn end(engine: &Engine, occupant: &Occupant, force: bool) -> anyhow::Result<()> {
    let (id, name) = (&occupant.row.id, &occupant.row.name);
    if let (Some(channel), false) = (&occupant.channel, force) {
        let removal = engine.wait_removed(id);
        if !channel.retire(Duration::ZERO).await? {
            bail!("{name} works; wait until it is idle, or end what runs with --force");
        }
        let gone = tokio::time::timeout(REMOVAL, removal).await;
        if matches!(gone, Ok(Ok(_))) {
            return Ok(());
        }
    }
    remove(engine, id).await?;
    Ok(())
}

/// A volume cannot be removed before the last of its containers is gone.
async fn remove(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let removal = engine.wait_removed(id);
    engine.remove(id).await?;
    match tokio::time::timeout(REMOVAL, removal).await {
        Ok(gone) => gone.map(drop),
        // The Engine says itself what it waits for, at the next call.
        Err(_) => Ok(()),
    }
}

fn print(removed: &Removed, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, removed)?;
        writeln!(out)?;
        return Ok(());
    }
    for name in &removed.containers {
        writeln!(out, "removed container {name}")?;
    }
    for name in &removed.volumes {
        writeln!(out, "removed volume {name}")?;
    }
    if removed.containers.is_empty() && removed.volumes.is_empty() {
        writeln!(
            out,
            "no container to remove; the files stay without --volume"
        )?;
    }
    Ok(())
}
