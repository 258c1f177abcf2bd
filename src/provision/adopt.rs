//! Whether a container that runs already may be used, by pure rules, and its adoption.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{info, warn};

use super::connect::{open, verify};
use super::error::SandboxError;
use super::running::{Running, watch_removal};
use super::status::Notice;
use crate::channel::ChannelError;
use crate::engine::{
    Container, ContainerSpec, Difference, DifferenceKind, Engine, EngineError, labels,
};

/// What to do with a container that was found running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// Use it.
    Use,
    /// Ask it to end; use it as it is when it is busy.
    Replace,
    /// Ask it to end; never use it.
    Never,
}

/// Which server made a container: the version, and when that server started.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Builder {
    version: Vec<u64>,
    since: String,
}

impl Builder {
    /// By the labels. An unreadable version counts as the oldest.
    pub fn of(found: &BTreeMap<String, String>) -> Self {
        let text = |name| found.get(name).map_or("", String::as_str);
        let numbers = text(labels::VERSION).split(['.', '-', '+']).take(3);
        Self {
            version: numbers.map(|number| number.parse().unwrap_or(0)).collect(),
            // RFC 3339 in UTC with a fixed number of digits: text order is time order.
            since: text(labels::SINCE).to_owned(),
        }
    }
}

/// Less hardening is never used. Of other differences the newer side decides:
/// the higher version, else the server that started later. So two servers with
/// different settings never replace each other's container in turns.
pub fn decide(differences: &[Difference], mine: Builder, theirs: Builder) -> Adoption {
    if differences
        .iter()
        .any(|difference| difference.kind == DifferenceKind::Hardening)
    {
        Adoption::Never
    } else if !differences.is_empty() && mine > theirs {
        Adoption::Replace
    } else {
        Adoption::Use
    }
}

/// Uses a container that runs, or asks it to end so that one as in `spec` can replace it
/// (`None`). One of another group is never used: its limits and what it may reach are not those of
/// this credential.
pub async fn adopt(
    engine: &Engine,
    found: &Container,
    spec: &ContainerSpec,
) -> Result<Option<(Running, Option<Notice>)>, SandboxError> {
    let removal = watch_removal(engine, &found.id);
    let channel = match open(engine, &found.id).await {
        Err(error) if error.has_retired() => {
            let error = &error as &dyn std::error::Error;
            warn!(
                container = found.id,
                error, "asked to make room for a confined one"
            );
            return Ok(None);
        }
        connected => connected?,
    };
    let unreal = match verify(engine, &found.id, &channel).await {
        Err(EngineError::Unreal { protections, .. }) => Some(protections),
        verified => verified.map(|()| None)?,
    };
    let differences = engine.differences(spec, found);
    let mine = Builder::of(&spec.labels.to_map());
    let decision = match &unreal {
        Some(_) => Adoption::Never,
        None => decide(&differences, mine, Builder::of(&found.labels)),
    };
    let is_same_group = spec.labels.is_same_group(&found.labels);
    if decision != Adoption::Use || !is_same_group {
        let retired = channel.retire(Duration::ZERO).await;
        if retired.map_err(|error| ChannelError::Retire(Box::new(error)))? {
            info!(
                container = found.id,
                "container asked to make room for newer settings or another group"
            );
            return Ok(None);
        }
    }
    if !is_same_group {
        return Err(SandboxError::GroupChanged);
    }
    let notice = match decision {
        Adoption::Never => {
            let fields = differences.iter().map(|d| d.field.as_str());
            let fields: Vec<_> = fields.chain(unreal.as_deref()).collect();
            return Err(SandboxError::Weaker {
                fields: fields.join(", "),
            });
        }
        Adoption::Replace => Some(Notice::OtherSettings),
        Adoption::Use => None,
    };
    engine.meter().started("adopted");
    let running = Running {
        container: found.id.as_str().into(),
        channel,
        removal,
        workspace_is_new: false,
    };
    Ok(Some((running, notice)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn builder(version: &str, since: &str) -> Builder {
        Builder::of(&BTreeMap::from([
            (labels::VERSION.to_owned(), version.to_owned()),
            (labels::SINCE.to_owned(), since.to_owned()),
        ]))
    }

    fn difference(kind: DifferenceKind) -> Difference {
        Difference {
            field: "memory".to_owned(),
            wanted: String::new(),
            stored: String::new(),
            kind,
        }
    }

    #[test]
    fn weaker_hardening_is_never_used_whoever_is_newer() {
        let weaker = [difference(DifferenceKind::Hardening)];
        let (old, new) = (builder("0.1.0", "a"), builder("0.2.0", "b"));
        assert_eq!(decide(&weaker, old.clone(), new.clone()), Adoption::Never);
        assert_eq!(decide(&weaker, new, old), Adoption::Never);
    }

    #[test]
    fn versions_compare_as_numbers_and_then_the_start_decides() {
        assert!(builder("0.10.0", "a") > builder("0.9.9", "b"));
        assert!(
            builder("0.1.0", "2026-01-02T00:00:00.000Z")
                > builder("0.1.0", "2026-01-01T23:59:59.999Z")
        );
        assert!(builder("0.1.0", "a") > builder("?", "z"));
    }

    proptest! {
        #[test]
        fn two_servers_never_replace_each_other_in_turns(
            a in ("[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]", "[a-c]{1,2}"),
            b in ("[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]", "[a-c]{1,2}"),
        ) {
            let limits = [difference(DifferenceKind::Limit)];
            let (a, b) = (builder(&a.0, &a.1), builder(&b.0, &b.1));
            let there = decide(&limits, a.clone(), b.clone());
            let back = decide(&limits, b, a);
            prop_assert!(there == Adoption::Use || back == Adoption::Use);
        }
    }
}
