//! Clean-up: what nobody needs any more is planned, recorded and removed.
//!
//! ```text
//! containers that were made and never started        a minute old
//! prepared images that others have replaced           an hour old
//! volumes of workspaces unused for volume_retention   backed up first
//!
//! of each kind, one kind after the other:
//! plan ─► record "begun" ─► remove ─► record "done"
//! ```
//!
//! Invariants:
//! - Nothing without our labels is touched, nor what another instance has.
//! - Who is killed in between leaves nothing half: the next run plans anew.
//! - A volume is removed only after a backup of it was verified, and only when nobody used
//!   the workspace meanwhile. Without a target for backups none is.
//! - What cannot be recorded is not removed.

mod error;
pub mod hold;
mod last_backup;
mod plan;
mod remove;
mod rules;
mod timer;

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

pub use error::GcError;
pub use last_backup::{Backup, last_backup};
pub use plan::{Disposition, PlanItem, ResourceKind};
pub use timer::hourly;

use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::sandbox::Manager;

/// Whatever is cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What hinders others: rows of containers that never ran.
    Containers,
    /// Images and volumes too.
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
            ],
        }
    }
}

/// Cleans up an instance.
pub struct Gc {
    manager: Manager,
    engine: Engine,
    backup: Option<Backup>,
    /// When a volume may be due: a look into it makes a container, and is not worth that
    /// before.
    next_look: HashMap<String, SystemTime>,
    /// Nothing more is begun.
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
            stop: CancellationToken::new(),
        }
    }

    /// The same, which begins nothing more when `stop` is cancelled: what it has not come
    /// to by then is not in its answer.
    pub fn stopping(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// Plans and does it, one kind after the other: rows that never ran hold names and
    /// room, and do not wait for looks into volumes. What could not be removed is there
    /// with the reason.
    ///
    /// # Errors
    /// The Engine's while it is planned.
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
