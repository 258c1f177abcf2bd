//! Permanent removals and their records in the audit.

use std::time::Duration;

use tracing::warn;

use crate::audit::{Audit, AuditSubject, AuditWriteError, RemovalRecord};
use crate::engine::{Engine, EngineError};
use crate::identity::User;

/// How long the Engine may take to remove a container whose PID 1 has ended.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Ends a container with all its processes and waits until it is gone, because its volume cannot be
/// removed earlier.
///
/// # Errors
/// The Engine's.
pub async fn container(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let removal = engine.wait_removed(id);
    engine.remove(id).await?;
    match tokio::time::timeout(REMOVAL_TIMEOUT, removal).await {
        Ok(gone) => gone.map(drop),
        // If it takes longer, the Engine's next answer says why.
        Err(_) => Ok(()),
    }
}

/// Removes the volumes with all of these labels. Returns their names.
///
/// # Errors
/// [`EngineError::InUse`] while a container uses one; otherwise the Engine's.
pub async fn volumes(engine: &Engine, whose: &[(&str, &str)]) -> Result<Vec<String>, EngineError> {
    let mut removed = Vec::new();
    for volume in engine.list_volumes(whose).await? {
        engine.remove_volume(&volume.name).await?;
        removed.push(volume.name);
    }
    Ok(removed)
}

/// A removal whose beginning is in the audit. Without that record nothing is removed.
#[derive(Debug)]
pub struct AuditedRemoval {
    audit: Audit,
    removal: RemovalRecord,
}

impl AuditedRemoval {
    /// Records the beginning: `what` is `container`, `volume`, `image` or `backup`.
    ///
    /// # Errors
    /// [`AuditWriteError`]: nothing may be removed.
    pub async fn begin(
        audit: &Audit,
        what: &'static str,
        name: &str,
        user: Option<&User>,
        reason: &str,
    ) -> Result<Self, AuditWriteError> {
        let removal = RemovalRecord {
            what,
            name: name.to_owned(),
            user: user.map(AuditSubject::from),
            reason: reason.to_owned(),
            outcome: "begun".to_owned(),
        };
        audit.removal(removal.clone()).await?;
        let audit = audit.clone();
        Ok(Self { audit, removal })
    }

    /// Records the outcome. If that fails, the audit still has the `begun` line.
    pub async fn end(self, outcome: String) {
        let Self { audit, removal } = self;
        let (what, name) = (removal.what, removal.name.clone());
        if let Err(error) = audit.removal(RemovalRecord { outcome, ..removal }).await {
            let error = &error as &dyn std::error::Error;
            warn!(
                what,
                name, error, "the outcome of a removal is not recorded"
            );
        }
    }

    /// As [`Self::end`], with the result of the removal.
    pub async fn done<T, E: std::error::Error>(self, result: Result<T, E>) -> Result<T, E> {
        let outcome = match &result {
            Ok(_) => "done".to_owned(),
            Err(error) => format!("failed: {}", super::chain(error)),
        };
        self.end(outcome).await;
        result
    }
}
