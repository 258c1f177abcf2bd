//! The record of a permanent removal: a line before it, and one with its outcome.

use tracing::warn;

use super::{Audit, AuditSubject, AuditWriteError, RemovalRecord};
use crate::identity::WorkspaceId;

/// A removal whose beginning is in the audit. Without that record nothing is removed.
#[derive(Debug)]
pub struct AuditedRemoval {
    audit: Audit,
    removal: RemovalRecord,
}

impl AuditedRemoval {
    /// Records the beginning: `what` is as in [`RemovalRecord`].
    ///
    /// # Errors
    /// [`AuditWriteError`]: nothing may be removed.
    pub async fn begin(
        audit: &Audit,
        what: &'static str,
        name: &str,
        workspace: Option<&WorkspaceId>,
        reason: &str,
    ) -> Result<Self, AuditWriteError> {
        let removal = RemovalRecord {
            what,
            name: name.to_owned(),
            user: workspace.map(AuditSubject::from),
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
            Err(error) => format!("failed: {}", chain(error)),
        };
        self.end(outcome).await;
        result
    }
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
