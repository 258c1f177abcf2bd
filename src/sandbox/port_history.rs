//! The ports on which programs were seen, and when they were seen to have ended: for people who open
//! a preview after that.
//!
//! ```text
//! connected ─► seen ──refused──► ended, between the last time it was seen and now
//!               ▲                  │
//!               └────connected─────┘
//! ```
//!
//! It is kept for as long as any share of a port lasts, whether or not somebody looks, and in the
//! memory of this server alone. Of two servers each knows what it saw.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::limits::PORT_SECONDS_LIMIT;

/// How long a container is remembered after a program was seen in it.
const HISTORY_TTL: Duration = Duration::from_secs(PORT_SECONDS_LIMIT as u64);

/// Containers that are remembered, some hundred bytes each. Then the one goes in which a program was
/// seen longest ago: its page says "nothing listens yet" in place of "has ended".
const CONTAINERS_LIMIT: usize = 4_096;

/// Ports of one container: a person opens some of them.
const PORTS_LIMIT: usize = 64;

/// When something ended: between these two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTime {
    pub after: SystemTime,
    pub before: SystemTime,
}

/// The time of an end, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObservedEnd {
    /// A program was there, and is not any more.
    Program(EndTime),
    /// The same, and its container is gone since: a link leads to no other.
    ProgramAndContainer(EndTime),
    /// The container is gone; with the time, if this server saw it.
    Container(Option<SystemTime>),
}

/// What this server saw on the ports of containers. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct PortHistory(Arc<Mutex<HashMap<Arc<str>, ContainerHistory>>>);

#[derive(Debug)]
struct ContainerHistory {
    /// When a program was seen in it for the last time.
    seen: Instant,
    ports: HashMap<u16, PortSighting>,
    ended: Option<SystemTime>,
}

#[derive(Debug)]
struct PortSighting {
    seen: SystemTime,
    /// When it was first seen that nothing listens any more.
    refused: Option<SystemTime>,
}

impl PortHistory {
    /// A program listens there.
    pub fn listens(&self, container: &str, port: u16) {
        self.saw(container, port, |sighting| sighting.refused = None);
    }

    /// A connection to the program was open until now.
    pub fn was_open(&self, container: &str, port: u16) {
        self.saw(container, port, |_| {});
    }

    fn saw(&self, container: &str, port: u16, then: impl FnOnce(&mut PortSighting)) {
        let mut containers = self.0.lock();
        if !containers.contains_key(container) {
            make_room(&mut containers);
        }
        let history = containers.entry(container.into()).or_insert_with(|| {
            let (seen, ports, ended) = (Instant::now(), HashMap::new(), None);
            ContainerHistory { seen, ports, ended }
        });
        history.seen = Instant::now();
        if history.ports.len() >= PORTS_LIMIT && !history.ports.contains_key(&port) {
            let oldest = history.ports.iter().min_by_key(|(_, it)| it.seen);
            let oldest = oldest.map(|(port, _)| *port);
            if let Some(port) = oldest {
                history.ports.remove(&port);
            }
        }
        let now = SystemTime::now();
        let sighting = history.ports.entry(port).or_insert(PortSighting {
            seen: now,
            refused: None,
        });
        then(sighting);
        if sighting.refused.is_none() {
            sighting.seen = now;
        }
    }

    /// Nothing listens there now: the end of the program that did, if one was seen.
    pub fn refused(&self, container: &str, port: u16) -> Option<EndTime> {
        let mut containers = self.0.lock();
        let sighting = containers.get_mut(container)?.ports.get_mut(&port)?;
        let before = *sighting.refused.get_or_insert_with(SystemTime::now);
        let after = sighting.seen;
        Some(EndTime { after, before })
    }

    /// The container has ended just now.
    pub fn container_ended(&self, container: &str) {
        if let Some(history) = self.0.lock().get_mut(container) {
            history.ended.get_or_insert_with(SystemTime::now);
        }
    }

    /// The end of what was on this port of a container that is gone.
    pub fn end(&self, container: &str, port: u16) -> ObservedEnd {
        let containers = self.0.lock();
        let history = containers.get(container);
        let sighting = history.and_then(|history| history.ports.get(&port));
        let program = sighting.and_then(|sighting| {
            let (after, before) = (sighting.seen, sighting.refused?);
            Some(ObservedEnd::ProgramAndContainer(EndTime { after, before }))
        });
        program.unwrap_or(ObservedEnd::Container(
            history.and_then(|history| history.ended),
        ))
    }

    /// Forgets what no share can lead to any more.
    pub fn sweep(&self) {
        let is_recent = |history: &ContainerHistory| history.seen.elapsed() < HISTORY_TTL;
        self.0.lock().retain(|_, history| is_recent(history));
    }
}

fn make_room(containers: &mut HashMap<Arc<str>, ContainerHistory>) {
    if containers.len() < CONTAINERS_LIMIT {
        return;
    }
    let oldest = containers.iter().min_by_key(|(_, history)| history.seen);
    if let Some(oldest) = oldest.map(|(container, _)| container.clone()) {
        containers.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_program_that_was_seen_stays_ended_for_as_long_as_a_share_lasts() {
        let history = PortHistory::default();
        assert_eq!(history.refused("c", 80), None, "never seen");
        history.listens("c", 80);
        let end = history.refused("c", 80).expect("it was seen");
        assert!(end.after <= end.before);
        // As the server does it between two requests.
        for _ in 0..7 {
            advance(Duration::from_secs(60 * 60)).await;
            history.sweep();
        }
        assert_eq!(history.refused("c", 80), Some(end), "the first time counts");
        assert_eq!(history.refused("c", 81), None);
        assert_eq!(history.refused("d", 80), None);
        advance(Duration::from_secs(2 * 60 * 60)).await;
        history.sweep();
        assert_eq!(history.refused("c", 80), None, "no share is left");
    }

    #[test]
    fn a_program_that_is_back_has_not_ended_and_an_open_connection_is_no_new_one() {
        let history = PortHistory::default();
        history.listens("c", 80);
        let end = history.refused("c", 80);
        history.was_open("c", 80);
        assert_eq!(history.refused("c", 80), end, "an old connection ended");
        assert_eq!(
            history.end("c", 80),
            ObservedEnd::ProgramAndContainer(end.expect("an end"))
        );
        history.listens("c", 80);
        assert_eq!(history.end("c", 80), ObservedEnd::Container(None));
        let later = history.refused("c", 80).expect("an end");
        assert!(later.after >= end.expect("an end").before);
    }

    #[test]
    fn the_end_of_a_container_has_a_time_if_it_was_seen() {
        let history = PortHistory::default();
        history.container_ended("c");
        assert_eq!(history.end("c", 80), ObservedEnd::Container(None));
        history.listens("c", 80);
        history.container_ended("c");
        let end = history.end("c", 80);
        assert!(matches!(end, ObservedEnd::Container(Some(_))), "{end:?}");
        history.container_ended("c");
        assert_eq!(history.end("c", 80), end, "the first time counts");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_oldest_goes_first() {
        let history = PortHistory::default();
        for number in 0..=CONTAINERS_LIMIT {
            history.listens(&number.to_string(), 80);
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(history.0.lock().len(), CONTAINERS_LIMIT);
        assert_eq!(history.refused("0", 80), None);
        assert!(history.refused("1", 80).is_some());
        for port in 1..=1000 {
            history.listens("1", port);
        }
        assert_eq!(history.0.lock()["1"].ports.len(), PORTS_LIMIT);
        assert!(history.refused("1", 1000).is_some());
    }
}
