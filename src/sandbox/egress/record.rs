//! The records of a sandbox's egress: in the audit, the metrics, and the results of commands.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casemate_egress::Reason;
use parking_lot::Mutex;
use tracing::warn;

use super::recent::RecentRefusals;
use crate::audit::{Audit, AuditSubject, EgressRecord};
use crate::egress::{ConnectionRecord, Denials, Record, Refusal, RelayEnd};
use crate::identity::Identity;
use crate::meter::{Meter, OpenConnection};

/// A refused host has one line of the audit in this time.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Hosts whose last line is remembered.
const HOST_LIMIT: usize = 1024;

/// The records of one sandbox. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SandboxRecord {
    subject: AuditSubject,
    container: Arc<str>,
    audit: Audit,
    meter: Meter,
    denials: Arc<Denials>,
    identity: Identity,
    recent: RecentRefusals,
    lines: Arc<Mutex<HashMap<String, Instant>>>,
}

impl SandboxRecord {
    pub fn new(
        identity: &Identity,
        container: &Arc<str>,
        audit: Audit,
        meter: Meter,
        denials: Arc<Denials>,
    ) -> Self {
        Self {
            subject: identity.into(),
            container: container.clone(),
            audit,
            meter,
            denials,
            identity: identity.clone(),
            recent: RecentRefusals::default(),
            lines: Arc::default(),
        }
    }

    /// The same, whose refusals the operator sees in `recent`.
    pub fn remembered_in(self, recent: RecentRefusals) -> Self {
        Self { recent, ..self }
    }

    fn refused(&self, refusal: &Refusal, is_quiet: bool) {
        self.meter.egress_refused(refusal.reason.as_str());
        if !is_quiet {
            self.recent.add(&self.identity, refusal);
            self.denials.add(refusal.clone());
        }
    }

    /// Whether this refusal of `host` gets a line.
    fn is_due(&self, host: &str) -> bool {
        let mut lines = self.lines.lock();
        if lines.len() >= HOST_LIMIT {
            lines.retain(|_, at| at.elapsed() < LINE_INTERVAL);
        }
        if lines
            .get(host)
            .is_some_and(|at| at.elapsed() < LINE_INTERVAL)
        {
            return false;
        }
        // A flood of names: their count is in the metrics.
        let has_room = lines.len() < HOST_LIMIT;
        if has_room {
            lines.insert(host.to_owned(), Instant::now());
        }
        has_room
    }

    fn line(&self, host: &str, port: Option<u16>, outcome: &'static str) -> EgressRecord {
        EgressRecord {
            user: self.subject.clone(),
            container: self.container.to_string(),
            host: host.to_owned(),
            port,
            rule: None,
            address: None,
            sent_bytes: 0,
            received_bytes: 0,
            duration_ms: 0,
            outcome,
        }
    }

    async fn write(&self, line: EgressRecord) {
        if let Err(error) = self.audit.egress(line).await {
            let error = &error as &dyn std::error::Error;
            warn!(error, "a connection of a sandbox is not in the audit");
        }
    }
}

impl Record for SandboxRecord {
    type Open = OpenConnection;

    fn asked(&self) {
        self.denials.asked();
    }

    async fn admit(&self) -> Result<OpenConnection, Reason> {
        let admitted = self.audit.admit().await;
        admitted.map_err(|_| Reason::AuditUnavailable)?;
        Ok(self.meter.egress_opened())
    }

    async fn name_refused(&self, refusal: &Refusal, is_quiet: bool) {
        self.refused(refusal, is_quiet);
        if self.audit.is_on() && self.is_due(&refusal.host) {
            let (host, reason) = (&refusal.host, refusal.reason);
            let line = self.line(host, refusal.port, reason.as_str());
            self.write(line).await;
        }
    }

    async fn connection_ended(&self, connection: &ConnectionRecord) {
        let report = &connection.report;
        let outcome = match report.end {
            RelayEnd::Closed => "closed",
            RelayEnd::Reset => "reset",
            RelayEnd::Refused(reason) => reason.as_str(),
        };
        let host = connection.host.as_str();
        self.meter
            .egress_ended(outcome, report.sent, report.received);
        if let RelayEnd::Refused(reason) = report.end {
            let refusal = Refusal {
                host: host.to_owned(),
                port: Some(connection.port),
                reason,
            };
            self.refused(&refusal, connection.is_quiet);
        }
        let was_made = report.is_made;
        if self.audit.is_on() && (was_made || self.is_due(host)) {
            let line = EgressRecord {
                rule: connection.rule.as_ref().map(ToString::to_string),
                address: report.address.map(|address| address.to_string()),
                sent_bytes: report.sent,
                received_bytes: report.received,
                duration_ms: connection
                    .duration
                    .as_millis()
                    .try_into()
                    .unwrap_or(u64::MAX),
                ..self.line(host, Some(connection.port), outcome)
            };
            self.write(line).await;
        }
    }
}
