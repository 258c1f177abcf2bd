//! `casemate shared rm`: a share with all its versions.

use std::io::Write as _;

use crate::cli::json;
use crate::cli::setup;
use crate::config::{SettingsArgs, SharedName};
use crate::ops::shared::SharedStore;
use crate::sandbox::Manager;

/// Flags of `shared rm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The share. It need not be in the settings any more.
    #[arg(value_name = "NAME")]
    name: SharedName,
    /// Print JSON: an array with the removed volumes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Removes the volumes.
///
/// # Errors
/// A sandbox holds one; no such share; the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let (config, engine) = setup::verb(args.settings)?;
    let audit = setup::audit(&config, &engine)?;
    let removed = setup::runtime()?.block_on(async {
        let manager = Manager::new(config, engine.clone()).recorded_in(audit.clone());
        let removed = SharedStore::new(&manager, &engine).remove(&args.name).await;
        manager.close().await;
        audit.close().await;
        removed
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        json::write(&mut out, &removed)?;
        return Ok(());
    }
    for volume in &removed {
        writeln!(
            out,
            "removed volume {volume} of the shared data {}",
            args.name
        )?;
    }
    Ok(())
}
