//! The handles of the sandboxes that were asked for, and what those of one user share.

use std::collections::HashMap;

use tokio::time::Instant;

use super::handle::{Cancellations, Sandbox, Transfers};
use super::unused::UnusedWorkspaces;
use crate::identity::{Identity, User};
use crate::provision::{Admission, ServerContext, Spec};

/// Handles of one user: the workspaces that may be, and some more. A client names workspaces as it
/// likes, so unused ones are removed.
const HANDLES_PER_USER_LIMIT: usize = 256;

/// The sandboxes that were asked for.
#[derive(Debug, Default)]
pub(super) struct Handles {
    /// A user whose credentials give several groups has one for each. Of those that last, one has a
    /// container at a time: its name is the workspace's.
    users: HashMap<User, HashMap<Identity, KnownSandbox>>,
    /// Neither a group nor a workspace gives a user a second share.
    shares: HashMap<User, UserShare>,
    cancellations: HashMap<User, Cancellations>,
}

/// A sandbox, and when it was asked for last.
#[derive(Debug)]
struct KnownSandbox {
    sandbox: Sandbox,
    asked: Instant,
}

/// What all sandboxes of one user share.
#[derive(Debug, Clone)]
pub(super) struct UserShare {
    /// Calls at once, by the settings of the sandbox that was asked for last.
    calls: u32,
    /// Ephemeral containers that run a command at once, likewise.
    live: u32,
    pub admission: Admission,
    pub ephemeral: Admission,
    pub transfers: Transfers,
    pub unused: UnusedWorkspaces,
}

impl Handles {
    /// That of this user's workspace, for this group.
    pub fn sandbox(&mut self, identity: &Identity) -> Option<&Sandbox> {
        let known = self.users.get_mut(&identity.user)?.get_mut(identity)?;
        known.asked = Instant::now();
        Some(&known.sandbox)
    }

    /// Adds a sandbox. Where the user has too many, the ones that were asked for longest ago are
    /// removed, as far as they are unused.
    pub fn insert(&mut self, identity: &Identity, sandbox: &Sandbox) {
        let theirs = self.users.entry(identity.user.clone()).or_default();
        if theirs.len() >= HANDLES_PER_USER_LIMIT {
            let unused = theirs.iter().filter(|(_, known)| known.sandbox.is_unused());
            let mut unused: Vec<_> = unused
                .map(|(identity, known)| (known.asked, identity.clone()))
                .collect();
            unused.sort_by_key(|(asked, _)| *asked);
            unused.truncate(theirs.len() - HANDLES_PER_USER_LIMIT + 1);
            for (_, identity) in unused {
                theirs.remove(&identity);
            }
        }
        let known = KnownSandbox {
            sandbox: sandbox.clone(),
            asked: Instant::now(),
        };
        theirs.insert(identity.clone(), known);
    }

    /// The turns of the cancellations of `user`.
    pub fn cancellations(&mut self, user: &User) -> Cancellations {
        self.cancellations.entry(user.clone()).or_default().clone()
    }

    /// The share of the user of a sandbox that is as in `spec`.
    pub fn share(&mut self, context: &ServerContext, spec: &Spec) -> UserShare {
        let (user, settings) = (&spec.identity.user, &spec.settings);
        let (calls, live) = (settings.calls_per_user, settings.ephemeral_live);
        let known = self.shares.get(user);
        if let Some(known) = known.filter(|known| (known.calls, known.live) == (calls, live)) {
            return known.clone();
        }
        let waiting = &context.waiting;
        let share = UserShare {
            calls,
            live,
            admission: Admission::new(calls, waiting.clone()),
            ephemeral: Admission::new(live, waiting.clone()),
            transfers: Transfers::new(context.engine.clone(), waiting.clone()),
            unused: UnusedWorkspaces::default(),
        };
        self.shares.insert(user.clone(), share.clone());
        share
    }
}
