//! What is taken away for good, and the record of it.

use std::time::Duration;

use tracing::warn;

use crate::audit::{Audit, AuditSubject, AuditWriteError, RemovalRecord};
use crate::engine::{Engine, EngineError};
use crate::identity::User;

/// How long the Engine may take to remove a container whose PID 1 has ended.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Ends a container with all that runs in it and waits until it is gone: before that its volume
/// cannot be removed.
///
/// # Errors
/// The Engine's.
pub async fn container(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let removal = engine.wait_removed(id);
    engine.remove(id).await?;
    match tokio::time::timeout(REMOVAL_TIMEOUT, removal).await {
        Ok(gone) => gone.map(drop),
        // The Engine says itself what it waits for, at the next call.
        Err(_) => Ok(()),
    }
}

/// Removes the volumes with all of these labels. Returns their names.
///
/// # Errors
/// [`EngineError::InUse`] while a container has one, else the Engine's.
pub async fn volumes(engine: &Engine, whose: &[(&str, &str)]) -> Result<Vec<String>, EngineError> {
    let mut removed = Vec::new();
    for volume in engine.list_volumes(whose).await? {
        engine.remove_volume(&volume.name).await?;
        removed.push(volume.name);
    }
    Ok(removed)
}

/// A removal of which the audit has the beginning. What cannot be recorded is not removed.
#[derive(Debug)]
pub struct AuditedRemoval {
    audit: Audit,
    removal: RemovalRecord,
}

impl AuditedRemoval {
    /// Before it: `what` is `container`, `volume`, `image` or `backup`.
    ///
    /// # Errors
    /// [`AuditWriteError`]: it must not be removed.
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
            user: user.map(|user| AuditSubject {
                issuer: user.issuer.as_str().to_owned(),
                subject: user.subject.as_str().to_owned(),
            }),
            reason: reason.to_owned(),
            outcome: "begun".to_owned(),
        };
        audit.removal(removal.clone()).await?;
        let audit = audit.clone();
        Ok(Self { audit, removal })
    }

    /// Behind it. Where that cannot be recorded, that it began is: who looks finds that it is
    /// gone.
    pub async fn end(self, outcome: String) {
        let Self { audit, removal } = self;
        let (what, name) = (removal.what, removal.name.clone());
        if let Err(error) = audit.removal(RemovalRecord { outcome, ..removal }).await {
            let error = &error as &dyn std::error::Error;
            warn!(what, name, error, "what became of it is not recorded");
        }
    }

    /// As [`Self::end`], of what was done or failed.
    pub async fn done<T, E: std::error::Error>(self, result: Result<T, E>) -> Result<T, E> {
        let outcome = match &result {
            Ok(_) => "done".to_owned(),
            Err(error) => format!("failed: {}", super::chain(error)),
        };
        self.end(outcome).await;
        result
    }
}
