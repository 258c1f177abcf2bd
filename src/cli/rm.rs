//! `casemate rm`: a user's containers, and on request the user's files.

use std::io::Write as _;

use anyhow::ensure;
use serde::Serialize;

use super::setup;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::engine::labels;
use crate::identity::{Issuer, Subject, User};
use crate::ops::gc::hold;
use crate::ops::removal;
use crate::sandbox::survey;

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
            ensure!(
                occupant.end(&engine, args.force).await?,
                "{} works; wait until it is idle, or end what runs with --force",
                occupant.row.name
            );
            removed.containers.push(occupant.row.name);
        }
        if args.volume {
            removed.volumes = removal::volumes(&engine, &whose).await?;
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
