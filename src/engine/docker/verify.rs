//! Compares the stored container with the wanted one.
//!
//! Both sides become one flat list of named fields ([`fields`]), in which values that are the same
//! to the Engine are equal. A table gives the meaning of a difference for each field ([`table`]).
//!
//! Invariant: the world is closed. A field that the table does not name is a difference of
//! [`DifferenceKind::Hardening`] as soon as it holds anything, unless the Engine fills it in by
//! itself: that shows in the containers that we have just made ([`UnknownFields`]).

mod fields;
mod kernel;
mod podman;
mod profile;
mod table;

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::ContainerCreateBody;
use serde_json::Value;

use crate::engine::difference::{Difference, DifferenceKind};
use crate::engine::kind::EngineKind;
use fields::Fields;
pub(super) use kernel::unreal;
use table::Rule;

/// Characters of a value that a difference shows: the seccomp profile has thousands.
const SHOWN_CHARS_LIMIT: usize = 120;

/// Fields that the table does not name and that the Engine fills in by itself, with their values.
/// An Engine newer than this server has some.
#[derive(Debug, Default)]
pub(super) struct UnknownFields(BTreeMap<String, Value>);

impl UnknownFields {
    /// Takes over those of a container that we have just made. We never ask for one.
    pub(super) fn learn(&mut self, inspect: &Value) {
        let unknown = fields::stored(inspect)
            .into_iter()
            .filter(|(field, _)| table::rule(field).is_none());
        self.0.extend(unknown);
    }

    fn knows(&self, field: &str, value: &Value) -> bool {
        self.0.get(field) == Some(value)
    }
}

/// All differences, sorted by field.
pub(super) fn compare(
    kind: EngineKind,
    body: &ContainerCreateBody,
    inspect: &Value,
    unknown: &UnknownFields,
) -> Vec<Difference> {
    let (mut wanted, mut stored) = (fields::wanted(body), fields::stored(inspect));
    if kind == EngineKind::Podman {
        podman::adapt(&mut wanted, &mut stored, inspect);
    }
    let names = wanted.keys().chain(stored.keys()).map(String::as_str);
    let names: BTreeSet<_> = names.chain(table::always()).collect();
    let differences = names.into_iter().filter_map(|field| {
        let pair = Pair {
            wanted: wanted.get(field).unwrap_or(&Value::Null),
            stored: stored.get(field).unwrap_or(&Value::Null),
        };
        let kind = match table::rule(field) {
            Some(rule) => pair.judge(rule, &stored),
            None if pair.same() || unknown.knows(field, pair.stored) => None,
            None => Some(DifferenceKind::Hardening),
        }?;
        Some(Difference {
            field: field.to_owned(),
            wanted: shown(pair.wanted),
            stored: shown(pair.stored),
            kind,
        })
    });
    differences.collect()
}

struct Pair<'a> {
    wanted: &'a Value,
    stored: &'a Value,
}

impl Pair<'_> {
    fn same(&self) -> bool {
        self.wanted == self.stored
    }

    /// `None` where the field is as wanted.
    fn judge(&self, rule: Rule, stored: &Fields) -> Option<DifferenceKind> {
        match rule {
            Rule::Neutral => None,
            Rule::AtLeast(paths) => {
                (!fields::holds_all(self.stored, paths)).then_some(DifferenceKind::Hardening)
            }
            Rule::WhereWanted if self.wanted.is_null() => None,
            _ if self.same() => None,
            Rule::Mount if self.stored.is_null() && fields::is_read_only(self.wanted) => None,
            Rule::Hardening | Rule::Mount => Some(DifferenceKind::Hardening),
            Rule::Identity | Rule::WhereWanted => Some(DifferenceKind::Identity),
            Rule::Limit if self.is_lifted() => Some(DifferenceKind::Hardening),
            Rule::Limit => Some(DifferenceKind::Limit),
            // Equal to memory: another limit. Otherwise it is an escape into swap.
            Rule::Swap if stored.get("HostConfig.Memory") == Some(self.stored) => {
                Some(DifferenceKind::Limit)
            }
            Rule::Swap => Some(DifferenceKind::Hardening),
            Rule::Seccomp if profile::allows_no_more(self.stored, self.wanted) => {
                Some(DifferenceKind::Identity)
            }
            Rule::Seccomp => Some(DifferenceKind::Hardening),
        }
    }

    /// Whether a wanted limit is missing. The Engine writes that as 0, -1 or nothing.
    fn is_lifted(&self) -> bool {
        let unlimited = |value: &Value| value.as_i64().is_some_and(|number| number < 0);
        let stored = self.stored;
        !self.wanted.is_null()
            && (stored.is_null() || unlimited(stored) || unlimited(&stored["Hard"]))
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
