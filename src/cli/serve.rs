//! `casemate serve`.

use std::time::Duration;

use super::setup;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::sandbox::Manager;
use crate::stdio;
use crate::tools::Tools;

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// How long what still runs gets when everything was told to end: a read of a
/// terminal cannot be interrupted.
const LAST: Duration = Duration::from_millis(100);

/// Settings, engine, server, end.
///
/// # Errors
/// A wrong setting, no directory to bind, or an Engine's address that cannot be one.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    config.check_directory()?;
    setup::log_to_stderr(&config.log)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    let runtime = setup::runtime()?;
    let served = runtime.block_on(async {
        let stop = setup::stop_on_signal()?;
        let manager = Manager::new(config.clone(), engine);
        let tools = Tools::new(manager.clone(), config.user);
        stdio::serve(manager, tools, stop).await;
        Ok(())
    });
    runtime.shutdown_timeout(LAST);
    served
}
