//! The start of every verb: logs, the Engine, a runtime.

use std::path::Path;

use anyhow::{Context as _, ensure};
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
use crate::config::{
    Config, EngineChoice, Environment, Origin, ProcessEnvironment, Setting, SettingsArgs,
};
use crate::engine::{self, Engine, EngineAddress, EngineError};
use crate::provision::node;

/// The start of a verb that a person runs: settings, logs of errors only, and the Engine.
///
/// # Errors
/// A wrong setting, or an invalid address of the Engine.
pub fn verb(settings: SettingsArgs) -> anyhow::Result<(Config, Engine)> {
    let config = Config::load(settings, &ProcessEnvironment)?;
    log_quietly(&config)?;
    let engine = engine(&config, &ProcessEnvironment)?;
    Ok((config, engine))
}

/// What sandboxes are made on, by the settings. An Engine that is down is not an error: the server must
/// start, and its calls report it.
///
/// # Errors
/// An invalid address, or a mode that the Engine does not have.
pub fn engine(config: &Config, environment: &dyn Environment) -> anyhow::Result<Engine> {
    let is_kubernetes = match config.engine {
        EngineChoice::Docker => false,
        EngineChoice::Kubernetes => true,
        EngineChoice::Auto => {
            environment.variable("DOCKER_HOST").is_none()
                && environment.variable("KUBERNETES_SERVICE_HOST").is_some()
                && Path::new(SERVICE_ACCOUNT).exists()
        }
    };
    match is_kubernetes {
        true => kubernetes(config),
        false => docker(environment),
    }
}

/// What a Pod with a service account has.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// # Errors
/// What is not there on Kubernetes yet, by name.
fn kubernetes(config: &Config) -> anyhow::Result<Engine> {
    ensure!(
        config.bind.is_none(),
        "mode bind is not there on Kubernetes: nodes have no directories of this machine"
    );
    ensure!(
        config.backup.every.is_none(),
        "backups are not there on Kubernetes yet: leave out backup_every"
    );
    ensure!(
        config.volume_retention.is_none(),
        "volume_retention is not there on Kubernetes yet: it needs backups"
    );
    Ok(Engine::on_kubernetes(&config.kubernetes)?)
}

/// The Docker Engine of this machine's user.
///
/// # Errors
/// An invalid address.
pub fn docker(environment: &dyn Environment) -> anyhow::Result<Engine> {
    let address = match locate(environment) {
        Err(error @ EngineError::NotFound { .. }) => {
            tracing::warn!("{error}; until it is found every call fails");
            EngineAddress {
                uri: USUAL.to_owned(),
                found_by: "default".to_owned(),
            }
        }
        located => located?,
    };
    Ok(Engine::new(address)?)
}

/// The address of the Engine, by the environment.
///
/// # Errors
/// No Engine was found, or the address is invalid.
pub fn locate(environment: &dyn Environment) -> Result<EngineAddress, EngineError> {
    engine::locate(&|name: &str| environment.variable(name)?.into_string().ok())
}

/// The address of an Engine that is installed later.
const USUAL: &str = "unix:///var/run/docker.sock";

/// Opens the audit, if the settings have one. Blocks.
///
/// # Errors
/// The directory cannot be written; a server that must record does not serve then.
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
/// Invalid log directives.
pub fn log_to_stderr(directives: &str) -> anyhow::Result<()> {
    tracing_subscriber::registry()
        .with(logs(directives)?)
        .init();
    Ok(())
}

/// As [`log_to_stderr`], and sends traces to the collector that the environment names, for as long
/// as the result is held.
///
/// # Errors
/// Invalid log directives, or a collector of traces that cannot be used.
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

/// For a verb that a person runs: logs only errors, unless the settings ask for more.
///
/// # Errors
/// Invalid log directives.
pub fn log_quietly(config: &Config) -> anyhow::Result<()> {
    let in_force = config.in_force(&config.without_token(config.user.clone()));
    let given = in_force
        .iter()
        .any(|it| it.setting == Setting::Log && it.origin != Origin::Default);
    log_to_stderr(if given { &config.log } else { "error" })
}

/// With one thread, for a server of one user, which mostly waits.
///
/// # Errors
/// The system gives no thread.
pub fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the async runtime could not start")
}

/// With one thread per core, for a server of many users.
///
/// # Errors
/// The system gives no thread.
pub fn runtime_of_many() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the async runtime could not start")
}

/// Cancelled by SIGTERM and SIGINT.
///
/// # Errors
/// The system refuses a handler.
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
