//! Carries for the container of one owner, for as long as that has it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};
use tracing::{Instrument as _, debug, info, warn};

use super::ServerEgress;
use super::record::SandboxRecord;
use crate::egress::{
    Carriage, CarrierIdentity, CarryEnd, Denials, Denied, SystemResolver, UserEgress,
};
use crate::identity::Identity;
use crate::provision::{EgressLink, Running, ServerContext};

/// How long a sandbox may take to accept a carrier. A call waits for that.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a server that does not carry asks for it again: the newer one may have gone. A
/// program's question waits for 3 s.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Attempts to carry again, one after the other, before the next call has to do it.
const FAILURE_LIMIT: u32 = 5;

/// A program is told of a refusal, and can end, a moment before it is recorded. A command that used
/// the network is answered this much later.
const RECORD_TIME: Duration = Duration::from_millis(25);

/// The egress of one owner's container.
#[derive(Debug)]
pub(in crate::sandbox) struct SandboxEgress {
    denials: SandboxDenials,
    /// While it is carried for a container.
    carrying: Option<DropGuard>,
}

/// What the sandbox of one owner was refused. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SandboxDenials {
    server: Arc<ServerEgress>,
    identity: Identity,
    denials: Arc<Denials>,
}

/// What the network refused while a command ran, and what may be reached instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkReport {
    /// At least one host.
    pub denied: Denied,
    /// A sentence about what may be reached.
    pub allowed: String,
    /// Whom to ask for more, in the operator's words.
    pub contact: Option<String>,
}

impl SandboxDenials {
    /// Whether a rule lets the sandbox reach anything.
    pub fn has_network(&self) -> bool {
        !self.server.rules(&self.identity).is_empty()
    }

    /// A command is about to run, for `timeout` at most.
    pub fn begin(&self, id: &str, timeout: Duration) {
        self.denials.begin(id, timeout);
    }

    /// The outcome of a command is known.
    pub fn end(&self, id: &str) {
        self.denials.end(id);
    }

    /// The refusals while the command ran, until now; `None`: nothing was refused.
    pub async fn during(&self, id: &str) -> Option<Box<NetworkReport>> {
        if self.denials.has_asked(id) {
            sleep(RECORD_TIME).await;
        }
        let denied = self.denials.during(id);
        if denied.hosts.is_empty() {
            return None;
        }
        let rules = self.server.rules(&self.identity);
        Some(Box::new(NetworkReport {
            denied,
            allowed: rules.summary(),
            contact: rules.contact().map(str::to_owned),
        }))
    }
}

impl SandboxEgress {
    /// Nothing is carried yet.
    pub fn new(server: &Arc<ServerEgress>, identity: &Identity) -> Self {
        Self {
            denials: SandboxDenials {
                server: server.clone(),
                identity: identity.clone(),
                denials: Arc::default(),
            },
            carrying: None,
        }
    }

    /// What the sandbox was refused.
    pub fn denials(&self) -> &SandboxDenials {
        &self.denials
    }

    /// Carries for this container instead of the one before. Returns when it has accepted that, so
    /// that a command which starts next finds the DNS server, or when it does not.
    pub async fn carry(&mut self, context: &ServerContext, running: &Running) {
        let stop = CancellationToken::new();
        self.carrying = Some(stop.clone().drop_guard());
        let SandboxDenials {
            server,
            identity,
            denials,
        } = &self.denials;
        let carrier = Carrier {
            user: server.user(identity).await,
            link: EgressLink::new(&context.engine, &running.container, &running.channel),
            record: SandboxRecord::new(
                identity,
                &running.container,
                server.audit.clone(),
                context.engine.meter().clone(),
                denials.clone(),
            )
            .remembered_in(server.recent.clone()),
            identity: server.carrier(),
            stop,
        };
        let first = match timeout(BEGIN_TIMEOUT, carrier.begin()).await {
            Ok(first) => first,
            Err(_) => Err(Status::deadline_exceeded("no answer")),
        };
        context.tasks.spawn(carrier.run(first).in_current_span());
    }

    /// Carries no longer.
    pub fn stop(&mut self) {
        self.carrying = None;
    }
}

type SandboxCarriage = Carriage<SystemResolver, SandboxRecord, EgressLink>;

/// What the log says once of a container.
#[derive(Debug, Default)]
struct Told {
    is_superseded: bool,
    has_other_rules: bool,
}

impl Told {
    fn superseded(&mut self, has_other_rules: bool) {
        if has_other_rules && !self.has_other_rules {
            warn!(
                "a newer server carries the egress of this sandbox by other rules: give all \
                 servers of the instance the same settings"
            );
        } else if !self.is_superseded {
            info!("a newer server carries the egress of this sandbox");
        }
        self.is_superseded = true;
        self.has_other_rules |= has_other_rules;
    }
}

/// Carries for one container.
struct Carrier {
    user: Arc<UserEgress<SystemResolver>>,
    link: EgressLink,
    record: SandboxRecord,
    identity: CarrierIdentity,
    stop: CancellationToken,
}

impl Carrier {
    async fn begin(&self) -> Result<SandboxCarriage, Status> {
        let (link, record) = (self.link.clone(), self.record.clone());
        self.user.begin(link, record, self.identity.clone()).await
    }

    async fn run(self, first: Result<SandboxCarriage, Status>) {
        let mut next = first;
        let mut told = Told::default();
        let mut failures = 0;
        loop {
            let ended = match next {
                Ok(carriage) => {
                    failures = 0;
                    carriage.run(&self.stop).await
                }
                Err(status) => Err(status),
            };
            match ended {
                Ok(CarryEnd::Ended | CarryEnd::Stopped) => return,
                Ok(CarryEnd::Superseded { has_other_rules }) => told.superseded(has_other_rules),
                // An older casemate-init.
                Err(status) if status.code() == Code::Unimplemented => {
                    debug!("this sandbox has no egress until it is replaced");
                    return;
                }
                Err(status) => {
                    let error = &status as &dyn std::error::Error;
                    debug!(error, "the egress of this sandbox is not carried");
                    failures += 1;
                    // Probably the container has ended; the next call finds out.
                    if failures == FAILURE_LIMIT {
                        return;
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(RETRY_INTERVAL) => {}
            }
            next = tokio::select! {
                () = self.stop.cancelled() => return,
                begun = self.begin() => begun,
            };
        }
    }
}
