//! The name of a workspace's container and volume.

use std::fmt;

use super::{Instance, WorkspaceId, hex};

/// Longest readable part of a sandbox name, in characters: for people who read `docker ps`.
pub const SLUG_CHARS: usize = 24;

/// Bytes of the hash that a sandbox name shows, as twice as many hexadecimal digits: two of a
/// million users with the same slug meet with a chance of 1 in 560, and the labels then keep
/// them apart.
const HASH_BYTES: usize = 6;

/// The same of a workspace that has a name. Users choose that name freely, so one could search for a
/// name whose first 48 bits are another user's. The greater length also keeps it from all users' own.
const NAMED_HASH_BYTES: usize = 16;

/// Name of a workspace's container and volume. Valid for both: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`
/// (moby, `daemon/names/names.go`), 99 characters at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxName {
    full: String,
    /// Where the user's part begins.
    user_at: usize,
}

impl SandboxName {
    /// The name of the sandbox of `workspace` in `instance`.
    pub fn new(instance: &Instance, workspace: &WorkspaceId) -> Self {
        let slug = slug(workspace.user.subject.as_str());
        let bytes = match &workspace.name {
            None => HASH_BYTES,
            Some(_) => NAMED_HASH_BYTES,
        };
        let hex = hex(&workspace.digest().as_ref()[..bytes]);
        let prefix = format!("casemate-{}-", instance.as_str());
        Self {
            full: format!("{prefix}{slug}-{hex}"),
            user_at: prefix.len(),
        }
    }

    /// The name, for the Engine.
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The part that identifies user and workspace, the same in every instance:
    /// `<slug>-<12 hex digits>`, or 32 for a workspace with a name.
    pub fn user_part(&self) -> &str {
        &self.full[self.user_at..]
    }
}

/// The readable part of a subject: its ASCII letters and digits in lower case, with one `-` for
/// everything between them. Several subjects may share one.
fn slug(subject: &str) -> String {
    let words: Vec<&str> = subject
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut slug = words.join("-").to_ascii_lowercase();
    slug.truncate(SLUG_CHARS);
    match slug.trim_end_matches('-') {
        "" => "user".to_owned(),
        slug => slug.to_owned(),
    }
}

impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_short_readable_and_never_empty() {
        for (subject, expected) in [
            ("alice", "alice"),
            ("--A//b..", "a-b"),
            ("..", "user"),
            ("Ünal", "nal"),
            ("日本", "user"),
            ("abcdefghijklmnopqrstuvw/xyz", "abcdefghijklmnopqrstuvw"),
        ] {
            assert_eq!(slug(subject), expected, "{subject:?}");
        }
    }
}
