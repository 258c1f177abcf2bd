//! Clean-up of unused containers, images and volumes.
//!
//! ```text
//! containers that were made but never started        a minute old
//! prepared images that others have replaced           an hour old
//! volumes of workspaces unused for volume_retention   backed up first
//! older versions of shared data that are not in use   10 minutes after the newest
//!
//! of each kind, one kind after the other:
//! plan ─► record "begun" ─► remove ─► record "done"
//! ```
//!
//! Invariants:
//! - Only resources with the labels of this instance are touched.
//! - A kill at any point is safe: the next run plans from scratch.
//! - A volume is removed only after a verified backup, and only if the workspace was not used since
//!   then. Without a target for backups volumes are kept.
//! - Nothing is removed without a record in the audit.

mod error;
pub mod hold;
mod last_backup;
mod plan;
mod remove;
mod rules;
mod shared;
mod timer;

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

pub use error::GcError;
pub use last_backup::{Backup, last_backup};
pub use plan::{Disposition, PlanItem, ResourceKind};
pub use shared::SharedAges;
pub use timer::hourly;

use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::sandbox::Manager;

/// How much a run cleans up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only containers that never ran, which can block others.
    Containers,
    /// Images, volumes and shared data too.
    All,
}

impl Scope {
    fn kinds(self) -> &'static [ResourceKind] {
        match self {
            Self::Containers => &[ResourceKind::Container],
            Self::All => &[
                ResourceKind::Container,
                ResourceKind::Image,
                ResourceKind::Volume,
                ResourceKind::Shared,
            ],
        }
    }
}

/// Cleans up an instance.
pub struct Gc {
    manager: Manager,
    engine: Engine,
    backup: Option<Backup>,
    /// When each volume may be due. Earlier checks are not worth the container that they need.
    next_look: HashMap<String, SystemTime>,
    /// What of shared data is too young.
    shared_ages: SharedAges,
    /// Once cancelled, no further item is begun.
    stop: CancellationToken,
}

impl fmt::Debug for Gc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gc")
            .field("backup", &self.backup.is_some())
            .finish_non_exhaustive()
    }
}

impl Gc {
    /// For the instance of `manager`. Without `backup` volumes are kept.
    pub fn new(manager: Manager, engine: Engine, backup: Option<Backup>) -> Self {
        Self {
            manager,
            engine,
            backup,
            next_look: HashMap::new(),
            shared_ages: SharedAges::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Begins no further item after `stop` is cancelled; the remaining items are not in the result.
    pub fn stopping(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// With other ages of shared data than usual.
    pub fn with_shared_ages(self, shared_ages: SharedAges) -> Self {
        Self {
            shared_ages,
            ..self
        }
    }

    /// Plans and cleans up, one kind after the other: containers that never ran block names and
    /// capacity, so they do not wait for the checks of volumes. Failed removals are in the result
    /// with the reason.
    ///
    /// # Errors
    /// The Engine's during planning.
    pub async fn run(&mut self, scope: Scope) -> Result<Vec<PlanItem>, GcError> {
        let mut done = Vec::new();
        for what in scope.kinds() {
            let mut items = self.plan_kind(*what).await?;
            for item in &mut items {
                if item.disposition == Disposition::Remove && !self.stop.is_cancelled() {
                    item.disposition = self.remove(item).await;
                }
            }
            done.extend(items);
        }
        Ok(done)
    }
}
