//! The name of a group, and a user with the group that a credential gives and the workspace that a
//! request names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{IdentityError, User, WorkspaceId, WorkspaceName};

/// Longest name of a group, in characters: labels, tables and log lines contain it.
pub const GROUP_CHARS: usize = 64;

/// The name of a group in the settings: `[a-z0-9][a-z0-9._-]{0,63}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

/// A user as one request's credential shows it, and the workspace that the request names.
///
/// The group is no part of the user: names, volumes and their labels depend on user and workspace
/// alone. It decides what a container is made with, and is in the container's label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Whose sandbox it is.
    pub user: User,
    /// The group whose settings and rules the sandbox has; `None`: those of everybody.
    pub group: Option<GroupName>,
    /// Which of the user's workspaces; `None`: the user's own.
    pub workspace: Option<WorkspaceName>,
}

impl GroupName {
    /// The text, as in the settings and in the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Identity {
    /// The group's name, where there is one.
    pub fn group_str(&self) -> Option<&str> {
        self.group.as_ref().map(GroupName::as_str)
    }

    /// The workspace, with its user.
    pub fn workspace_id(&self) -> WorkspaceId {
        WorkspaceId {
            user: self.user.clone(),
            name: self.workspace.clone(),
        }
    }

    /// The same user in the same group, in this workspace.
    #[must_use]
    pub fn in_workspace(self, workspace: Option<WorkspaceName>) -> Self {
        Self { workspace, ..self }
    }
}

impl FromStr for GroupName {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| plain(b) || b"._-".contains(&b);
        let starts_well = text.bytes().next().is_some_and(plain);
        match starts_well && text.len() <= GROUP_CHARS && text.bytes().all(inner) {
            true => Ok(Self(text.into())),
            false => Err(IdentityError::Group),
        }
    }
}

/// A user in no group, in their own workspace.
impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self {
            user,
            group: None,
            workspace: None,
        }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_short() {
        for good in ["analysts", "0", "a.b_c-d", &"a".repeat(GROUP_CHARS)] {
            assert_eq!(good.parse::<GroupName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(GROUP_CHARS + 1);
        for bad in ["", "-a", ".a", "A", "a b", "a/b", "é", "a\n", &long] {
            assert_eq!(bad.parse::<GroupName>(), Err(IdentityError::Group));
        }
    }
}
