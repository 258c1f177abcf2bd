//! One workspace of a user: the user's own, or one that a request names beside the user.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{IdentityError, User, WorkspaceHash, shown};

/// Longest name of a workspace, in characters: labels, tables and URIs contain it. The ids that chat
/// applications give their conversations have 36 at most.
pub const WORKSPACE_CHARS: usize = 64;

/// The name of a workspace: 1 to [`WORKSPACE_CHARS`] characters, none of them a control character, no
/// white space at its ends. Exact bytes decide, as for users. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceName(Arc<str>);

/// A workspace. Containers, volumes, backups and links belong to one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceId {
    /// Whose it is.
    pub user: User,
    /// Its name; `None`: the user's own workspace.
    pub name: Option<WorkspaceName>,
}

impl WorkspaceName {
    /// The exact text, as in the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WorkspaceId {
    /// Its name, where it has one.
    pub fn name_str(&self) -> Option<&str> {
        self.name.as_ref().map(WorkspaceName::as_str)
    }

    /// User and workspace on one line, safe for a terminal: `ada`, or `ada (chat-1)`.
    pub fn shown(&self) -> String {
        let user = shown(self.user.subject.as_str());
        match self.name_str() {
            Some(name) => format!("{user} ({})", shown(name)),
            None => user,
        }
    }

    /// The workspace without any name: what links have.
    pub fn hash(&self) -> WorkspaceHash {
        WorkspaceHash::of(self.digest().as_ref())
    }

    /// SHA-256 of issuer, subject and the name, if there is one, each after its length. A number of
    /// parts that is told apart by nothing else is told apart by the lengths: no two workspaces give
    /// the same bytes.
    pub(super) fn digest(&self) -> impl AsRef<[u8]> + use<> {
        let mut hash = Sha256::new();
        let user = [self.user.issuer.as_str(), self.user.subject.as_str()];
        for part in user.into_iter().chain(self.name_str()) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize()
    }
}

/// The user's own workspace.
impl From<User> for WorkspaceId {
    fn from(user: User) -> Self {
        Self { user, name: None }
    }
}

impl FromStr for WorkspaceName {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let is_short = (1..=WORKSPACE_CHARS).contains(&text.chars().count());
        let is_plain = !text.contains(char::is_control) && text.trim() == text;
        match is_short && is_plain {
            true => Ok(Self(text.into())),
            false => Err(IdentityError::Workspace),
        }
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Quoted and escaped, as a user is.
impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.user)?;
        match self.name_str() {
            Some(name) => write!(f, ", workspace \"{}\"", shown(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::{Instance, SandboxName};

    fn workspace(issuer: &str, subject: &str, name: Option<&str>) -> WorkspaceId {
        WorkspaceId {
            user: User {
                issuer: issuer.parse().expect("an issuer"),
                subject: subject.parse().expect("a subject"),
            },
            name: name.map(|name| name.parse().expect("a name")),
        }
    }

    /// Links that were given out, and volumes that were made, are found by these.
    #[test]
    fn the_hash_of_a_users_own_workspace_is_that_of_the_user_in_every_version() {
        let own = workspace("local", "alice", None);
        assert_eq!(own.hash().to_string(), "b6ecd04de4aae49e1a9e378c374b3d33");
        let name = SandboxName::new(&Instance::default(), &own);
        assert_eq!(name.as_str(), "casemate-default-alice-b6ecd04de4aa");
    }

    #[test]
    fn a_named_workspace_has_a_name_of_its_own() {
        let name = |workspace| SandboxName::new(&Instance::default(), &workspace).to_string();
        // printf '\0\0\0\0\0\0\0\005local\0\0\0\0\0\0\0\005alice\0\0\0\0\0\0\0\006chat-1' | sha256sum
        let chat = name(workspace("local", "alice", Some("chat-1")));
        assert_eq!(
            chat,
            "casemate-default-alice-548e38f379bffacc9832ddc580140b30"
        );
        assert_ne!(chat, name(workspace("local", "alice", None)));
        assert_ne!(chat, name(workspace("local", "alice", Some("chat-2"))));
        assert_ne!(chat, name(workspace("local", "bob", Some("chat-1"))));
    }

    /// Names that were built so that their parts run into each other, in every way to cut one text.
    #[test]
    fn parts_that_join_to_one_text_are_different_workspaces() {
        let text = "abcdef";
        let mut hashes = Vec::new();
        for first in 1..text.len() {
            let (issuer, rest) = text.split_at(first);
            hashes.push(workspace(issuer, rest, None).hash().to_string());
            for second in 1..rest.len() {
                let (subject, name) = rest.split_at(second);
                hashes.push(workspace(issuer, subject, Some(name)).hash().to_string());
            }
        }
        let all = hashes.len();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }

    #[test]
    fn a_name_is_short_plain_text() {
        let longest = "日".repeat(WORKSPACE_CHARS);
        for good in [
            "a",
            "3f2c9b1e-5d1c-4a47-9d57-3c1f0d1b7a10",
            "a b/c:d",
            "..",
            "é",
            &longest,
        ] {
            assert_eq!(good.parse::<WorkspaceName>().expect(good).as_str(), good);
        }
        let long = "a".repeat(WORKSPACE_CHARS + 1);
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a\u{a0}",
            "a\0",
            "a\nb",
            "\u{1b}[2J",
            "a\u{85}b",
            &long,
        ] {
            assert_eq!(
                bad.parse::<WorkspaceName>(),
                Err(IdentityError::Workspace),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_shown_workspace_cannot_break_out_of_its_line() {
        let shown = workspace("local", "eve", Some("x\u{202e}\" of")).to_string();
        assert_eq!(shown, r#""eve" of "local", workspace "x\u{202e}\" of""#);
    }

    proptest! {
        #[test]
        fn two_workspaces_never_share_a_hash(
            a in ("[ab1]{1,3}", "[ab1]{1,3}", prop::option::of("[ab1]{1,3}")),
            b in ("[ab1]{1,3}", "[ab1]{1,3}", prop::option::of("[ab1]{1,3}")),
        ) {
            let [first, second] = [&a, &b].map(|(issuer, subject, name)| {
                workspace(issuer, subject, name.as_deref())
            });
            prop_assert_eq!(first.hash() == second.hash(), a == b);
        }
    }
}
