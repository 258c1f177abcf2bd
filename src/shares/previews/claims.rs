//! What a link, a ticket or a cookie of a preview says, as a text that is signed.
//!
//! ```text
//! <until>.<workspace>.<share>.<end of the share>.<port>-<container> or "site".<group>
//! ```

use crate::identity::{GroupName, Identity};
use crate::shares::id::ShareId;
use crate::shares::link::LinkClaims;

/// Stands for no group: no name of one is like this.
const NO_GROUP: &str = "-";

/// What a preview shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewTarget {
    /// A port of the container with this id, and of no later one.
    Port { port: u16, container: String },
    /// Files of the workspace, which the share names.
    Site,
}

/// The group of the credential with which something was shared. It counts where no credential shows
/// the group of the user, and never for a wider one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharerGroup {
    /// An older server made the link, or the user's group has changed since.
    Unknown,
    NoGroup,
    Named(GroupName),
}

/// What opens a preview says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewClaims {
    /// Whose it is, the share, and its end.
    pub share: LinkClaims,
    pub target: PreviewTarget,
    pub group: SharerGroup,
}

impl From<Option<GroupName>> for SharerGroup {
    fn from(group: Option<GroupName>) -> Self {
        group.map_or(Self::NoGroup, Self::Named)
    }
}

impl SharerGroup {
    /// This group, if the credential of the user still gives it.
    #[must_use]
    pub fn if_still_of(self, user: &Identity) -> Self {
        match self == Self::from(user.group.clone()) {
            true => self,
            false => Self::Unknown,
        }
    }
}

impl PreviewClaims {
    /// As it is signed, to be good until `until`, in seconds since 1970.
    pub(super) fn to_text(&self, until: u64) -> String {
        let LinkClaims {
            workspace,
            share,
            expires,
        } = &self.share;
        let target = match &self.target {
            PreviewTarget::Port { port, container } => format!("{port}-{container}"),
            PreviewTarget::Site => "site".to_owned(),
        };
        let group = match &self.group {
            SharerGroup::Unknown => String::new(),
            SharerGroup::NoGroup => format!(".{NO_GROUP}"),
            SharerGroup::Named(name) => format!(".{name}"),
        };
        format!("{until}.{workspace}.{share}.{expires}.{target}{group}")
    }

    /// The claims and their end, if this is a text of [`Self::to_text`].
    pub(super) fn from_text(text: &str) -> Option<(Self, u64)> {
        // The name of a group may have dots.
        let mut parts = text.splitn(6, '.');
        let until: u64 = parts.next()?.parse().ok()?;
        let share = LinkClaims {
            workspace: parts.next()?.parse().ok()?,
            share: parts.next()?.parse::<ShareId>().ok()?,
            expires: parts.next()?.parse().ok()?,
        };
        let target = match parts.next()? {
            "site" => PreviewTarget::Site,
            port => {
                let (port, container) = port.split_once('-')?;
                PreviewTarget::Port {
                    port: port.parse().ok()?,
                    container: container.to_owned(),
                }
            }
        };
        let group = match parts.next() {
            None => SharerGroup::Unknown,
            Some(NO_GROUP) => SharerGroup::NoGroup,
            Some(name) => SharerGroup::Named(name.parse().ok()?),
        };
        let claims = Self {
            share,
            target,
            group,
        };
        Some((claims, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{User, WorkspaceId};

    fn user() -> User {
        User::local("ada".parse().expect("a subject"))
    }

    fn claims(group: SharerGroup) -> PreviewClaims {
        PreviewClaims {
            share: LinkClaims {
                workspace: WorkspaceId::from(user()).hash(),
                share: "0123456789abcdef0123456789abcdef".parse().expect("an id"),
                expires: 1_800_000_000,
            },
            target: PreviewTarget::Site,
            group,
        }
    }

    fn named(name: &str) -> SharerGroup {
        SharerGroup::Named(name.parse().expect("a name"))
    }

    #[test]
    fn claims_are_read_back_with_every_group() {
        let long = "g".repeat(64);
        for group in [
            SharerGroup::Unknown,
            SharerGroup::NoGroup,
            named("analysts"),
            named("a.b.-c"),
            named(&long),
        ] {
            let claims = claims(group);
            let text = claims.to_text(7);
            assert_eq!(PreviewClaims::from_text(&text), Some((claims, 7)), "{text}");
        }
        let text = claims(SharerGroup::NoGroup).to_text(7);
        let older = text.strip_suffix(".-").expect("its last part");
        assert_eq!(
            PreviewClaims::from_text(older),
            Some((claims(SharerGroup::Unknown), 7))
        );
        for bad in ["", ".", "7", &format!("{older}."), &format!("{older}.A")] {
            assert_eq!(PreviewClaims::from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_group_that_the_user_left_counts_no_more() {
        let of = |group: Option<&str>| Identity {
            group: group.map(|name| name.parse().expect("a name")),
            ..Identity::from(user())
        };
        for (signed, now, left) in [
            (named("a"), Some("a"), named("a")),
            (named("a"), Some("b"), SharerGroup::Unknown),
            (named("a"), None, SharerGroup::Unknown),
            (SharerGroup::NoGroup, None, SharerGroup::NoGroup),
            (SharerGroup::NoGroup, Some("a"), SharerGroup::Unknown),
            (SharerGroup::Unknown, Some("a"), SharerGroup::Unknown),
            (SharerGroup::Unknown, None, SharerGroup::Unknown),
        ] {
            assert_eq!(signed.clone().if_still_of(&of(now)), left, "{signed:?}");
        }
    }
}
