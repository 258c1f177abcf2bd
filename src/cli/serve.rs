//! `casemate serve`.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Environment, Mode, ProcessEnvironment, SettingsArgs};
use crate::engine::{Engine, EngineAddress, EngineError, locate};
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
/// A wrong setting, or an Engine's address that cannot be one.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    only_modes_that_are_there(&config)?;
    log_to_stderr(&config)?;
    let engine = engine(&ProcessEnvironment)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime could not start")?;
    let served = runtime.block_on(async {
        let stop = stop_on_signal()?;
        let manager = Manager::new(config.clone(), engine);
        let tools = Tools::new(manager.clone(), config.user);
        stdio::serve(manager, tools, stop).await;
        Ok(())
    });
    runtime.shutdown_timeout(LAST);
    served
}

/// The settings know all modes, the sandboxes not yet.
fn only_modes_that_are_there(config: &Config) -> anyhow::Result<()> {
    let mode = config.for_user(&config.user).mode;
    let word = mode.as_str();
    anyhow::ensure!(
        mode == Mode::Persistent,
        "the mode {word} of {} is not there yet; persistent is",
        config.user
    );
    Ok(())
}

/// An Engine that is down is no error: the server must come up, and says it when
/// it is called.
fn engine(environment: &dyn Environment) -> anyhow::Result<Engine> {
    let variable = |name: &str| environment.variable(name)?.into_string().ok();
    let address = match locate(&variable) {
        Err(error @ EngineError::NotFound { .. }) => {
            tracing::warn!("{error}; until then every call says so");
            EngineAddress {
                uri: USUAL.to_owned(),
                found_by: "default".to_owned(),
            }
        }
        located => located?,
    };
    Ok(Engine::new(address)?)
}

/// Where an Engine that is installed later will be.
const USUAL: &str = "unix:///var/run/docker.sock";

fn log_to_stderr(config: &Config) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&config.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    Ok(())
}

/// Cancelled by SIGTERM and SIGINT.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopped.cancel();
    });
    Ok(stop)
}
