//! The compiled rules of what sandboxes may reach: `[egress]`, and the lists of groups and users.
//!
//! ```text
//! [egress], groups', users' egress ─► RawEgress ─┐
//! CASEMATE_EGRESS_ALLOW ─────────────────────────┴─► EgressConfig ─► rules(user, group)
//!                    EgressWatch: reads the file again, and sends what changed
//! ```
//!
//! Without a rule nothing can be reached: an absent table, an empty one and an empty list mean the same.
//! A group that the settings do not have reaches nothing: its container is from before they changed.

mod raw;
mod roots;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use casemate_egress::rules::{
    AllowEntry, EgressPolicy, EgressSettings, IpNet, Layer as EgressLayer, LayerSettings, Proxy,
    Rule, RuleError, Rules,
};

pub use raw::{RawEgress, RawPart};
pub use watch::{EgressSource, EgressWatch};

use super::error::ConfigError;
use super::groups::Members;
use super::layer::{RawGroup, RawUser, RawValue};
use super::limits::NO_EGRESS;
use super::origin::Origin;
use super::setting::Setting;
use crate::identity::{GroupName, Identity, User};

/// Rules that the line about a user shows.
const EXCERPT_RULES: usize = 10;

/// The rules of all users, compiled when the settings are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressConfig {
    policy: EgressPolicy,
    proxy: Option<Arc<Proxy>>,
    roots: Arc<str>,
    /// Of users without a list.
    everybody: Arc<Rules>,
    /// Of each group; `None`: it has no list, and everybody's counts.
    groups: BTreeMap<GroupName, Option<Arc<LayerRules>>>,
    /// Users with equal lists share one value.
    users: BTreeMap<User, Arc<LayerRules>>,
}

/// A list of a group or user, and the rules that it makes over those of everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LayerRules {
    layer: EgressLayer,
    rules: Arc<Rules>,
}

/// The lists that count for one user, besides that of everybody.
struct OwnLayers<'a> {
    group: Option<&'a LayerRules>,
    user: Option<&'a LayerRules>,
}

/// Where a user's rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleLayer {
    /// `[egress]`, or what replaces its `allow`.
    Everybody,
    /// The list of the user's group.
    Group,
    /// The user's own list.
    User,
}

/// Nothing is reached.
impl Default for EgressConfig {
    fn default() -> Self {
        let policy = EgressPolicy::default();
        Self {
            everybody: Arc::new(policy.rules(&[])),
            groups: BTreeMap::new(),
            users: BTreeMap::new(),
            proxy: None,
            roots: Arc::from(""),
            policy,
        }
    }
}

impl EgressConfig {
    /// Compiles the tables of the file. `allow` is the value in force of [`Setting::EgressAllow`]:
    /// from a flag or the environment it replaces `allow` of the table.
    ///
    /// # Errors
    ///
    /// The first part that is not valid.
    pub(super) fn from_raw<'a>(
        table: Option<&RawEgress<EgressSettings>>,
        allow: Option<&RawValue>,
        groups: &'a [(GroupName, Members, RawGroup)],
        users: &'a [(User, RawUser)],
    ) -> Result<Self, ConfigError> {
        let policy = policy(table, allow)?;
        let roots = match table {
            Some(table) => match &table.settings.ca_file {
                Some(path) => roots::read(path).map_err(|error| table.located(error))?,
                None => Arc::from(""),
            },
            None => Arc::from(""),
        };
        // Ten thousand users may have the same list of a thousand rules.
        let mut compiled: HashMap<&LayerSettings, Arc<LayerRules>> = HashMap::new();
        let mut rules_of = |own: &'a RawEgress<LayerSettings>| {
            if let Some(known) = compiled.get(&own.settings) {
                return Ok(known.clone());
            }
            let layer = policy.layer("egress", &own.settings);
            let layer = layer.map_err(|error| own.located(error))?;
            let rules = Arc::new(policy.rules(&[&layer]));
            let own_rules = Arc::new(LayerRules { layer, rules });
            compiled.insert(&own.settings, own_rules.clone());
            Ok(own_rules)
        };
        let groups = groups.iter().map(|(name, _, raw)| {
            let own = raw.egress.as_ref().map(&mut rules_of).transpose()?;
            Ok((name.clone(), own))
        });
        let groups = groups.collect::<Result<_, ConfigError>>()?;
        let lists = users.iter();
        let lists = lists.filter_map(|(user, raw)| Some((user, raw.egress.as_ref()?)));
        let users = lists.map(|(user, own)| Ok((user.clone(), rules_of(own)?)));
        let users = users.collect::<Result<_, ConfigError>>()?;
        Ok(Self {
            everybody: Arc::new(policy.rules(&[])),
            groups,
            users,
            proxy: policy.proxy().cloned().map(Arc::new),
            roots,
            policy,
        })
    }

    /// The same with these rules, in the form of [`Setting::EgressAllow`], for everybody and no other.
    ///
    /// # Errors
    ///
    /// The first part that is not valid.
    pub fn with_allow_alone(&self, allow: &str) -> Result<Self, RuleError> {
        let allow = AllowEntry::from_variable(allow);
        let policy = self.policy.with_allow("--allow", &allow)?;
        Ok(Self {
            everybody: Arc::new(policy.rules(&[])),
            groups: BTreeMap::new(),
            users: BTreeMap::new(),
            proxy: self.proxy.clone(),
            roots: self.roots.clone(),
            policy,
        })
    }

    /// What this user's sandbox may reach.
    #[must_use]
    pub fn rules(&self, identity: &Identity) -> Arc<Rules> {
        let Some(OwnLayers { group, user }) = self.own_layers(identity) else {
            return Arc::new(EgressPolicy::default().rules(&[]));
        };
        match (group, user) {
            (None, None) => self.everybody.clone(),
            (Some(group), Some(user)) if user.layer.extends() => {
                Arc::new(self.policy.rules(&[&group.layer, &user.layer]))
            }
            (_, Some(nearest)) | (Some(nearest), None) => nearest.rules.clone(),
        }
    }

    /// `None`: the settings do not have the group.
    fn own_layers(&self, identity: &Identity) -> Option<OwnLayers<'_>> {
        let group = match &identity.group {
            Some(name) => self.groups.get(name)?.as_deref(),
            None => None,
        };
        let user = self.users.get(&identity.user).map(|own| &**own);
        Some(OwnLayers { group, user })
    }

    /// Certificates in PEM that programs in sandboxes trust besides those of their image; empty:
    /// none.
    #[must_use]
    pub fn roots(&self) -> &str {
        &self.roots
    }

    /// The proxy that connections are made through.
    #[must_use]
    pub fn proxy(&self) -> Option<&Arc<Proxy>> {
        self.proxy.as_ref()
    }

    /// The addresses that no rule can reach.
    #[must_use]
    pub fn deny(&self) -> &[IpNet] {
        self.policy.deny()
    }

    /// Whether no user may reach anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut own = self.lists();
        self.everybody.is_empty() && own.all(|own| own.rules.is_empty())
    }

    /// The lists of groups and users.
    fn lists(&self) -> impl Iterator<Item = &Arc<LayerRules>> {
        self.groups.values().flatten().chain(self.users.values())
    }

    /// Where `rule`, one of this user's rules, comes from.
    #[must_use]
    pub fn layer_of(&self, identity: &Identity, rule: &Rule) -> RuleLayer {
        let has = |own: Option<&LayerRules>| own.is_some_and(|own| own.layer.contains(rule));
        match self.own_layers(identity) {
            Some(own) if has(own.user) => RuleLayer::User,
            Some(own) if has(own.group) => RuleLayer::Group,
            _ => RuleLayer::Everybody,
        }
    }

    /// The rules of this user as one line, which may leave some out.
    pub(super) fn excerpt(&self, identity: &Identity) -> String {
        let rules = self.rules(identity);
        let mut shown: Vec<_> = rules.iter().map(ToString::to_string).collect();
        if shown.is_empty() {
            return NO_EGRESS.to_owned();
        }
        let more = shown.len().saturating_sub(EXCERPT_RULES);
        shown.truncate(EXCERPT_RULES);
        let shown = shown.join(",");
        match more {
            0 => shown,
            _ => format!("{shown} and {more} more: casemate egress show"),
        }
    }

    /// The rules of all users, each once.
    #[must_use]
    pub fn all_rules(&self) -> BTreeSet<&Rule> {
        let mut seen = HashSet::new();
        let lists = self.lists().filter(|own| seen.insert(Arc::as_ptr(own)));
        let own = lists.flat_map(|own| own.rules.iter());
        self.everybody.iter().chain(own).collect()
    }
}

/// The rules of everybody.
fn policy(
    table: Option<&RawEgress<EgressSettings>>,
    allow: Option<&RawValue>,
) -> Result<EgressPolicy, ConfigError> {
    // A value from the file is already in the table.
    let text = allow.filter(|allow| !matches!(allow.origin, Origin::Part(..)));
    let key = match text {
        Some(_) => Setting::EgressAllow.key(),
        None => "egress.allow",
    };
    let mut settings = table.map_or_else(Default::default, |table| table.settings.clone());
    if let Some(text) = text {
        settings.allow = AllowEntry::from_variable(&text.value);
    }
    settings.compile(key).map_err(|error| match (text, table) {
        (Some(text), _) if error.key.starts_with(key) => raw::refused(text.origin.clone(), error),
        (_, Some(table)) => table.located(error),
        (_, None) => raw::refused(Origin::Default, error),
    })
}
