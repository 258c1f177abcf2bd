use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::entry::parse_network;
use super::{
    AllowEntry, CONTACT_LIMIT, EgressSettings, LayerSettings, Pattern, Problem, Proxy, ProxyTable,
    RULE_LIMIT, Rule, RuleError, Rules,
};

/// `[egress]`, valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    allow: Vec<Rule>,
    lists: BTreeMap<String, Vec<Rule>>,
    deny: Vec<IpNet>,
    quiet: BTreeSet<Pattern>,
    contact: Option<String>,
    proxy: Option<Proxy>,
}

/// `egress` of a user or group, valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    allow: Vec<Rule>,
    extend: bool,
}

impl EgressSettings {
    /// Checks every part. `allow_key` is where `allow` comes from: `egress.allow`, or the name of
    /// the variable.
    ///
    /// # Errors
    ///
    /// The first part that is not valid, with its key.
    pub fn compile(&self, allow_key: &str) -> Result<EgressPolicy, RuleError> {
        let none = BTreeMap::new();
        let lists = self.lists.iter().map(|(name, entries)| {
            let key = format!("egress.lists.{name}");
            Ok((
                name.clone(),
                expand(&key, entries, &none, Problem::NestedList)?,
            ))
        });
        let lists = lists.collect::<Result<_, RuleError>>()?;
        let allow = expand(allow_key, &self.allow, &lists, Problem::UnknownList)?;
        let deny = each("egress.deny", &self.deny, parse_network)?;
        let quiet = each("egress.quiet", &self.quiet, Pattern::parse)?;
        let contact = self.contact.as_deref().map(parse_contact).transpose()?;
        let proxy = self.proxy.as_ref().map(parse_proxy).transpose()?;
        Ok(EgressPolicy {
            allow,
            lists,
            deny,
            quiet: quiet.into_iter().collect(),
            contact,
            proxy,
        })
    }
}

impl EgressPolicy {
    /// The same with other rules for everybody; `key` is where they are given.
    ///
    /// # Errors
    ///
    /// The first part that is not valid, with its key.
    pub fn with_allow(&self, key: &str, allow: &[AllowEntry]) -> Result<Self, RuleError> {
        let allow = expand(key, allow, &self.lists, Problem::UnknownList)?;
        Ok(Self {
            allow,
            ..self.clone()
        })
    }

    /// Checks the rules of a user or group; `key` is where they stand: `users[2].egress`.
    ///
    /// # Errors
    ///
    /// The first part that is not valid, with its key.
    pub fn layer(&self, key: &str, settings: &LayerSettings) -> Result<Layer, RuleError> {
        let key = format!("{key}.allow");
        let allow = expand(&key, &settings.allow, &self.lists, Problem::UnknownList)?;
        Ok(Layer {
            allow,
            extend: settings.extend,
        })
    }

    /// The rules of a user, from the layers that are theirs, the nearest last. A layer that extends
    /// replaces only what it names itself: the same host and port.
    #[must_use]
    pub fn rules(&self, layers: &[&Layer]) -> Rules {
        let mut rules: Vec<&Rule> = self.allow.iter().collect();
        for layer in layers {
            rules.retain(|rule| {
                layer.extend
                    && layer
                        .allow
                        .iter()
                        .all(|near| near.target() != rule.target())
            });
            rules.extend(&layer.allow);
        }
        let rules = rules.into_iter().cloned().collect();
        let resolved_by = self.proxy.as_ref().map(|proxy| proxy.resolved_by);
        let (quiet, contact) = (self.quiet.clone(), self.contact.clone());
        Rules::new(rules, &self.deny, quiet, contact, resolved_by)
    }

    /// The proxy that connections are made through.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// What no rule reaches.
    #[must_use]
    pub fn deny(&self) -> &[IpNet] {
        &self.deny
    }
}

impl Layer {
    /// Whether the layer has this very rule itself.
    #[must_use]
    pub fn contains(&self, rule: &Rule) -> bool {
        self.allow.contains(rule)
    }

    /// Whether it is added to what is further away from the user, instead of replacing it.
    #[must_use]
    pub const fn extends(&self) -> bool {
        self.extend
    }
}

/// The rules that `entries` stand for, each once; `on_list` is what is wrong with a list that is
/// not in `lists`.
fn expand(
    key: &str,
    entries: &[AllowEntry],
    lists: &BTreeMap<String, Vec<Rule>>,
    on_list: Problem,
) -> Result<Vec<Rule>, RuleError> {
    let mut found: Vec<Rule> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let fail = |problem| RuleError {
            key: format!("{key}[{index}]"),
            value: entry.text(),
            problem,
        };
        let rules = match entry.list() {
            Some(name) => lists
                .get(name)
                .cloned()
                .ok_or_else(|| fail(on_list.clone()))?,
            None => vec![entry.rule().map_err(fail)?],
        };
        for rule in rules {
            match found.iter().find(|known| known.target() == rule.target()) {
                Some(known) if *known != rule => return Err(fail(Problem::Conflict)),
                Some(_) => {}
                None if found.len() == RULE_LIMIT => return Err(fail(Problem::TooMany)),
                None => found.push(rule),
            }
        }
    }
    Ok(found)
}

fn each<T>(
    key: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Result<Vec<T>, RuleError> {
    let parse = |(index, text): (usize, &String)| {
        parse(text).map_err(|problem| RuleError {
            key: format!("{key}[{index}]"),
            value: text.clone(),
            problem,
        })
    };
    texts.iter().enumerate().map(parse).collect()
}

/// The URL is not shown: it may hold a password.
fn parse_proxy(table: &ProxyTable) -> Result<Proxy, RuleError> {
    Proxy::parse(table).map_err(|problem| RuleError {
        key: "egress.proxy".to_owned(),
        value: "url".to_owned(),
        problem,
    })
}

fn parse_contact(text: &str) -> Result<String, RuleError> {
    let is_line = !text.is_empty() && !text.chars().any(char::is_control);
    if is_line && text.chars().count() <= CONTACT_LIMIT {
        return Ok(text.to_owned());
    }
    Err(RuleError {
        key: "egress.contact".to_owned(),
        value: text.chars().take(CONTACT_LIMIT).collect(),
        problem: Problem::Contact,
    })
}
