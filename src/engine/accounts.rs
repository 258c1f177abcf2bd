//! Lines of /etc/passwd and /etc/group for the uids of sandboxes, so that `whoami`, git, ssh and
//! all other callers of getpwuid(3) get an answer.
//!
//! A name is looked up from the first line on: the last of 4,096 took 0.45 ms with glibc 2.36,
//! the first 0.01 ms (measured).

use std::collections::HashSet;

use casemate_protocol::{BRIDGE_UID, WORKSPACE};

use super::uids::{RunAs, UidRange};

/// `None` if the base already has a line for each uid.
pub(super) fn merged_passwd(base: Option<&[u8]>, uids: UidRange) -> Option<Vec<u8>> {
    let missing = format!(
        "root:x:0:0:root:/root:/bin/sh\n\
         nobody:x:{BRIDGE_UID}:{BRIDGE_UID}:nobody:/nonexistent:/bin/false\n"
    );
    merged(base.unwrap_or(missing.as_bytes()), uids, |name, id| {
        format!("{name}:x:{id}:{id}::{WORKSPACE}/.home:/bin/sh\n")
    })
}

/// `None` if the base already has a line for each gid.
pub(super) fn merged_group(base: Option<&[u8]>, uids: UidRange) -> Option<Vec<u8>> {
    let missing = format!("root:x:0:\nnogroup:x:{BRIDGE_UID}:\n");
    merged(base.unwrap_or(missing.as_bytes()), uids, |name, id| {
        format!("{name}:x:{id}:\n")
    })
}

/// Adds a line for each missing id, the third field of both files.
fn merged(base: &[u8], uids: UidRange, line: impl Fn(&str, u32) -> String) -> Option<Vec<u8>> {
    let field = |index| {
        let lines = base.split(|&b| b == b'\n');
        let fields = lines.filter_map(move |line| line.split(|&b| b == b':').nth(index));
        fields.collect::<HashSet<_>>()
    };
    let (names, ids) = (field(0), field(2));
    let missing = uids
        .accounts()
        .filter(|id| !ids.contains(id.to_string().as_bytes()));
    let added: String = missing
        .filter_map(|id| {
            let mut candidates = candidates(id, uids).into_iter();
            let name = candidates.find(|name| !names.contains(name.as_bytes()))?;
            Some(line(&name, id))
        })
        .collect();
    (!added.is_empty()).then(|| with_line(base, &added))
}

/// Names for an id, in the order of preference: an image may already have the first. No two ids
/// share one.
fn candidates(id: u32, uids: UidRange) -> [String; 3] {
    debug_assert!(uids.contains(id) || id == RunAs::DEFAULT.uid());
    let first = match uids.contains(id) {
        true => format!("casemate-{}", id - uids.first()),
        false => "casemate".to_owned(),
    };
    [first, format!("casemate{id}"), format!("sandbox{id}")]
}

/// `base` with a line break after its last line.
pub(super) fn with_line(base: &[u8], line: &str) -> Vec<u8> {
    let mut merged = base.to_vec();
    if !merged.is_empty() && !merged.ends_with(b"\n") {
        merged.push(b'\n');
    }
    merged.extend_from_slice(line.as_bytes());
    merged
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
