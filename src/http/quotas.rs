//! The load of each user: requests, the bytes of their messages, sessions of the old transport.
//! Users do not share a limit.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::limits::{MESSAGE_BYTES_PER_USER, REQUESTS_PER_USER, SESSIONS, SESSIONS_PER_USER};
use crate::identity::User;

/// The load of each user. Cheap to clone. Idle users are not in it.
#[derive(Debug, Clone, Default)]
pub struct UserQuotas(Arc<Mutex<HashMap<User, QuotaUsage>>>);

/// The amounts of one user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaUsage {
    requests: usize,
    bytes: usize,
    sessions: usize,
}

/// Part of a user's load, until it is dropped.
#[derive(Debug)]
pub struct QuotaPermit {
    quotas: UserQuotas,
    user: User,
    amount: QuotaUsage,
}

impl QuotaUsage {
    /// A request whose message has at most this many bytes.
    pub fn request(bytes: usize) -> Self {
        let requests = 1;
        Self {
            requests,
            bytes,
            ..Self::default()
        }
    }

    /// A session of the old transport.
    pub fn session() -> Self {
        let sessions = 1;
        Self {
            sessions,
            ..Self::default()
        }
    }

    fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests + more.requests,
            bytes: self.bytes + more.bytes,
            sessions: self.sessions + more.sessions,
        }
    }

    fn minus(self, less: Self) -> Self {
        Self {
            requests: self.requests - less.requests,
            bytes: self.bytes - less.bytes,
            sessions: self.sessions - less.sessions,
        }
    }

    /// The limits of one user.
    fn is_allowed(self) -> bool {
        self.requests <= REQUESTS_PER_USER
            && self.bytes <= MESSAGE_BYTES_PER_USER
            && self.sessions <= SESSIONS_PER_USER
    }
}

impl UserQuotas {
    /// Takes a share for `user`; `None` when that would be more than is allowed.
    pub fn take(&self, user: &User, amount: QuotaUsage) -> Option<QuotaPermit> {
        let mut users = self.0.lock();
        let sessions: usize = match amount.sessions {
            0 => 0,
            more => more + users.values().map(|user| user.sessions).sum::<usize>(),
        };
        let all = users.get(user).copied().unwrap_or_default().plus(amount);
        if !all.is_allowed() || sessions > SESSIONS {
            return None;
        }
        users.insert(user.clone(), all);
        Some(QuotaPermit {
            quotas: self.clone(),
            user: user.clone(),
            amount,
        })
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        let mut users = self.quotas.0.lock();
        let Some(all) = users.get_mut(&self.user) else {
            return;
        };
        *all = all.minus(self.amount);
        if *all == QuotaUsage::default() {
            users.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::local(name.parse().expect("a subject"))
    }

    #[test]
    fn a_user_at_the_limit_is_refused_and_another_is_not() {
        let quotas = UserQuotas::default();
        let take = |name: &str| quotas.take(&user(name), QuotaUsage::request(0));
        let mut shares: Vec<_> = (0..REQUESTS_PER_USER).map(|_| take("a")).collect();
        assert!(shares.iter().all(Option::is_some));
        assert!(take("a").is_none());
        assert!(take("b").is_some());
        shares.pop();
        assert!(take("a").is_some());
    }

    #[test]
    fn bytes_and_sessions_have_limits_of_their_own() {
        let quotas = UserQuotas::default();
        let half = QuotaUsage::request(MESSAGE_BYTES_PER_USER / 2 + 1);
        let held = quotas.take(&user("a"), half);
        assert!(held.is_some() && quotas.take(&user("a"), half).is_none());
        assert!(quotas.take(&user("a"), QuotaUsage::session()).is_some());
        let session = || quotas.take(&user("a"), QuotaUsage::session());
        let sessions: Vec<_> = (0..SESSIONS_PER_USER).map(|_| session()).collect();
        assert!(sessions.iter().all(Option::is_some) && session().is_none());
    }

    #[test]
    fn all_sessions_together_are_bounded() {
        let quotas = UserQuotas::default();
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|at| quotas.take(&user(&format!("u{at}")), QuotaUsage::session()))
            .collect();
        assert!(sessions.iter().all(Option::is_some));
        assert!(
            quotas
                .take(&user("another"), QuotaUsage::session())
                .is_none()
        );
        drop(sessions);
        assert!(quotas.0.lock().is_empty());
    }
}
