//! Shared data over all sandboxes of an instance: new versions, who holds which, and their removal.
//!
//! ```text
//!  source ─► read it: the hash ─► is there such a version? ─► yes: it counts again
//!                                       │ no
//!                                       ▼
//!  source ─► read it again ─► a new volume ─► read it back: the same hash? ─► it counts
//! ```
//!
//! Invariants:
//!
//! - A version is never changed. The content of a volume has the hash in its name: it was read back.
//! - Nothing that is killed changes what new containers have (`snapshot`).
//! - A version that a container holds is never removed: the Engine refuses.

mod archive;
mod bad_entry;
mod content;
mod directory;
mod error;
mod holders;
mod pack;
mod put;
#[cfg(test)]
mod raw_archive;
mod removal;
mod source;

use std::collections::BTreeMap;

pub use content::ContentSummary;
pub use error::SharedError;
pub use holders::{HolderSummary, SharedHolder, holders};
pub use put::{PutReport, PutResult, RetireReport};
pub use source::ContentSource;

use crate::config::SharedName;
use crate::engine::{Engine, EngineError};
use crate::identity::Instance;
use crate::provision::{SharedVolumes, sort_shared};
use crate::sandbox::Manager;

/// The shared data of an instance.
#[derive(Debug, Clone)]
pub struct SharedStore {
    manager: Manager,
    engine: Engine,
}

impl SharedStore {
    /// For the instance of `manager`. Does not reach for the Engine.
    pub fn new(manager: &Manager, engine: &Engine) -> Self {
        Self {
            manager: manager.clone(),
            engine: engine.clone(),
        }
    }

    fn instance(&self) -> &Instance {
        &self.manager.config().instance
    }

    /// All shares that have volumes, also those that the settings do not have.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn list(&self) -> Result<BTreeMap<SharedName, SharedVolumes>, EngineError> {
        list(&self.engine, self.instance()).await
    }
}

/// All shares of an instance that have volumes.
///
/// # Errors
/// The Engine's.
pub async fn list(
    engine: &Engine,
    instance: &Instance,
) -> Result<BTreeMap<SharedName, SharedVolumes>, EngineError> {
    let rows = engine.shared_volumes(instance.as_str()).await?;
    Ok(sort_shared(instance.as_str(), rows))
}
