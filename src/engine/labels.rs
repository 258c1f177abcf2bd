//! The labels that name the user of a container or volume. They are the only state outside of the
//! containers, and they cannot be added later.

use std::collections::BTreeMap;

use crate::identity::{Instance, User, WorkspaceId};

/// Namespace of the deployment that owns it.
pub const INSTANCE: &str = "io.casemate.instance";
/// The full subject of the user.
pub const USER: &str = "io.casemate.user";
/// The issuer that vouches for the subject.
pub const ISSUER: &str = "io.casemate.issuer";
/// The name of the workspace beside the user. Without it, the user's own.
pub const WORKSPACE: &str = "io.casemate.workspace";
/// On a container: the group of the credential that it was made for. Without the label, none. All
/// code that acts on the container goes by the label, not by the user's group in the settings of now.
pub const GROUP: &str = "io.casemate.group";
/// `persistent`, `bind` or `ephemeral`; or [`HELPER_MODE`] or [`OWNER_MODE`].
pub const MODE: &str = "io.casemate.mode";
/// The hash of the container's specification. The house makes it, of all that matters there.
pub const SPEC: &str = "io.casemate.spec";
/// Version of the server that made it.
pub const VERSION: &str = "io.casemate.version";
/// The machine whose server made it.
pub const NODE: &str = "io.casemate.node";
/// How often the user's ownership moved between nodes: 0 with one node.
pub const EPOCH: &str = "io.casemate.epoch";
/// When the server that made it started, RFC 3339.
pub const SINCE: &str = "io.casemate.since";
/// On a volume that a backup was restored into: its number among the user's volumes. A volume
/// without the label is number 0.
pub const GENERATION: &str = "io.casemate.generation";
/// On an empty volume: the name of an incomplete volume, which is not used.
pub const PENDING: &str = "io.casemate.pending";
/// On a prepared image: the id of the image it was made from.
pub const PREPARED: &str = "io.casemate.prepared";
/// On a prepared image: the name of its base.
pub const PREPARED_FROM: &str = "io.casemate.prepared.from";
/// On an image: what it has, for models. See [`super::ImageDescription`].
pub const DESCRIPTION: &str = "io.casemate.description";
/// On a container that an image is prepared in: `yes`.
pub const PREPARING: &str = "io.casemate.preparing";

/// On an empty volume that keeps another one from being removed: the sandbox of that volume. The
/// labels of that volume cannot be changed, and its user could delete a file in it.
pub const HOLD: &str = "io.casemate.hold";

/// On a volume: the creation of the container that it was created for. Such a new volume is empty,
/// even if the user had files before.
pub const MADE_FOR: &str = "io.casemate.made-for";

/// On a volume that the Engine created together with a container, in place of a missing one:
/// it has no owner, and its uid may be in use. It is never used.
pub const REMADE: &str = "io.casemate.remade";

/// On a volume: the uid and gid of its user's processes, in decimal. Without it they are 1000.
pub const UID: &str = "io.casemate.uid";

/// On an empty volume that keeps its [`UID`] from others until a user's volume has it: the claim's
/// instance, a slash, and a token.
pub const CLAIM: &str = "io.casemate.uid.claim";

/// On an image that gives new volumes their owners. Prepared images have [`PREPARED`] instead.
pub const OWNER_IMAGE: &str = "io.casemate.owner";

/// The mode of a helper container of a backup or a restore.
pub const HELPER_MODE: &str = "errand";

/// The mode of a container that gives a volume its owner, and never starts.
pub const OWNER_MODE: &str = "owner";

/// On a volume of shared data, and on those that say which version counts: the name of the share.
/// Such a volume is no user's, and has neither [`USER`] nor [`ISSUER`].
pub const SHARED: &str = "io.casemate.shared";

/// On a volume with one version of shared data: the hash of its content, 64 hex digits.
pub const SHARED_VERSION: &str = "io.casemate.shared.version";

/// On an empty volume: the version of shared data that is whole, and that new containers have
/// until another has a greater number. 12 hex digits.
pub const SHARED_HEAD: &str = "io.casemate.shared.head";

/// On an empty volume: the volume of shared data that a clean-up removes now, if it does not count.
pub const SHARED_REMOVAL: &str = "io.casemate.shared.removal";

/// Beside [`SHARED_HEAD`]: bytes of all files of that version.
pub const SHARED_BYTES: &str = "io.casemate.shared.bytes";

/// Beside [`SHARED_HEAD`]: files, directories and links of that version.
pub const SHARED_ENTRIES: &str = "io.casemate.shared.entries";

/// On a volume that only tests a capability of the Engine: the capability.
pub const PROBE: &str = "io.casemate.probe";

/// The labels that an owner puts on all its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// See [`INSTANCE`].
    pub instance: String,
    /// See [`USER`].
    pub user: String,
    /// See [`ISSUER`].
    pub issuer: String,
    /// See [`WORKSPACE`].
    pub workspace: Option<String>,
    /// See [`GROUP`]. A volume stays the user's in every group, and has no such label.
    pub group: Option<String>,
    /// See [`MODE`].
    pub mode: String,
    /// See [`VERSION`].
    pub version: String,
    /// See [`NODE`].
    pub node: String,
    /// See [`EPOCH`].
    pub epoch: u64,
    /// See [`SINCE`].
    pub since: String,
}

impl Labels {
    /// All labels that a container and a volume have, for the Engine.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let workspace = self.workspace.clone().map(|name| (WORKSPACE, name));
        [
            (INSTANCE, self.instance.clone()),
            (USER, self.user.clone()),
            (ISSUER, self.issuer.clone()),
            (MODE, self.mode.clone()),
            (VERSION, self.version.clone()),
            (NODE, self.node.clone()),
            (EPOCH, self.epoch.to_string()),
            (SINCE, self.since.clone()),
        ]
        .into_iter()
        .chain(workspace)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Whether a container was made for the same group.
    pub fn is_same_group(&self, found: &BTreeMap<String, String>) -> bool {
        found.get(GROUP) == self.group.as_ref()
    }

    /// The labels by which the Engine finds all objects of this owner's user, in all of their
    /// workspaces: the Engine cannot look for what lacks a label. [`Self::is_same_owner`] chooses.
    pub fn user_filter(&self) -> [(&'static str, &str); 3] {
        owner_filter(&self.instance, &self.issuer, &self.user)
    }

    /// Whether `found` names the same user of this instance, in whichever workspace.
    pub fn is_same_user(&self, found: &BTreeMap<String, String>) -> bool {
        let named = self.user_filter();
        let has = |(name, value): &(&str, &str)| found.get(*name).is_some_and(|text| text == value);
        named.iter().all(has)
    }

    /// Whether `found` names the same owner: instance, user, issuer and workspace, each exactly.
    pub fn is_same_owner(&self, found: &BTreeMap<String, String>) -> bool {
        [
            (INSTANCE, Some(&self.instance)),
            (USER, Some(&self.user)),
            (ISSUER, Some(&self.issuer)),
            (WORKSPACE, self.workspace.as_ref()),
        ]
        .into_iter()
        .all(|(name, value)| found.get(name) == value)
    }
}

/// Whether an object with the labels of a user is of this workspace of theirs.
pub fn is_of_workspace(workspace: &WorkspaceId, found: &BTreeMap<String, String>) -> bool {
    found.get(WORKSPACE).map(String::as_str) == workspace.name_str()
}

/// The labels by which the Engine finds all objects of one user, in all of their workspaces.
pub fn user_filter<'a>(instance: &'a Instance, user: &'a User) -> [(&'static str, &'a str); 3] {
    owner_filter(
        instance.as_str(),
        user.issuer.as_str(),
        user.subject.as_str(),
    )
}

fn owner_filter<'a>(
    instance: &'a str,
    issuer: &'a str,
    user: &'a str,
) -> [(&'static str, &'a str); 3] {
    [(INSTANCE, instance), (ISSUER, issuer), (USER, user)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels {
            instance: "default".to_owned(),
            user: "a/b".to_owned(),
            issuer: "local".to_owned(),
            workspace: None,
            group: None,
            mode: "persistent".to_owned(),
            version: "0.1.0".to_owned(),
            node: "n".to_owned(),
            epoch: 0,
            since: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn ownership_needs_instance_user_and_issuer() {
        assert!(labels().is_same_owner(&labels().to_map()));
        for name in [INSTANCE, USER, ISSUER] {
            let mut missing = labels().to_map();
            missing.remove(name);
            assert!(!labels().is_same_owner(&missing), "{name}");
            let mut foreign = labels().to_map();
            foreign.insert(name.to_owned(), "other".to_owned());
            assert!(!labels().is_same_owner(&foreign), "{name}");
        }
    }

    #[test]
    fn a_workspace_is_the_owner_of_what_is_in_it_and_of_nothing_else() {
        let named = |name: &str| Labels {
            workspace: Some(name.to_owned()),
            ..labels()
        };
        let of = |found: &Labels, owner: &Labels| owner.is_same_owner(&found.to_map());
        assert!(of(&named("a"), &named("a")));
        assert!(!of(&named("a"), &named("b")));
        assert!(!of(&named("a"), &labels()));
        assert!(!of(&labels(), &named("a")));
        assert_eq!(labels().to_map().get(WORKSPACE), None);
        let mut blank = labels().to_map();
        blank.insert(WORKSPACE.to_owned(), String::new());
        assert!(!labels().is_same_owner(&blank));
    }

    #[test]
    fn a_container_of_no_group_is_of_another_group() {
        let in_group = |name: &str| Labels {
            group: Some(name.to_owned()),
            ..labels()
        };
        let found = |name: &str| BTreeMap::from([(GROUP.to_owned(), name.to_owned())]);
        assert!(in_group("a").is_same_group(&found("a")));
        assert!(labels().is_same_group(&BTreeMap::new()));
        assert!(!in_group("a").is_same_group(&found("b")));
        assert!(!in_group("a").is_same_group(&BTreeMap::new()));
        assert!(!labels().is_same_group(&found("a")));
        assert!(!labels().is_same_group(&found("")));
    }

    #[test]
    fn a_later_version_or_start_changes_no_owner() {
        let mut found = labels().to_map();
        for name in [MODE, VERSION, NODE, EPOCH, SINCE] {
            found.insert(name.to_owned(), "other".to_owned());
        }
        assert!(labels().is_same_owner(&found));
    }
}
