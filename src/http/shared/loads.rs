//! What one link may cost: how many of its downloads are open, and how often it starts a sandbox.
//!
//! A link may be anywhere by now. Only a signed one gets here, so a stranger cannot fill the table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::shares::ShareId;
use parking_lot::{Mutex, MutexGuard};

/// Downloads of one link at once: a team that opens it in the same minute.
const OPEN_LIMIT: usize = 20;

/// Between two starts of the sandbox for one link: a start takes a second or two, and requests
/// that come during it wait for it.
const WAKE_INTERVAL: Duration = Duration::from_secs(10);

/// Links in the table, after which those that do nothing are forgotten.
const SWEEP_FROM: usize = 1_024;

/// The load of each link. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LinkLoads(Arc<Mutex<HashMap<ShareId, LinkLoad>>>);

#[derive(Debug, Default)]
struct LinkLoad {
    open: usize,
    woken: Option<Instant>,
}

/// Why a link does not open now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkBusy {
    /// [`OPEN_LIMIT`].
    Open,
    /// [`WAKE_INTERVAL`].
    Woken,
}

/// An open download, until it is dropped.
#[derive(Debug)]
pub struct OpenLink {
    loads: LinkLoads,
    share: ShareId,
}

impl LinkLoad {
    fn does_nothing(&self, now: Instant) -> bool {
        let rests = |woken| now.duration_since(woken) < WAKE_INTERVAL;
        self.open == 0 && !self.woken.is_some_and(rests)
    }
}

impl LinkLoads {
    /// Opens a link; `wakes`: its sandbox does not run.
    ///
    /// # Errors
    /// [`LinkBusy`].
    pub fn open(&self, share: ShareId, wakes: bool) -> Result<OpenLink, LinkBusy> {
        self.open_at(share, wakes, Instant::now())
    }

    fn open_at(&self, share: ShareId, wakes: bool, now: Instant) -> Result<OpenLink, LinkBusy> {
        let mut links = self.lock();
        if links.len() >= SWEEP_FROM {
            links.retain(|_, load| !load.does_nothing(now));
        }
        let load = links.entry(share).or_default();
        if load.open >= OPEN_LIMIT {
            return Err(LinkBusy::Open);
        }
        if wakes {
            let was_woken = |woken| now.duration_since(woken) < WAKE_INTERVAL;
            if load.woken.is_some_and(was_woken) {
                return Err(LinkBusy::Woken);
            }
            load.woken = Some(now);
        }
        load.open += 1;
        Ok(OpenLink {
            loads: self.clone(),
            share,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShareId, LinkLoad>> {
        self.0.lock()
    }
}

impl Drop for OpenLink {
    fn drop(&mut self) {
        if let Some(load) = self.loads.lock().get_mut(&self.share) {
            load.open = load.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> ShareId {
        ShareId::random().expect("random")
    }

    #[test]
    fn so_many_downloads_of_a_link_are_open_and_another_link_has_its_own() {
        let (loads, link, now) = (LinkLoads::default(), share(), Instant::now());
        let open = |link| loads.open_at(link, false, now);
        let mut held: Vec<_> = (0..OPEN_LIMIT).map(|_| open(link)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(open(link).err(), Some(LinkBusy::Open));
        assert!(open(share()).is_ok());
        held.pop();
        assert!(open(link).is_ok());
    }

    #[test]
    fn a_link_starts_its_sandbox_once_in_a_while() {
        let (loads, link, now) = (LinkLoads::default(), share(), Instant::now());
        assert!(loads.open_at(link, true, now).is_ok());
        let soon = now + WAKE_INTERVAL / 2;
        assert_eq!(loads.open_at(link, true, soon).err(), Some(LinkBusy::Woken));
        assert!(loads.open_at(link, false, soon).is_ok(), "it runs");
        assert!(loads.open_at(share(), true, soon).is_ok(), "another link");
        assert!(loads.open_at(link, true, now + WAKE_INTERVAL).is_ok());
    }

    #[test]
    fn links_that_do_nothing_are_forgotten() {
        let (loads, now) = (LinkLoads::default(), Instant::now());
        let held = loads.open_at(share(), false, now);
        for _ in 0..2 * SWEEP_FROM {
            drop(loads.open_at(share(), false, now));
        }
        assert!(loads.lock().len() <= SWEEP_FROM);
        drop(held);
    }
}
