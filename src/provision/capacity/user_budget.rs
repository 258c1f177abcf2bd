//! The workspaces of each user whose containers this server is making, and the line in which a
//! user's calls wait for one of the user's sandboxes to end.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;

use crate::identity::{User, WorkspaceId};
use crate::provision::queue::Admission;

/// All users. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct UserBudgets {
    users: Arc<Mutex<HashMap<User, UserBudget>>>,
    /// Calls that wait in this server.
    waiting: Arc<AtomicUsize>,
}

/// Of one user.
#[derive(Debug)]
struct UserBudget {
    line: Admission,
    /// With how many containers of each are being made: in ephemeral mode there may be several.
    making: HashMap<WorkspaceId, usize>,
}

/// A container of a workspace is being made, until this is dropped.
#[derive(Debug)]
pub(super) struct WorkspaceReservation {
    budgets: UserBudgets,
    workspace: WorkspaceId,
}

impl UserBudgets {
    /// Nothing is being made.
    pub fn new(waiting: Arc<AtomicUsize>) -> Self {
        Self {
            users: Arc::default(),
            waiting,
        }
    }

    /// Where the user's calls wait.
    pub fn line(&self, user: &User) -> Admission {
        self.with(user, |budget| budget.line.clone())
    }

    /// A container of the workspace is about to be made.
    pub fn reserve(&self, workspace: &WorkspaceId) -> WorkspaceReservation {
        self.with(&workspace.user, |budget| {
            *budget.making.entry(workspace.clone()).or_default() += 1;
        });
        WorkspaceReservation {
            budgets: self.clone(),
            workspace: workspace.clone(),
        }
    }

    fn with<T>(&self, user: &User, change: impl FnOnce(&mut UserBudget) -> T) -> T {
        let mut users = self.users.lock();
        let new = || UserBudget {
            line: Admission::new(1, self.waiting.clone()),
            making: HashMap::new(),
        };
        change(users.entry(user.clone()).or_insert_with(new))
    }
}

impl WorkspaceReservation {
    /// The other workspaces of the user with a container that is being made.
    pub fn others(&self) -> BTreeSet<WorkspaceId> {
        self.budgets.with(&self.workspace.user, |budget| {
            let others = budget.making.keys();
            others
                .filter(|other| **other != self.workspace)
                .cloned()
                .collect()
        })
    }
}

impl Drop for WorkspaceReservation {
    fn drop(&mut self) {
        self.budgets.with(&self.workspace.user, |budget| {
            if let Some(count) = budget.making.get_mut(&self.workspace) {
                *count -= 1;
                if *count == 0 {
                    budget.making.remove(&self.workspace);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_counts_until_the_last_of_its_containers_is_listed() {
        let budgets = UserBudgets::new(Arc::default());
        let ada = |name: Option<&str>| WorkspaceId {
            user: User::local("ada".parse().expect("a subject")),
            name: name.map(|name| name.parse().expect("a name")),
        };
        let own = budgets.reserve(&ada(None));
        let (first, second) = (
            budgets.reserve(&ada(Some("x"))),
            budgets.reserve(&ada(Some("x"))),
        );
        assert_eq!(own.others(), [ada(Some("x"))].into());
        assert_eq!(first.others(), [ada(None)].into());
        drop(first);
        assert_eq!(own.others().len(), 1);
        drop(second);
        assert!(own.others().is_empty());
    }
}
