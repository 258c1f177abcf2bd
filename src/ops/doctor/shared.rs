//! Checks that the shared data of the settings is there.

use super::{Finding, chain};
use crate::config::Config;
use crate::engine::Engine;
use crate::ops::shared::list;
use crate::provision::SharedVolumes;

/// Says which shares have no version, and which no user has.
pub async fn look(engine: &Engine, config: &Config) -> Vec<Finding> {
    let shares = match list(engine, &config.instance).await {
        Ok(shares) => shares,
        Err(error) => return vec![Finding::error("shared", chain(&error))],
    };
    let mut found = Vec::new();
    for data in config.shared.iter() {
        let (name, path) = (&data.name, &data.path);
        let newest = shares.get(name).and_then(SharedVolumes::newest);
        let finding = match newest {
            Some(newest) => {
                let said = format!("{name}, at {path}, has the version {}", newest.version);
                Finding::ok("shared", said)
            }
            None => {
                let said = format!("{name} has no version: sandboxes begin without {path}");
                let fix = format!("casemate shared put {name} DIR");
                Finding::warning("shared", said).fix(fix)
            }
        };
        found.push(finding);
    }
    let unused = shares
        .keys()
        .filter(|name| config.shared.get(name).is_none());
    found.extend(unused.map(|name| {
        let said = format!("{name} has volumes on the Engine and no [[shared]] table here");
        let fix = format!("if no server has one: casemate shared rm {name}");
        Finding::note("shared", said).fix(fix)
    }));
    found
}
