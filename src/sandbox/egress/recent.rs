//! The latest refusals of all sandboxes of this server, for the operator. In memory only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::egress::Refusal;
use crate::identity::Identity;

/// Hosts that are remembered. More of them are in the audit.
const REFUSAL_LIMIT: usize = 100;

/// A host that a user's sandbox was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentRefusal {
    /// Whose sandbox.
    pub user: String,
    /// The issuer that vouches for the user.
    pub issuer: String,
    /// In its one form; as it was asked for where it has none.
    pub host: String,
    /// `None`: the name was refused, for all ports.
    pub port: Option<u16>,
    /// The code of the refusal.
    pub reason: &'static str,
    /// When it was refused last.
    pub last: SystemTime,
    /// How often, since it is remembered.
    pub count: u64,
}

impl RecentRefusal {
    fn is_same(&self, other: &Self) -> bool {
        let key = |one: &Self| (one.port, one.reason);
        key(self) == key(other)
            && self.host == other.host
            && self.user == other.user
            && self.issuer == other.issuer
    }
}

/// The latest refusals, one for each user, host and reason. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct RecentRefusals(Arc<Mutex<VecDeque<RecentRefusal>>>);

impl RecentRefusals {
    /// Remembers one.
    pub fn add(&self, identity: &Identity, refusal: &Refusal) {
        let mut new = RecentRefusal {
            user: identity.user.subject.as_str().to_owned(),
            issuer: identity.user.issuer.as_str().to_owned(),
            host: refusal.host.clone(),
            port: refusal.port,
            reason: refusal.reason.as_str(),
            last: SystemTime::now(),
            count: 1,
        };
        let mut all = self.0.lock();
        if let Some(at) = all.iter().position(|known| known.is_same(&new)) {
            let known = all.remove(at);
            new.count += known.map_or(0, |known| known.count);
        }
        if all.len() >= REFUSAL_LIMIT {
            all.pop_front();
        }
        all.push_back(new);
    }

    /// The latest first.
    pub fn latest(&self) -> Vec<RecentRefusal> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use casemate_egress::Reason;

    use super::*;
    use crate::identity::User;

    #[test]
    fn the_latest_come_first_and_a_flood_replaces_the_oldest() {
        let recent = RecentRefusals::default();
        let ada = Identity::from(User::local("ada".parse().expect("a subject")));
        let refusal = |host: String| Refusal {
            host,
            port: Some(443),
            reason: Reason::NotAllowed,
        };
        for _ in 0..3 {
            recent.add(&ada, &refusal("a.example.com".to_owned()));
        }
        recent.add(&ada, &refusal("b.example.com".to_owned()));
        let latest = recent.latest();
        let hosts: Vec<_> = latest.iter().map(|one| (&*one.host, one.count)).collect();
        assert_eq!(hosts, [("b.example.com", 1), ("a.example.com", 3)]);
        for number in 0..2 * REFUSAL_LIMIT {
            recent.add(&ada, &refusal(format!("{number}.example.com")));
        }
        let latest = recent.latest();
        assert_eq!(latest.len(), REFUSAL_LIMIT);
        assert_eq!(
            latest[0].host,
            format!("{}.example.com", 2 * REFUSAL_LIMIT - 1)
        );
    }
}
