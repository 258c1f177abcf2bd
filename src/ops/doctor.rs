//! Whether a server would work here, and what is in the way: looks at all that it stands on, tries
//! out one sandbox, and says of each what was found and what mends it.
//!
//! ```text
//! settings ─► engine: found? answers? known holes ─► host: disk, limits, confinement, clock
//!                                                └─► image ─► trial: a sandbox, read from inside
//! ```
//!
//! Invariants:
//!
//! - What fails is a finding, and what does not need it is looked at all the same.
//! - It changes nothing that a server would not do at its first call (the image is prepared, and
//!   the quota found by trying), but for the trial: its container and volume are those of a user
//!   whom nobody else is. They are removed, and the container ends itself where that fails.
//! - It asks no user's sandbox for anything, also where there are as many as may be.

mod clock;
mod engine;
mod finding;
mod host;
mod image;
mod inside;
mod pools;
mod probe;
mod settings;
mod uids;
mod version;
mod vulnerabilities;

use tokio_util::sync::CancellationToken;

use crate::config::{AwsVariables, Config, ConfigError};
use crate::engine::{EngineAddress, EngineError};
use crate::ops::chain;
pub use finding::{Finding, Severity};
use probe::Probe;

/// What is looked at.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The settings, or what is wrong with them.
    pub config: Result<&'a Config, &'a ConfigError>,
    /// Whether callers over HTTP could be told apart, or why not: who serves them lies above here.
    pub callers: Result<(), String>,
    /// What a server would reach a bucket with.
    pub aws: AwsVariables,
}

/// Looks at everything, and tells each finding as soon as there is one. `stop` ends the trial
/// early; what it made is removed then too.
pub async fn examine(
    given: &Inputs<'_>,
    address: Result<EngineAddress, EngineError>,
    stop: &CancellationToken,
    tell: &mut dyn FnMut(Finding),
) {
    settings::look(given).await.into_iter().for_each(&mut *tell);
    let (engine, found) = engine::look(address).await;
    found.into_iter().for_each(&mut *tell);
    let Some(engine) = engine else {
        tell(Finding::note(
            "rest",
            "host, image and sandbox could not be looked at without the Engine",
        ));
        return;
    };
    host::look(&engine).await.into_iter().for_each(&mut *tell);
    tell(clock::look(&engine).await);
    let Ok(config) = given.config else {
        tell(Finding::note(
            "rest",
            "disk, image and sandbox could not be looked at without valid settings",
        ));
        return;
    };
    host::disk(&engine, config)
        .await
        .into_iter()
        .for_each(&mut *tell);
    let trial = Probe::new(&engine, config);
    let sockets = pools::sockets(&engine, config, trial.sandbox()).await;
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
    let image = image::look(&engine, trial.sandbox(), uids).await;
    let usable = image.level < Severity::Warning;
    tell(image);
    if usable {
        trial.run(stop).await.into_iter().for_each(&mut *tell);
    } else {
        tell(Finding::note(
            "sandbox",
            "none was tried out without an image",
        ));
    }
}
