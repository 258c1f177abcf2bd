//! Checks that each user has a separate uid.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{Finding, chain};
use crate::config::Config;
use crate::engine::{Engine, EngineError, UidRange, VolumeSummary, labels};
use crate::provision::{uid_range, workspaces};

/// Users of this machine, and the uids that it delegates to them: passwd(5), subuid(5).
const PASSWD: &str = "/etc/passwd";
const SUBUID: &str = "/etc/subuid";

/// The uids of this server's users.
pub async fn range(engine: &Engine, config: &Config) -> Result<UidRange, EngineError> {
    Ok(uid_range(&config.uids, &*engine.capabilities().await?))
}

/// Checks the uids of all instances, because they share one kernel.
pub async fn look(engine: &Engine, config: &Config, uids: UidRange) -> Vec<Finding> {
    let looked = async {
        let with_uid = engine.volumes_with_uid().await?;
        let ours = [(labels::INSTANCE, config.instance.as_str())];
        let ours = engine.list_volumes(&ours).await?;
        Ok::<_, EngineError>((with_uid, ours))
    };
    let (with_uid, ours) = match looked.await {
        Ok(looked) => looked,
        Err(error) => return vec![Finding::error("uids", chain(&error))],
    };
    let workspaces = workspaces(&config.instance, &ours);
    let old = workspaces.iter().filter(|(_, row)| row.uid().is_none());
    let mut found = vec![taken(uids, &with_uid)];
    found.extend(shared(&with_uid));
    found.extend(left(uids, old.count()));
    if let Ok(true) = is_here(engine).await {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        found.extend(overlap(uids, &read(PASSWD), &read(SUBUID)));
    }
    found
}

/// Whether this machine's users are those of the containers' host, with the same uids.
async fn is_here(engine: &Engine) -> Result<bool, EngineError> {
    let host = engine.capabilities().await?;
    Ok(host.is_on_this_machine() && !host.rootless && !host.user_namespaces)
}

fn taken(uids: UidRange, rows: &[VolumeSummary]) -> Finding {
    if uids.count() == 0 {
        let said =
            "all users run as uid 1000: one user at a kernel limit for a uid blocks the others";
        return Finding::warning("uids", said).fix("set CASEMATE_UID_COUNT");
    }
    let numbers: BTreeSet<u32> = rows.iter().filter_map(VolumeSummary::uid).collect();
    let taken = numbers.iter().filter(|uid| uids.contains(**uid)).count();
    let (first, count) = (uids.first(), uids.count());
    let said = format!("{taken} of the {count} uids for users are taken, from {first} on");
    let fix = "set CASEMATE_UID_COUNT, or remove unused workspaces (casemate rm --volume)";
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    match taken {
        _ if taken >= count => {
            Finding::error("uids", format!("{said}: new users are refused")).fix(fix)
        }
        _ if taken * 10 >= count * 9 => Finding::warning("uids", said).fix(fix),
        _ => Finding::ok("uids", said),
    }
}

/// All volumes of one user have the same uid; two users must not share one.
fn shared(rows: &[VolumeSummary]) -> Option<Finding> {
    let mut users = BTreeMap::<u32, BTreeSet<[&str; 3]>>::new();
    for row in rows {
        let label = |name| row.labels.get(name).map(String::as_str);
        let whose = [labels::INSTANCE, labels::ISSUER, labels::USER].map(label);
        if let (Some(uid), [Some(instance), Some(issuer), Some(user)]) = (row.uid(), whose) {
            users
                .entry(uid)
                .or_default()
                .insert([instance, issuer, user]);
        }
    }
    let shared: Vec<String> = users
        .iter()
        .filter(|(_, users)| users.len() > 1)
        .map(|(uid, users)| {
            let users = users.iter().map(|user| user.join("/"));
            let users = users.collect::<Vec<_>>().join(", ");
            format!("{uid} ({})", users.escape_debug())
        })
        .collect();
    if shared.is_empty() {
        return None;
    }
    let said = format!("several users have one uid: {}", shared.join("; "));
    let fix = "`casemate backup USER`, `casemate rm USER --volume` and `casemate restore USER` give the \
                user another";
    Some(Finding::error("uids", said).fix(fix))
}

/// Workspaces from versions without separate uids.
fn left(uids: UidRange, old: usize) -> Option<Finding> {
    if uids.count() == 0 || old == 0 {
        return None;
    }
    let said = format!("{old} workspaces are from older versions and share uid 1000");
    let fix = "`casemate migrate --all` gives each user a separate uid";
    Some(Finding::warning("uids", said).fix(fix))
}

/// Checks whether one of them is in use on the host.
fn overlap(uids: UidRange, passwd: &str, subuid: &str) -> Option<Finding> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let fields = |line: &str, index| number(line.split(':').nth(index));
    let user = passwd.lines().find_map(|line| {
        let uid = fields(line, 2).filter(|uid| uids.contains(*uid))?;
        Some(format!("{uid} is a user of this machine"))
    });
    let delegated = subuid.lines().find_map(|line| {
        let (first, count) = (fields(line, 1)?, fields(line, 2)?);
        let range = UidRange::new(first, count);
        let meets = range.contains(uids.first()) || uids.contains(first);
        let line = line.escape_debug();
        (meets && uids.count() > 0).then(|| format!("{SUBUID} delegates some of them: {line}"))
    });
    let what = user.or(delegated)?;
    let said = format!("uids for users are in use on the Engine's host: {what}");
    Some(Finding::warning("uids", said).fix("set CASEMATE_UID_BASE to unused numbers"))
}

#[cfg(test)]
#[path = "uids_tests.rs"]
mod tests;
