//! How many bytes of a user pass in a day.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The bytes of one user in both directions, in all of their sandboxes, since midnight (UTC) or the
/// start of this server.
#[derive(Debug, Default)]
pub struct DayBudget {
    /// `None`: any number.
    limit: Option<u64>,
    passed: Mutex<PassedBytes>,
}

#[derive(Debug, Default, Clone, Copy)]
struct PassedBytes {
    /// Since 1970.
    day: u64,
    bytes: u64,
}

impl DayBudget {
    /// At most `limit` bytes in a day.
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            passed: Mutex::default(),
        }
    }

    /// Whether a connection may begin.
    pub fn has_left(&self) -> bool {
        self.spend_on(today(), 0)
    }

    /// Counts bytes that pass. `false`: as many have passed as may.
    pub fn spend(&self, bytes: usize) -> bool {
        self.spend_on(today(), bytes as u64)
    }

    fn spend_on(&self, day: u64, bytes: u64) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let mut passed = self.passed.lock();
        if passed.day != day {
            *passed = PassedBytes { day, bytes: 0 };
        }
        passed.bytes = passed.bytes.saturating_add(bytes);
        passed.bytes < limit
    }
}

fn today() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() / DAY_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_pass_in_a_day_and_the_next_day_begins_anew() {
        let budget = DayBudget::new(Some(10));
        assert!(budget.spend_on(7, 9) && budget.spend_on(7, 0));
        assert!(!budget.spend_on(7, 1) && !budget.spend_on(7, 0));
        assert!(budget.spend_on(8, 5));
        assert!(!budget.spend_on(8, u64::MAX));
        let unlimited = DayBudget::new(None);
        assert!(unlimited.spend(usize::MAX) && unlimited.spend(usize::MAX) && unlimited.has_left());
    }
}
