//! Which sandboxes count, and which stay when too many were made at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{ContainerSummary, State};
use crate::identity::{User, WorkspaceId};
use crate::provision::owners::owner;

pub(super) fn as_count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Whether it counts: it is a user's, and not about to be removed.
pub(super) fn is_alive(row: &ContainerSummary) -> bool {
    row.is_sandbox() && !matches!(row.state, State::Exited | State::Dead | State::Removing)
}

/// Those that run stay; then the older ones.
pub(super) type Precedence = (bool, i64);

fn row_precedence(row: &ContainerSummary) -> Precedence {
    (row.state == State::Created, row.created)
}

/// By state, because those that run stay; then by age; then by id. All servers see the same
/// order.
pub(super) fn is_among_first(mut alive: Vec<ContainerSummary>, most: usize, id: &str) -> bool {
    alive.sort_by(|a, b| {
        let order = row_precedence(a).cmp(&row_precedence(b));
        order.then_with(|| a.id.cmp(&b.id))
    });
    alive.iter().take(most).any(|row| row.id == id)
}

/// The workspaces of a user that have a sandbox alive, each with its first. A helper of a backup is
/// the operator's, and takes no place of the user's.
pub(super) fn workspaces_of(
    alive: &[ContainerSummary],
    user: &User,
) -> BTreeMap<WorkspaceId, Precedence> {
    let mut of = BTreeMap::new();
    for row in alive.iter().filter(|row| !row.is_helper()) {
        let Some(workspace) = owner(&row.labels).filter(|found| found.user == *user) else {
            continue;
        };
        let place = row_precedence(row);
        let first = of.entry(workspace).or_insert(place);
        *first = place.min(*first);
    }
    of
}

/// As [`is_among_first`], of a user's workspaces.
pub(super) fn has_place(
    theirs: BTreeMap<WorkspaceId, Precedence>,
    most: usize,
    workspace: &WorkspaceId,
) -> bool {
    let order: BTreeSet<_> = theirs.into_iter().map(|(of, place)| (place, of)).collect();
    order.iter().take(most).any(|(_, of)| of == workspace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::labels;

    fn row(id: &str, workspace: Option<&str>, state: State, created: i64) -> ContainerSummary {
        let mut all = BTreeMap::from([
            (labels::ISSUER.to_owned(), "local".to_owned()),
            (labels::USER.to_owned(), "ada".to_owned()),
        ]);
        all.extend(workspace.map(|name| (labels::WORKSPACE.to_owned(), name.to_owned())));
        ContainerSummary {
            id: id.to_owned(),
            name: String::new(),
            labels: all,
            state,
            created,
            volumes: Vec::new(),
        }
    }

    fn ada(name: Option<&str>) -> WorkspaceId {
        WorkspaceId {
            user: User::local("ada".parse().expect("a subject")),
            name: name.map(|name| name.parse().expect("a name")),
        }
    }

    #[test]
    fn of_too_many_the_running_and_the_older_stay() {
        let alive = || {
            vec![
                row("a", None, State::Created, 7),
                row("b", None, State::Running, 9),
                row("d", None, State::Created, 5),
                row("c", None, State::Created, 5),
            ]
        };
        let stays = |id| is_among_first(alive(), 2, id);
        assert!(stays("b") && stays("c") && !stays("d") && !stays("a"));
    }

    #[test]
    fn of_a_users_workspaces_those_that_run_keep_their_place_and_each_counts_once() {
        let mut helper = row("e", Some("z"), State::Running, 1);
        let mode = labels::HELPER_MODE.to_owned();
        helper.labels.insert(labels::MODE.to_owned(), mode);
        let alive = [
            row("a", Some("x"), State::Created, 7),
            row("b", None, State::Running, 9),
            row("c", None, State::Created, 1),
            row("d", Some("y"), State::Created, 8),
            helper,
        ];
        let theirs = || workspaces_of(&alive, &ada(None).user);
        assert_eq!(theirs().len(), 3);
        let stays = |name| has_place(theirs(), 2, &ada(name));
        assert!(stays(None) && stays(Some("x")) && !stays(Some("y")) && !stays(Some("z")));
        let bob = User::local("bob".parse().expect("a subject"));
        assert!(workspaces_of(&alive, &bob).is_empty());
    }
}
