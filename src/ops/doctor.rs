//! Checks whether a server would work on this machine and suggests fixes.
//!
//! ```text
//! settings ─► engine: found? answers? known holes ─► host: disk, limits, confinement, clock
//!                                                └─► image ─► probe: a sandbox, read from inside
//! ```
//!
//! Invariants:
//!
//! - A failed check is a finding; independent checks still run.
//! - It changes nothing that a server would not change at its first call (preparing the image,
//!   finding the quota), except for the probe: its container and volume belong to a made-up user.
//!   They are removed; if that fails, the container stops by itself.
//! - It needs nothing from users' sandboxes, even at the limit of sandboxes. It asks those that run
//!   by which egress rules.

mod clock;
mod egress;
mod engine;
mod finding;
mod host;
mod image;
mod inside;
mod pools;
mod previews;
mod probe;
mod profile;
mod settings;
mod shared;
mod sign_in;
mod uids;
mod version;
mod vulnerabilities;

use tokio_util::sync::CancellationToken;

use crate::config::{AwsVariables, Config, ConfigError};
use crate::engine::{EngineAddress, EngineError};
use crate::ops::chain;
pub use finding::{Finding, Severity};
use probe::Probe;

/// The facts from outside this module.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The settings, or the error in them.
    pub config: Result<&'a Config, &'a ConfigError>,
    /// Whether a server that runs with these settings cannot read egress from their file either.
    pub keeps_old_egress: bool,
    /// Whether callers over HTTP could be authenticated; `http` is above this module, so the caller
    /// finds out.
    pub callers: Result<(), String>,
    /// Whether people could sign in on the page; found out in the same way.
    pub sessions: Result<(), String>,
    /// The variables with which a server would reach a bucket.
    pub aws: AwsVariables,
}

/// Runs all checks, and reports each finding at once. `stop` ends the probe early, which still
/// removes what it made.
pub async fn examine(
    given: &Inputs<'_>,
    address: Result<EngineAddress, EngineError>,
    stop: &CancellationToken,
    tell: &mut (dyn FnMut(Finding) + Send),
) {
    settings::look(given).await.into_iter().for_each(&mut *tell);
    let (engine, found) = engine::look(address).await;
    found.into_iter().for_each(&mut *tell);
    let Some(engine) = engine else {
        tell(Finding::note(
            "rest",
            "host, image and sandbox could not be checked without the Engine",
        ));
        return;
    };
    host::look(&engine).await.into_iter().for_each(&mut *tell);
    tell(clock::look(&engine).await);
    let Ok(config) = given.config else {
        tell(Finding::note(
            "rest",
            "disk, image and sandbox could not be checked without valid settings",
        ));
        return;
    };
    profile::look(&engine, config)
        .await
        .into_iter()
        .for_each(&mut *tell);
    host::bind(&engine, config)
        .await
        .into_iter()
        .for_each(&mut *tell);
    host::disk(&engine, config)
        .await
        .into_iter()
        .for_each(&mut *tell);
    egress::look(&engine, config)
        .await
        .into_iter()
        .for_each(&mut *tell);
    shared::look(&engine, config)
        .await
        .into_iter()
        .for_each(&mut *tell);
    let probe = Probe::new(&engine, config);
    let sockets = pools::sockets(&engine, config, probe.sandbox()).await;
    sockets.into_iter().for_each(&mut *tell);
    let uids = match uids::range(&engine, config).await {
        Ok(uids) => uids,
        Err(error) => {
            tell(Finding::error("uids", chain(&error)));
            return;
        }
    };
    uids::look(&engine, config, uids)
        .await
        .into_iter()
        .for_each(&mut *tell);
    let image = image::look(&engine, config, probe.sandbox(), uids).await;
    let usable = image.level < Severity::Warning;
    tell(image);
    if usable {
        probe.run(stop).await.into_iter().for_each(&mut *tell);
    } else {
        tell(Finding::note("sandbox", "not tried: there is no image"));
    }
}
