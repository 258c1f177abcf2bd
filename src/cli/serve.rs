//! `casemate serve`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::setup;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::http::auth::{self, Authenticator};
use crate::http::guard::Guard;
use crate::sandbox::Manager;
use crate::tools::Tools;
use crate::{http, stdio};

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Serve over HTTP on this address and port instead, for example 127.0.0.1:8080
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
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
    setup::log_to_stderr(&config.log)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    let runtime = setup::runtime()?;
    let served = runtime.block_on(async {
        let stop = setup::stop_on_signal()?;
        let manager = Manager::new(config.clone(), engine);
        let Some(address) = args.http else {
            let tools = Tools::new(manager.clone(), config.user);
            stdio::serve(manager, tools, stop).await;
            return Ok(());
        };
        auth::check(address, &config.http.auth)?;
        let authenticator = Arc::new(Authenticator::new(&config)?);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let guard = Guard::new(&config.http, address);
        tracing::info!("listening on http://{address}");
        http::serve(listener, manager, authenticator, guard, stop).await?;
        Ok(())
    });
    runtime.shutdown_timeout(LAST);
    served
}
