//! What every verb begins with: logs, the Engine, a runtime.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::audit::{self, Audit};
use crate::config::{Config, Environment, Origin, Setting};
use crate::engine::{Engine, EngineAddress, EngineError, locate};
use crate::sandbox::node;

/// An Engine that is down is no error: the server must come up, and says it when
/// it is called.
///
/// # Errors
/// An address that cannot be one.
pub fn engine(environment: &dyn Environment) -> anyhow::Result<Engine> {
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

/// Where calls are recorded, as the settings say. Blocks.
///
/// # Errors
/// A directory that cannot be written to: a server that must record does not serve then.
pub fn audit(config: &Config, engine: &Engine) -> anyhow::Result<Audit> {
    let Some(directory) = &config.audit else {
        return Ok(Audit::off());
    };
    let directory = directory.as_path().to_owned();
    let instance = config.instance.as_str().to_owned();
    let options = audit::Options::new(directory, config.audit_content, node(), instance);
    Ok(Audit::open(options, engine.meter().clone())?)
}

/// Logs go to stderr: stdout is MCP's, or the answer's.
///
/// # Errors
/// Directives that are none.
pub fn log_to_stderr(directives: &str) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(directives)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    Ok(())
}

/// For a verb that a person runs: only what went wrong, unless the settings ask for
/// more.
///
/// # Errors
/// Directives that are none.
pub fn log_quietly(config: &Config) -> anyhow::Result<()> {
    let in_force = config.in_force(&config.user);
    let given = in_force
        .iter()
        .any(|it| it.setting == Setting::Log && it.origin != Origin::Default);
    log_to_stderr(if given { &config.log } else { "error" })
}

/// One thread: a server of one user waits most of the time.
///
/// # Errors
/// When the system gives none.
pub fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime could not start")
}

/// A thread a core: a server of many users.
///
/// # Errors
/// When the system gives none.
pub fn runtime_of_many() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime could not start")
}

/// Cancelled by SIGTERM and SIGINT.
///
/// # Errors
/// When the system refuses a handler.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
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
