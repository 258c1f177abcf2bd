//! Which users have a workspace, by the volumes of an instance.

use std::collections::BTreeMap;

use super::generations;
use crate::engine::{VolumeSummary, labels};
use crate::identity::{Instance, SandboxName, User};

/// The issuer of the users that `casemate doctor` probes with; their volumes are no workspaces. No
/// credential can name it: a delegate's name has no `:`, and the issuer of a JWT is a URL.
pub const DOCTOR_ISSUER: &str = "casemate:doctor";

/// The issuer of the users that helper containers of shared data are of. They have no workspaces.
pub const SHARED_ISSUER: &str = "casemate:shared";

/// The workspace of each user who has one, sorted by user. Leftovers of a restore do not count,
/// nor does a volume with our labels and a foreign name.
pub fn workspaces<'a>(
    instance: &Instance,
    volumes: &'a [VolumeSummary],
) -> Vec<(User, &'a VolumeSummary)> {
    let mut of: BTreeMap<User, Vec<VolumeSummary>> = BTreeMap::new();
    for volume in volumes {
        let is_user = |user: &User| ![DOCTOR_ISSUER, SHARED_ISSUER].contains(&user.issuer.as_str());
        let Some(user) = owner(&volume.labels).filter(is_user) else {
            continue;
        };
        if volume
            .name
            .starts_with(SandboxName::new(instance, &user).as_str())
        {
            of.entry(user).or_default().push(volume.clone());
        }
    }
    let workspace = |(user, own): (User, Vec<VolumeSummary>)| {
        let name = SandboxName::new(instance, &user);
        let current = generations::sort(name.as_str(), &own).current;
        let found = volumes.iter().find(|volume| volume.name == current)?;
        Some((user, found))
    };
    of.into_iter().filter_map(workspace).collect()
}

/// The owner of a container or a volume, by its labels; `None`: not one of ours.
pub fn owner(labels: &BTreeMap<String, String>) -> Option<User> {
    Some(User {
        issuer: labels.get(labels::ISSUER)?.parse().ok()?,
        subject: labels.get(labels::USER)?.parse().ok()?,
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
        let ada = User {
            issuer: "local".parse().expect("an issuer"),
            subject: "ada".parse().expect("a subject"),
        };
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
}
