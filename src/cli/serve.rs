//! `casemate serve`.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{backup, setup};
use crate::config::{AwsVariables, Bind, Config, ProcessEnvironment, SettingsArgs, listen_address};
use crate::engine::{Engine, EngineError, Quota};
use crate::http::auth::{self, Authenticator};
use crate::http::console::Console;
use crate::http::guard::OriginPolicy;
use crate::http::session::Sessions;
use crate::meter::Meter;
use crate::ops::backup::{Backups, Store, run_by_the_clock};
use crate::ops::gc::{self, Gc};
use crate::sandbox::Manager;
use crate::shares::{Links, Previews};
use crate::tools::Tools;
use crate::{http, stdio};

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Serve over HTTP on this address and port, for example 127.0.0.1:8080; a port alone means
    /// 127.0.0.1
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    http: Option<SocketAddr>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// How long remaining tasks get at the end: a read of a terminal cannot be interrupted.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs a server until it is stopped.
///
/// # Errors
/// A wrong setting, no directory to bind, or an Engine's address that cannot be one.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    config.check_directory()?;
    let _traces = setup::log_and_trace(&config.log, &ProcessEnvironment)?;
    config.renamed().for_each(|renamed| warn!("{renamed}"));
    let engine = setup::engine(&config, &ProcessEnvironment)?;
    let audit = setup::audit(&config, &engine)?;
    let runtime = match args.http {
        Some(_) => setup::runtime_of_many()?,
        None => setup::runtime()?,
    };
    let served = runtime.block_on(async {
        let stop = setup::stop_on_signal()?;
        must_have_runtime(&config, &engine).await?;
        let manager = Manager::new(config.clone(), engine.clone()).recorded_in(audit.clone());
        let egress = config.watch_egress(stop.clone());
        manager.serve_egress(egress.rules());
        tokio::spawn(measure_settings(egress.problem(), engine.meter().clone()));
        let backups = backups(&config, &manager, &stop)?;
        let admin = match config.admin {
            Some(address) => Some(listen(address).await.context("for metrics")?),
            None => None,
        };
        if let Some((listener, address)) = admin {
            // With port 0 the operator reads the port here.
            writeln!(io::stderr(), "metrics on {address}")?;
            manager.listens_on(address);
            let console = console(&config, &manager, &engine)?;
            let (manager, engine) = (manager.clone(), engine.clone());
            let served =
                http::admin::serve(listener, address, manager, engine, console, stop.clone());
            tokio::spawn(served);
        }
        let last_backup = backups.map(|backups| gc::last_backup(backups, manager.clone()));
        let gc = Gc::new(manager.clone(), engine.clone(), last_backup);
        manager.spawn(gc::hourly(gc));
        let served = match args.http {
            Some(address) => {
                if !config.all_users_bind() {
                    manager.spawn(tell_quota(engine.clone()));
                }
                serve_http(address, manager, engine, config, stop).await
            }
            None => {
                tell_person()?;
                ensure!(
                    config.workspace.is_none() || !matches!(config.bind, Some(Bind::Dir(_))),
                    "workspace has no effect with bind_dir, where the one workspace is that directory"
                );
                let identity = config.without_token(config.user.clone());
                let identity = identity.in_workspace(config.workspace.clone());
                let tools = Tools::new(manager.clone(), identity);
                stdio::serve(manager, tools, stop).await;
                Ok(())
            }
        };
        audit.close().await;
        served
    });
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    served
}

/// A server does not start without the runtime that its settings need. An Engine that does not answer
/// says nothing of its runtimes; then the calls say it.
async fn must_have_runtime(config: &Config, engine: &Engine) -> Result<(), EngineError> {
    let Some(runtime) = config.needed_runtime() else {
        return Ok(());
    };
    match engine.capabilities().await {
        Ok(capabilities) => capabilities.must_have(runtime),
        Err(_) => Ok(()),
    }
}

/// The operator's console, if there are tokens for it.
fn console(config: &Config, manager: &Manager, engine: &Engine) -> anyhow::Result<Option<Console>> {
    let Some(tokens) = &config.admin_tokens_file else {
        return Ok(None);
    };
    let backups = backup::of_settings(manager)?;
    let aws = AwsVariables::read(&ProcessEnvironment);
    let (manager, engine) = (manager.clone(), engine.clone());
    let console = Console::load(tokens, config.clone(), manager, engine, backups, aws);
    console.context("admin_tokens_file").map(Some)
}

/// Shows in the metrics whether a changed settings file can be used.
async fn measure_settings(mut problem: watch::Receiver<Option<String>>, meter: Meter) {
    loop {
        meter.egress_settings_broken(problem.borrow_and_update().is_some());
        if problem.changed().await.is_err() {
            return;
        }
    }
}

/// Pause before asking an Engine again that does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Warns the operator, once, that a user can fill the Engine's disk. A server over stdio, which is
/// started for each conversation, leaves that to `casemate doctor`.
async fn tell_quota(engine: Engine) {
    loop {
        match engine.quota().await {
            Ok(Quota::Volume) => return,
            Ok(Quota::None) => {
                warn!(
                    "the Engine cannot limit the size of volumes: a user can fill its disk. Keep \
                     its data on XFS with project quotas (mount option pquota)"
                );
                return;
            }
            Err(_) => tokio::time::sleep(RETRY_INTERVAL).await,
        }
    }
}

/// Tells a person who starts this command by hand why nothing happens.
fn tell_person() -> io::Result<()> {
    if io::stdin().is_terminal() {
        writeln!(
            io::stderr(),
            "casemate waits for an MCP client on standard input. Clients start this command by \
             themselves: see mcp.json.\n`casemate serve --http 8080` serves over HTTP. Ctrl-C ends it."
        )?;
    }
    Ok(())
}

/// Backups, if the settings use them, and a task that makes them on schedule if one is set. The
/// task ends with `stop`, or with the process: the next run removes a backup that is incomplete
/// then.
fn backups(
    config: &Config,
    manager: &Manager,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Backups>> {
    let backup = &config.backup;
    let is_needed = backup.every.is_some()
        || config.volume_retention.is_some()
        || config.workspace_retention.is_some();
    let Some(target) = backup.target.as_ref().filter(|_| is_needed) else {
        return Ok(None);
    };
    ensure!(
        backup.every.is_none() || !config.all_users_bind(),
        "backup_every does nothing in mode bind, where workspaces are directories of the host: \
         back them up there, or by casemate backup USER"
    );
    let store = Store::open(target, &AwsVariables::read(&ProcessEnvironment))?;
    let backups = Backups::new(store, manager, stop.clone())
        .verifying(backup.verify)
        .keeping(backup.keep);
    if let Some(every) = backup.every {
        tokio::spawn(run_by_the_clock(backups.clone(), manager.clone(), every));
    }
    Ok(Some(backups))
}

/// Also returns the actual address: port 0 is any free one.
async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve_http(
    address: SocketAddr,
    manager: Manager,
    engine: Engine,
    config: Config,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    ensure!(
        config.workspace.is_none(),
        "workspace is for a server over stdio: over HTTP each request names its workspace in a header"
    );
    auth::check(address, &config.http.auth)?;
    let authenticator = Arc::new(Authenticator::new(&config)?);
    let sessions = Sessions::new(&config.http, authenticator.clone())?;
    let (listener, address) = listen(address).await?;
    let links = Links::new(&config, address)?;
    // Not a log: with port 0 the operator reads the port here.
    writeln!(io::stderr(), "listening on {address}")?;
    manager.listens_on(address);
    let server = http::Server {
        sessions,
        manager,
        engine,
        authenticator,
        guard: OriginPolicy::new(&config.http, address),
        previews: Previews::new(links.clone(), &config),
        links,
    };
    server.serve(listener, stop).await;
    Ok(())
}
