//! The records of a sandbox's egress, and who gets them.

use std::time::Duration;

use casemate_egress::rules::Rule;
use casemate_egress::{HostName, Reason};

use super::denials::Refusal;
use super::relay::RelayReport;

/// The records of a sandbox's egress: for audit, metrics and results.
pub trait Record: Send + Sync + 'static {
    /// Held while a connection is open.
    type Open: Send + Sync + 'static;

    /// The sandbox asks for a name or a connection.
    fn asked(&self);

    /// A connection is about to be judged.
    ///
    /// # Errors
    /// It cannot be recorded, and must not be made.
    fn admit(&self) -> impl Future<Output = Result<Self::Open, Reason>> + Send;

    /// A name was refused, or casemate-init cannot listen for it (then with the port).
    fn name_refused(&self, refusal: &Refusal, is_quiet: bool) -> impl Future<Output = ()> + Send;

    /// A connection has ended, or was refused.
    fn connection_ended(&self, connection: &ConnectionRecord) -> impl Future<Output = ()> + Send;
}

/// One connection, at its end.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// The host that it was allowed to, or refused.
    pub host: HostName,
    /// Its port.
    pub port: u16,
    /// The rule that allowed it.
    pub rule: Option<Rule>,
    /// How long it took, from the program's connection.
    pub duration: Duration,
    /// Whether the operator wants no report of its refusals.
    pub is_quiet: bool,
    /// The rest.
    pub report: RelayReport,
}
