//! The handles of the sandboxes that were asked for, and what those of one user share.

use std::collections::HashMap;

use super::handle::{Cancellations, Sandbox, Transfers};
use crate::identity::{Identity, User};
use crate::provision::{Admission, ServerContext, Spec};

/// The sandboxes that were asked for.
#[derive(Debug, Default)]
pub(super) struct Handles {
    /// A user whose credentials give several groups has one for each. Of those that last, one has a
    /// container at a time: its name is the user's.
    sandboxes: HashMap<Identity, Sandbox>,
    /// A group gives a user no second share.
    shares: HashMap<User, UserShare>,
    cancellations: HashMap<User, Cancellations>,
}

/// What all sandboxes of one user share.
#[derive(Debug, Clone)]
pub(super) struct UserShare {
    /// Calls at once, by the settings of the sandbox that was asked for last.
    calls: u32,
    pub admission: Admission,
    pub transfers: Transfers,
}

impl Handles {
    /// That of this user, for this group.
    pub fn sandbox(&self, identity: &Identity) -> Option<&Sandbox> {
        self.sandboxes.get(identity)
    }

    /// Adds a sandbox.
    pub fn insert(&mut self, identity: &Identity, sandbox: &Sandbox) {
        self.sandboxes.insert(identity.clone(), sandbox.clone());
    }

    /// The turns of the cancellations of `user`.
    pub fn cancellations(&mut self, user: &User) -> Cancellations {
        self.cancellations.entry(user.clone()).or_default().clone()
    }

    /// The share of the user of a sandbox that is as in `spec`.
    pub fn share(&mut self, context: &ServerContext, spec: &Spec) -> UserShare {
        let (user, calls) = (&spec.identity.user, spec.settings.calls_per_user);
        if let Some(known) = self.shares.get(user).filter(|known| known.calls == calls) {
            return known.clone();
        }
        let waiting = &context.waiting;
        let share = UserShare {
            calls,
            admission: Admission::new(calls, waiting.clone()),
            transfers: Transfers::new(context.engine.clone(), waiting.clone()),
        };
        self.shares.insert(user.clone(), share.clone());
        share
    }
}
