//! What the sandboxes of this server may reach: the rules of each user, and what no rule reaches.
//!
//! ```text
//! settings, own addresses ─► ServerEgress ─► UserEgress of each user and group ─► carry, for each container
//! ```
//!
//! `crate::egress` judges, dials and copies.

mod carry;
pub mod own_addresses;
mod recent;
mod record;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use casemate_egress::address::{AddressPolicy, OwnAddresses};
use casemate_egress::rules::{Proxy, Rules};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::interval;

pub use self::carry::NetworkReport;
pub(super) use self::carry::{SandboxDenials, SandboxEgress};
pub use self::recent::RecentRefusal;
use self::recent::RecentRefusals;
use crate::audit::Audit;
use crate::config::{Bytes, EgressConfig};
use crate::egress::{CarrierIdentity, DayBudget, Names, SystemResolver, UserEgress, UserLimits};
use crate::engine::Engine;
use crate::identity::{Identity, User};
use crate::provision::ServerContext;

/// How often the addresses of this machine are looked at again: interfaces come and go.
const ADDRESSES_INTERVAL: Duration = Duration::from_secs(60);

/// The egress of all sandboxes of this server.
#[derive(Debug)]
pub(super) struct ServerEgress {
    rules: Mutex<Arc<EgressConfig>>,
    /// `None`: the addresses of this machine were not looked at yet.
    policy: Mutex<Option<Arc<AddressPolicy>>>,
    /// Addresses that this server listens on.
    listeners: Mutex<Vec<SocketAddr>>,
    users: Mutex<CarriedUsers>,
    resolver: Arc<SystemResolver>,
    /// When this server started, in milliseconds since 1970. 0 for a verb such as `exec`: at the same
    /// version it carries only where no server does, whose connections it would end.
    since_ms: AtomicI64,
    engine: Engine,
    /// Of each user; `None`: any number.
    bytes_per_day: Option<Bytes>,
    public_host: Option<String>,
    audit: Audit,
    recent: RecentRefusals,
}

/// The users whose sandboxes are carried.
#[derive(Debug, Default)]
struct CarriedUsers {
    /// Without a workspace.
    egress: HashMap<Identity, Arc<UserEgress<SystemResolver>>>,
    /// In all groups of a user.
    limits: HashMap<User, Arc<UserLimits>>,
}

impl ServerEgress {
    /// By the settings at the start. Reaches for nothing yet.
    pub fn new(context: &ServerContext, audit: Audit) -> Self {
        let config = &context.config;
        Self {
            rules: Mutex::new(config.egress.clone()),
            policy: Mutex::default(),
            listeners: Mutex::default(),
            users: Mutex::default(),
            resolver: Arc::default(),
            since_ms: AtomicI64::new(0),
            engine: context.engine.clone(),
            bytes_per_day: config.egress_bytes_per_day,
            public_host: config.http.public_host().map(str::to_owned),
            audit,
            recent: RecentRefusals::default(),
        }
    }

    /// The latest refusals, newest first.
    pub fn recent_refusals(&self) -> Vec<RecentRefusal> {
        self.recent.latest()
    }

    /// This is a server, and started then.
    pub fn serves_since(&self, since_ms: i64) {
        self.since_ms.store(since_ms, Ordering::Relaxed);
    }

    fn carrier(&self) -> CarrierIdentity {
        CarrierIdentity {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since_ms: self.since_ms.load(Ordering::Relaxed),
        }
    }

    /// This server listens on `address` too: no rule reaches it.
    pub fn listens_on(&self, address: SocketAddr) {
        self.listeners.lock().push(address);
    }

    /// Follows the rules of `changes`, and the addresses of this machine.
    pub async fn follow(&self, mut changes: watch::Receiver<Arc<EgressConfig>>) {
        let mut clock = interval(ADDRESSES_INTERVAL);
        let mut is_last = false;
        loop {
            tokio::select! {
                changed = changes.changed(), if !is_last => {
                    is_last = changed.is_err();
                    *self.rules.lock() = changes.borrow_and_update().clone();
                    self.look().await;
                }
                _ = clock.tick() => {
                    if !self.users.lock().egress.is_empty() {
                        self.look().await;
                    }
                }
            }
        }
    }

    /// Looks at the addresses of this machine. Where anything changed that is judged by, it counts
    /// for every user.
    async fn look(&self) {
        let sockets = self.listeners.lock().clone();
        let own = own_addresses::look(sockets, &self.engine, self.public_host.as_deref()).await;
        // Held to the end: of two updates at a time the later one has the rules of now.
        let users = self.users.lock();
        let policy = self.policy(own);
        *self.policy.lock() = Some(policy.clone());
        for (identity, egress) in &users.egress {
            let rules = self.rules(identity);
            let known = egress.names();
            let proxy = self.proxy();
            let is_same = known.rules() == &*rules
                && known.policy() == &*policy
                && known.proxy() == proxy.as_ref();
            if !is_same {
                let names = Names::new(rules, policy.clone(), self.resolver.clone());
                egress.change_rules(names.through(proxy));
            }
        }
    }

    fn policy(&self, own: OwnAddresses) -> Arc<AddressPolicy> {
        Arc::new(AddressPolicy::new(self.rules.lock().deny().to_vec(), own))
    }

    /// The egress of this user, in all of their sandboxes of this group: those of all workspaces
    /// share it.
    async fn user(&self, identity: &Identity) -> Arc<UserEgress<SystemResolver>> {
        let identity = identity.clone().in_workspace(None);
        loop {
            if let Some(egress) = self.known_or_made(&identity) {
                return egress;
            }
            self.look().await;
        }
    }

    /// `None`: the addresses of this machine have to be looked at first. Without rules no name is
    /// judged, and the first call of a user waits for no lookup.
    fn known_or_made(&self, identity: &Identity) -> Option<Arc<UserEgress<SystemResolver>>> {
        let mut users = self.users.lock();
        if let Some(known) = users.egress.get(identity) {
            return Some(known.clone());
        }
        let rules = self.rules(identity);
        let policy = match self.policy.lock().clone() {
            Some(policy) => policy,
            None if rules.is_empty() => Arc::default(),
            None => return None,
        };
        let names = Names::new(rules, policy, self.resolver.clone());
        let limits = users
            .limits
            .entry(identity.user.clone())
            .or_insert_with(|| {
                Arc::new(UserLimits {
                    budget: DayBudget::new(self.bytes_per_day.map(|bytes| bytes.0)),
                    ..UserLimits::default()
                })
            });
        let made = Arc::new(UserEgress::new(names.through(self.proxy()), limits.clone()));
        users.egress.insert(identity.clone(), made.clone());
        Some(made)
    }

    fn proxy(&self) -> Option<Arc<Proxy>> {
        self.rules.lock().proxy().cloned()
    }

    /// What this user may reach now.
    pub fn rules(&self, identity: &Identity) -> Arc<Rules> {
        self.rules.lock().rules(identity)
    }
}
