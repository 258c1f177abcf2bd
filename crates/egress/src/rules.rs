//! What the operator allows, and which rule a connection falls under.
//!
//! ```text
//!  [egress]  ──compile──► EgressPolicy ─┬─ rules(&[group, user]) ─► Rules ── check(name, port)
//!  users, groups ─────────► Layer ──────┘
//! ```
//!
//! Without a rule nothing is reached: an empty list and an absent one mean the same. Of several
//! rules for a host and port one counts: the host itself before a wildcard, a longer wildcard
//! before a shorter one. Nothing depends on the order in which they are written.

mod entry;
mod error;
mod pattern;
mod policy;
mod proxy;
mod settings;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

pub use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use crate::{HostName, Reason};
pub use entry::{DEFAULT_PORT, Protocol, Rule};
pub use error::{CONTACT_LIMIT, Problem, RULE_LIMIT, RuleError};
pub use pattern::Pattern;
pub use policy::{EgressPolicy, Layer};
pub use proxy::Proxy;
pub use settings::{AllowEntry, AllowTable, EgressSettings, LayerSettings, ProxyTable, ResolvedBy};
pub use summary::SUMMARY_LIMIT;

/// The rules of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// One of each pattern and port.
    rules: BTreeSet<Rule>,
    quiet: BTreeSet<Pattern>,
    contact: Option<String>,
    hash: RulesHash,
}

/// The answer to whether a connection may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// By this rule. Its addresses and its handshake are judged next.
    Allowed {
        /// The rule that counts.
        rule: &'a Rule,
    },
    /// By no rule.
    Refused {
        /// Why.
        reason: Reason,
    },
}

/// Changes with everything that a server decides by: two servers with the same one have the same
/// rules. Each also refuses its machine's addresses, and asks its own resolver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RulesHash([u8; 32]);

impl RulesHash {
    /// The 32 bytes of a SHA-256; zero only for [`Rules::default`].
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Display for RulesHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..8]
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl Rules {
    /// From rules in which no pattern and port is twice.
    fn new(
        rules: BTreeSet<Rule>,
        deny: &[IpNet],
        quiet: BTreeSet<Pattern>,
        contact: Option<String>,
        resolved_by: Option<ResolvedBy>,
    ) -> Self {
        let hash = hash(&rules, deny, &quiet, contact.as_deref(), resolved_by);
        Self {
            rules,
            quiet,
            contact,
            hash,
        }
    }

    /// Whether `name` may be connected to at `port`, and by which rule.
    #[must_use]
    pub fn check(&self, name: &HostName, port: u16) -> Decision<'_> {
        match self.ports(name).remove(&port) {
            Some(rule) => Decision::Allowed { rule },
            None => Decision::Refused {
                reason: Reason::NotAllowed,
            },
        }
    }

    /// The ports at which `name` may be connected to, each with its rule. None: the name is
    /// answered as one that does not exist, and no query for it leaves the server.
    #[must_use]
    pub fn ports(&self, name: &HostName) -> BTreeMap<u16, &Rule> {
        let mut ports: BTreeMap<u16, &Rule> = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.pattern.matches(name)) {
            let best = ports.entry(rule.port).or_insert(rule);
            if rule.pattern.precedence() > best.pattern.precedence() {
                *best = rule;
            }
        }
        ports
    }

    /// All rules, in an order that does not depend on the settings'.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether nothing is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether refusals of `name` are left out of results.
    #[must_use]
    pub fn is_quiet(&self, name: &HostName) -> bool {
        self.quiet.iter().any(|pattern| pattern.matches(name))
    }

    /// Whom to ask for a rule, in the operator's words.
    #[must_use]
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    /// See [`RulesHash`]. Does not depend on the order of the settings.
    #[must_use]
    pub const fn hash(&self) -> RulesHash {
        self.hash
    }

    /// What a model is told in the description of its tools, at most [`SUMMARY_LIMIT`] bytes.
    #[must_use]
    pub fn summary(&self) -> String {
        summary::summary(&self.rules)
    }
}

/// A line each, in the order of the sets. No part of a line can hold a line's end.
fn hash(
    rules: &BTreeSet<Rule>,
    deny: &[IpNet],
    quiet: &BTreeSet<Pattern>,
    contact: Option<&str>,
    resolved_by: Option<ResolvedBy>,
) -> RulesHash {
    let mut hash = Sha256::new();
    let mut line = |kind: &str, text: &str| hash.update(format!("{kind} {text}\n"));
    line("version", "1");
    for rule in rules {
        let cidrs: Vec<_> = rule.allow_cidrs.iter().map(ToString::to_string).collect();
        line("allow", &format!("{rule:#} {}", cidrs.join(",")));
    }
    let deny: BTreeSet<_> = deny.iter().map(ToString::to_string).collect();
    deny.iter().for_each(|network| line("deny", network));
    quiet
        .iter()
        .for_each(|pattern| line("quiet", &pattern.to_string()));
    line("contact", contact.unwrap_or_default());
    if let Some(resolved_by) = resolved_by {
        line("proxy", &format!("{resolved_by:?}"));
    }
    RulesHash(hash.finalize().into())
}

#[cfg(test)]
mod tests;
