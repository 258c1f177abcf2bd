//! How many connections previews have open: of each user, and in all.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::identity::User;

/// Connections of one user's previews: some tabs, each of which opens six at once, and the
/// WebSockets of development servers.
const USER_LIMIT: usize = 64;

/// Connections of all previews. A WebSocket is no longer among the server's connections, so this
/// bounds its descriptors.
const LIMIT: usize = 1_024;

/// The open connections. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PreviewLoads(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_user: HashMap<User, usize>,
}

/// One connection, until it is dropped.
#[derive(Debug)]
pub struct PreviewPermit {
    loads: PreviewLoads,
    user: User,
}

impl PreviewLoads {
    /// One connection more; `None` at a limit.
    pub fn take(&self, user: &User) -> Option<PreviewPermit> {
        let mut open = self.0.lock();
        if open.all >= LIMIT {
            return None;
        }
        let of_user = open.by_user.entry(user.clone()).or_default();
        if *of_user >= USER_LIMIT {
            return None;
        }
        *of_user += 1;
        open.all += 1;
        Some(PreviewPermit {
            loads: self.clone(),
            user: user.clone(),
        })
    }
}

impl Drop for PreviewPermit {
    fn drop(&mut self) {
        let mut open = self.loads.0.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(of_user) = open.by_user.get_mut(&self.user) {
            *of_user = of_user.saturating_sub(1);
            if *of_user == 0 {
                open.by_user.remove(&self.user);
            }
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
        let loads = PreviewLoads::default();
        let mut held: Vec<_> = (0..USER_LIMIT).map(|_| loads.take(&user("a"))).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(loads.take(&user("a")).is_none());
        assert!(loads.take(&user("b")).is_some());
        held.pop();
        assert!(loads.take(&user("a")).is_some());
        drop(held);
        assert!(loads.0.lock().by_user.is_empty());
    }

    #[test]
    fn all_together_are_bounded() {
        let loads = PreviewLoads::default();
        let users = (0..LIMIT).map(|at| user(&format!("u{}", at / USER_LIMIT)));
        let held: Vec<_> = users.map(|user| loads.take(&user)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(loads.take(&user("another")).is_none());
    }
}
