//! `casemate gc`: runs the hourly clean-up of servers now.

use std::io::Write as _;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::setup;
use crate::cli::json;
use crate::config::{AwsVariables, ProcessEnvironment, SettingsArgs};
use crate::engine::Engine;
use crate::ops::backup::{Backups, Store};
use crate::ops::gc::{Disposition, Gc, PlanItem, Scope, last_backup};
use crate::sandbox::Manager;

/// Flags of `gc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only print what would be removed, and what is kept and why.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: an array with one object per item.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Removes unused containers, images and volumes.
///
/// # Errors
/// A wrong setting, or the Engine's.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (config, engine) = setup::verb(args.settings)?;
    let audit = setup::audit(&config, &engine)?;
    let (items, is_stopped) = setup::runtime()?.block_on(async {
        let stop = setup::stop_on_signal()?;
        let manager = Manager::new(config, engine.clone()).recorded_in(audit.clone());
        let done = clean_up(&manager, engine, args.dry_run, stop.clone()).await;
        manager.close().await;
        audit.close().await;
        anyhow::Ok((done?, stop.is_cancelled()))
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        json::write(&mut out, &items)?;
    } else {
        for item in &items {
            writeln!(out, "{}", line(item))?;
        }
        if items.is_empty() {
            writeln!(out, "nothing to remove")?;
        }
    }
    anyhow::ensure!(
        !is_stopped,
        "interrupted: anything not listed was not checked"
    );
    let failed = |item: &PlanItem| matches!(item.disposition, Disposition::Failed(_));
    Ok(match items.iter().any(failed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

async fn clean_up(
    manager: &Manager,
    engine: Engine,
    plans: bool,
    stop: CancellationToken,
) -> anyhow::Result<Vec<PlanItem>> {
    let config = manager.config();
    let last_backup = match &config.backup.target {
        Some(target)
            if config.volume_retention.is_some() || config.workspace_retention.is_some() =>
        {
            let store = Store::open(target, &AwsVariables::read(&ProcessEnvironment))?;
            let backups = Backups::new(store, manager, stop.clone());
            Some(last_backup(backups, manager.clone()))
        }
        _ => None,
    };
    let mut gc = Gc::new(manager.clone(), engine, last_backup).stopping(stop);
    Ok(match plans {
        true => gc.plan(Scope::All).await?,
        false => gc.run(Scope::All).await?,
    })
}

fn line(item: &PlanItem) -> String {
    let (what, name, reason) = (item.what.as_str(), &item.name, &item.reason);
    match &item.disposition {
        Disposition::Remove => format!("would remove {what} {name}: {reason}"),
        Disposition::Removed => format!("removed {what} {name}: {reason}"),
        Disposition::Kept(why) => format!("kept {what} {name}: {why}"),
        Disposition::Failed(why) => format!("not removed {what} {name}: {why}"),
    }
}
