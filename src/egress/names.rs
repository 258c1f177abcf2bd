//! The names of one user's rules: which exist for them, and which addresses may be dialled.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use casemate_egress::address::{AddressPolicy, JudgedAddresses};
use casemate_egress::rules::{Decision, Proxy, ResolvedBy, Rule, Rules};
use casemate_egress::{HostName, Reason};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::dial::{Connected, dial, dial_through};
use super::resolver::Resolve;

/// How long judged addresses are used without another question to the resolver.
const JUDGED_TTL: Duration = Duration::from_secs(60);

/// Names whose addresses are kept. A wildcard covers any number of them.
const KEPT_LIMIT: usize = 1024;

/// A name that may be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedName {
    /// In its one form.
    pub host: HostName,
    /// At least one, in ascending order: those that have an address which may be dialled.
    pub ports: Vec<u16>,
}

/// Why a question is not answered with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionError {
    /// The name does not exist for this user.
    Refused(Reason),
    /// The resolver did not answer: the program may try again.
    Failed,
}

/// What a connection may be made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialTarget {
    /// The rule that allows it.
    pub rule: Rule,
    /// The addresses that may be dialled, in this order; `None`: the operator's proxy resolves the
    /// name.
    pub addresses: Option<JudgedAddresses>,
}

/// The names of one user, under rules that do not change: for other rules, make another.
#[derive(Debug)]
pub struct Names<R> {
    rules: Arc<Rules>,
    policy: Arc<AddressPolicy>,
    resolver: Arc<R>,
    proxy: Option<Arc<Proxy>>,
    kept: Mutex<HashMap<HostName, Arc<Slot>>>,
}

/// The addresses of one name. The holder of the lock asks the resolver; the others wait, so that a
/// name is asked for once.
type Slot = AsyncMutex<Option<Judged>>;

#[derive(Clone, Debug)]
struct Judged {
    at: Instant,
    /// For each port of the rules.
    ports: BTreeMap<u16, Result<Option<JudgedAddresses>, Reason>>,
}

impl Judged {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < JUDGED_TTL
    }
}

impl<R: Resolve> Names<R> {
    /// Nothing was asked yet.
    pub fn new(rules: Arc<Rules>, policy: Arc<AddressPolicy>, resolver: Arc<R>) -> Self {
        Self {
            rules,
            policy,
            resolver,
            proxy: None,
            kept: Mutex::default(),
        }
    }

    /// With connections through this proxy.
    #[must_use]
    pub fn through(self, proxy: Option<Arc<Proxy>>) -> Self {
        Self { proxy, ..self }
    }

    /// The proxy that connections are made through.
    pub fn proxy(&self) -> Option<&Arc<Proxy>> {
        self.proxy.as_ref()
    }

    fn is_resolved_by_the_proxy(&self) -> bool {
        let proxy = self.proxy.as_ref();
        proxy.is_some_and(|proxy| proxy.resolved_by == ResolvedBy::Proxy)
    }

    /// Whether `name`, as a program asked for it, exists for this user. Without a rule, no query
    /// leaves the server.
    ///
    /// # Errors
    /// Where it is refused or the resolver did not answer.
    pub async fn ask(&self, name: &str) -> Result<AllowedName, QuestionError> {
        let refused = QuestionError::Refused;
        let host = HostName::parse(name).map_err(|_| refused(Reason::InvalidName))?;
        if self.rules.ports(&host).is_empty() {
            return Err(refused(Reason::NotAllowed));
        }
        let judged = self.judged(&host).await?;
        let passed = judged.ports.iter().filter(|(_, result)| result.is_ok());
        let ports: Vec<u16> = passed.map(|(port, _)| *port).collect();
        if ports.is_empty() {
            let first = judged.ports.into_values().find_map(Result::err);
            return Err(refused(first.unwrap_or(Reason::Unresolved)));
        }
        Ok(AllowedName { host, ports })
    }

    /// What a connection to `host` and `port` may be made to.
    ///
    /// # Errors
    /// The reason why not.
    pub async fn target(&self, host: &HostName, port: u16) -> Result<DialTarget, Reason> {
        let rule = match self.rules.check(host, port) {
            Decision::Allowed { rule } => rule.clone(),
            Decision::Refused { reason } => return Err(reason),
        };
        let judged = self.judged(host).await.map_err(|error| match error {
            QuestionError::Refused(reason) => reason,
            QuestionError::Failed => Reason::Unresolved,
        })?;
        let addresses = judged.ports.get(&port).cloned();
        let addresses = addresses.unwrap_or(Err(Reason::NotAllowed))?;
        Ok(DialTarget { rule, addresses })
    }

    /// Connects to `target`, which is one of `host`'s.
    ///
    /// # Errors
    /// The reason why not.
    pub async fn dial(
        &self,
        host: &HostName,
        port: u16,
        target: &DialTarget,
    ) -> Result<Connected, Reason> {
        let addresses = target.addresses.as_ref();
        match (&self.proxy, addresses) {
            (Some(proxy), _) => dial_through(proxy, host.as_str(), addresses, port).await,
            (None, Some(addresses)) => dial(addresses, port).await,
            (None, None) => Err(Reason::Unresolved),
        }
    }

    /// Whether a connection that was made by `rule` may go on under these rules.
    pub fn still_allows(
        &self,
        host: &HostName,
        port: u16,
        rule: &Rule,
        address: Option<IpAddr>,
    ) -> bool {
        let is_same =
            matches!(self.rules.check(host, port), Decision::Allowed { rule: now } if now == rule);
        let judge = |address| self.policy.judge([address], port, &rule.allow_cidrs);
        is_same && address.is_none_or(|address| judge(address).is_ok())
    }

    /// Which names are allowed.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Which addresses are allowed.
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    async fn judged(&self, host: &HostName) -> Result<Judged, QuestionError> {
        let slot = self.slot(host);
        let mut kept = slot.lock().await;
        if let Some(judged) = kept.as_ref().filter(|judged| judged.is_fresh()) {
            return Ok(judged.clone());
        }
        let resolved = match self.resolver.resolve(host).await {
            Ok(resolved) => resolved,
            // The name may be known to the proxy alone.
            Err(_) if self.is_resolved_by_the_proxy() => Vec::new(),
            Err(_) => return Err(QuestionError::Failed),
        };
        let judged = self.judge(host, &resolved);
        *kept = Some(judged.clone());
        Ok(judged)
    }

    fn judge(&self, host: &HostName, resolved: &[IpAddr]) -> Judged {
        let judge = |(port, rule): (u16, &Rule)| {
            let judge = |resolved: &[IpAddr]| {
                let resolved = resolved.iter().copied();
                self.policy.judge(resolved, port, &rule.allow_cidrs)
            };
            let judged = match self.is_resolved_by_the_proxy() {
                // It may connect to any of them.
                true => {
                    let each = resolved.chunks(1).try_for_each(|one| judge(one).map(drop));
                    each.map(|()| None)
                }
                false => judge(resolved).map(Some),
            };
            (port, judged)
        };
        Judged {
            at: Instant::now(),
            ports: self.rules.ports(host).into_iter().map(judge).collect(),
        }
    }

    fn slot(&self, host: &HostName) -> Arc<Slot> {
        let mut kept = self.kept.lock();
        if let Some(slot) = kept.get(host) {
            return slot.clone();
        }
        if kept.len() >= KEPT_LIMIT {
            make_room(&mut kept);
        }
        kept.entry(host.clone()).or_default().clone()
    }
}

/// Forgets what counts no longer, and the oldest name. One that is being asked for stays.
fn make_room(kept: &mut HashMap<HostName, Arc<Slot>>) {
    let age = |slot: &Arc<Slot>| match slot.try_lock() {
        Ok(judged) => Some(judged.as_ref().map(|judged| judged.at)),
        Err(_) => None,
    };
    let is_fresh = |at: Instant| at.elapsed() < JUDGED_TTL;
    kept.retain(|_, slot| age(slot).is_none_or(|at| at.is_some_and(is_fresh)));
    if kept.len() < KEPT_LIMIT {
        return;
    }
    let oldest = kept
        .iter()
        .filter_map(|(host, slot)| Some((age(slot)??, host)))
        .min_by_key(|(at, _)| *at)
        .map(|(_, host)| host.clone());
    if let Some(oldest) = oldest {
        kept.remove(&oldest);
    }
}

#[cfg(test)]
mod tests;
