//! What every verb begins with: logs, the Engine, a runtime.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use super::traces::{self, Traces};
use crate::audit::{self, Audit};
use crate::config::{Config, Environment, Origin, ProcessEnvironment, Setting, SettingsArgs};
use crate::engine::{self, Engine, EngineAddress, EngineError};
use crate::provision::node;

/// What a verb that a person runs begins with: its settings, logs of errors alone, and the Engine.
///
/// # Errors
/// A wrong setting, or an address of the Engine that cannot be one.
pub fn verb(settings: SettingsArgs) -> anyhow::Result<(Config, Engine)> {
    let config = Config::load(settings, &ProcessEnvironment)?;
    log_quietly(&config)?;
    let engine = engine(&ProcessEnvironment)?;
    Ok((config, engine))
}

/// An Engine that is down is no error: the server must come up, and says it when
/// it is called.
///
/// # Errors
/// An address that cannot be one.
pub fn engine(environment: &dyn Environment) -> anyhow::Result<Engine> {
    let address = match locate(environment) {
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

/// Where the Engine is, by the environment.
///
/// # Errors
/// None is there, or an address that cannot be one.
pub fn locate(environment: &dyn Environment) -> Result<EngineAddress, EngineError> {
    engine::locate(&|name: &str| environment.variable(name)?.into_string().ok())
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
    tracing_subscriber::registry()
        .with(logs(directives)?)
        .init();
    Ok(())
}

/// As [`log_to_stderr`]; and traces go where the environment says, as long as what is
/// returned is held.
///
/// # Errors
/// Directives that are none, a collector of traces that cannot be used.
pub fn log_and_trace(directives: &str, environment: &dyn Environment) -> anyhow::Result<Traces> {
    let (layer, traces) = traces::layer(environment)?;
    let subscriber = tracing_subscriber::registry().with(layer);
    subscriber.with(logs(directives)?).init();
    Ok(traces)
}

fn logs<S>(directives: &str) -> anyhow::Result<impl Layer<S> + use<S>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    Ok(tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .with_filter(EnvFilter::try_new(directives)?))
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
