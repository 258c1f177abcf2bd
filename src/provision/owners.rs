//! Which workspaces there are, by the volumes of an instance.

use std::collections::{BTreeMap, BTreeSet};

use super::generations;
use crate::engine::{VolumeSummary, labels};
use crate::identity::{Identity, Instance, SandboxName, User, WorkspaceId};

/// The issuer of the users that `casemate doctor` probes with; their volumes are no workspaces. No
/// credential can name it: a delegate's name has no `:`, and the issuer of a JWT is a URL.
pub const DOCTOR_ISSUER: &str = "casemate:doctor";

/// The issuer of the users that helper containers of shared data are of. They have no workspaces.
pub const SHARED_ISSUER: &str = "casemate:shared";

/// The volume of each workspace, sorted by user and name. Leftovers of a restore do not count,
/// nor does a volume with our labels and a foreign name.
pub fn workspaces<'a>(
    instance: &Instance,
    volumes: &'a [VolumeSummary],
) -> Vec<(WorkspaceId, &'a VolumeSummary)> {
    let mut of: BTreeMap<WorkspaceId, Vec<VolumeSummary>> = BTreeMap::new();
    for volume in volumes {
        let Some(owner) = owner(&volume.labels).filter(is_a_users) else {
            continue;
        };
        if volume
            .name
            .starts_with(SandboxName::new(instance, &owner).as_str())
        {
            of.entry(owner).or_default().push(volume.clone());
        }
    }
    let workspace = |(owner, own): (WorkspaceId, Vec<VolumeSummary>)| {
        let name = SandboxName::new(instance, &owner);
        let current = generations::sort(name.as_str(), &own).current;
        let found = volumes.iter().find(|volume| volume.name == current)?;
        Some((owner, found))
    };
    of.into_iter().filter_map(workspace).collect()
}

/// Whether it is a user's, and not of a probe or of shared data.
pub fn is_a_users(workspace: &WorkspaceId) -> bool {
    ![DOCTOR_ISSUER, SHARED_ISSUER].contains(&workspace.user.issuer.as_str())
}

/// The names of the sandboxes that these volumes hold: nothing removes their files.
pub fn held(volumes: &[VolumeSummary]) -> BTreeSet<&str> {
    let sandboxes = volumes
        .iter()
        .filter_map(|volume| volume.labels.get(labels::HOLD));
    sandboxes.map(String::as_str).collect()
}

/// The workspace of a container or a volume, by its labels; `None`: not one of ours.
pub fn owner(labels: &BTreeMap<String, String>) -> Option<WorkspaceId> {
    let user = User {
        issuer: labels.get(labels::ISSUER)?.parse().ok()?,
        subject: labels.get(labels::USER)?.parse().ok()?,
    };
    let name = match labels.get(labels::WORKSPACE) {
        Some(name) => Some(name.parse().ok()?),
        None => None,
    };
    Some(WorkspaceId { user, name })
}

/// The workspace of a container, with the group that it was made for; `None`: not one of ours.
pub fn identity(found: &BTreeMap<String, String>) -> Option<Identity> {
    let WorkspaceId { user, name } = owner(found)?;
    let group = found.get(labels::GROUP).map(|name| name.parse());
    Some(Identity {
        user,
        group: group.transpose().ok()?,
        workspace: name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, labels: &[(&str, &str)]) -> VolumeSummary {
        let whose = [(labels::ISSUER, "local"), (labels::USER, "ada")];
        let all = whose.iter().chain(labels);
        VolumeSummary {
            name: name.to_owned(),
            labels: all
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
            created: None,
        }
    }

    #[test]
    fn a_user_has_one_workspace_whatever_a_restore_has_left_and_others_have_called_theirs() {
        let instance: Instance = "a".parse().expect("an instance");
        let ada = WorkspaceId::from(User::local("ada".parse().expect("a subject")));
        let name = SandboxName::new(&instance, &ada);
        let name = name.as_str();
        let (restored, filled) = (format!("{name}-g1-a"), format!("{name}-g2-b"));
        let mark = format!("{filled}-pending");
        let all = [
            volume("somebodys", &[]),
            volume(name, &[]),
            volume(&restored, &[(labels::GENERATION, "1")]),
            volume(&filled, &[(labels::GENERATION, "2")]),
            volume(&mark, &[(labels::PENDING, &filled)]),
        ];
        let found = workspaces(&instance, &all);
        assert_eq!(found, [(ada, &all[2])]);
        let mut trial = volume(name, &[(labels::ISSUER, DOCTOR_ISSUER)]);
        let doctor = owner(&trial.labels).expect("an owner");
        SandboxName::new(&instance, &doctor)
            .as_str()
            .clone_into(&mut trial.name);
        assert_eq!(workspaces(&instance, &[trial]), []);
        // Before its first restore is whole a user has none.
        assert_eq!(workspaces(&instance, &all[3..]), []);
    }

    #[test]
    fn each_named_workspace_counts_and_a_wrong_name_is_nobodys() {
        let instance = Instance::default();
        let ada = User::local("ada".parse().expect("a subject"));
        let chat = WorkspaceId {
            user: ada.clone(),
            name: Some("chat".parse().expect("a name")),
        };
        let own = WorkspaceId::from(ada);
        let [first, second] = [&own, &chat].map(|id| SandboxName::new(&instance, id).to_string());
        let all = [
            volume(&second, &[(labels::WORKSPACE, "chat")]),
            volume(&first, &[]),
            // The labels of one, the name of the other.
            volume(
                &format!("{first}-g1-a"),
                &[(labels::WORKSPACE, "chat"), (labels::GENERATION, "1")],
            ),
        ];
        let found = workspaces(&instance, &all);
        assert_eq!(found, [(own, &all[1]), (chat, &all[0])]);
        assert_eq!(
            owner(&volume("a", &[(labels::WORKSPACE, " ")]).labels),
            None
        );
    }
}
