//! `casemate prepare-image`: makes the prepared image on this machine's Docker Engine, for a cluster whose
//! nodes pull it from a registry.

use std::io::Write as _;

use super::setup;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::provision;

/// Flags of `prepare-image`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "docker tag $(casemate prepare-image) registry.example.com/casemate-tools:1\n\
                  docker push registry.example.com/casemate-tools:1"
)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Prepares the image of the settings, and prints the name of the prepared one.
///
/// # Errors
/// A wrong setting, an image that cannot be used, the Engine's.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::docker(&ProcessEnvironment)?;
    let image = config
        .for_identity(&config.without_token(config.user.clone()))
        .image
        .clone();
    let prepared =
        setup::runtime()?.block_on(provision::prepare_image(&engine, &config, &image))?;
    writeln!(std::io::stdout().lock(), "{prepared}")?;
    Ok(())
}
