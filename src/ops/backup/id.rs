//! The id of a backup: the time of its start, and some random digits.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// Seconds from 1970 to the year 10000, which no id can have.
const END: Duration = Duration::from_secs(253_402_300_800);

/// `20260131T235959.123Z-0a1b2c3d`. Sorting as text sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a backup is named like 20260131T235959.123Z-0a1b2c3d")]
pub struct InvalidId;

impl Id {
    /// Of a backup that begins now.
    pub fn new(now: SystemTime) -> Self {
        let time = humantime::format_rfc3339_millis(now).to_string();
        let time = time.replace(['-', ':'], "");
        let random = uuid::Uuid::new_v4().simple().to_string();
        Self(format!("{time}-{}", &random[..8]))
    }

    /// Of a backup that begins now. It is later than `newest` even if a clock ran ahead when that
    /// was made. After the year 9999 there is no later one, and it begins `now`.
    pub fn after(newest: Option<&Self>, now: SystemTime) -> Self {
        let later = newest.map(|id| id.time() + Duration::from_millis(1));
        let later = later.filter(|time| now < *time && *time < SystemTime::UNIX_EPOCH + END);
        Self::new(later.unwrap_or(now))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time of its start.
    pub fn time(&self) -> SystemTime {
        time(&self.0).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whole seconds since 1970.
    pub fn seconds(&self) -> u64 {
        let since = self.time().duration_since(SystemTime::UNIX_EPOCH);
        since.as_ref().map_or(0, Duration::as_secs)
    }
}

fn time(text: &str) -> Option<SystemTime> {
    let (time, random) = text.split_once('-')?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if random.len() != 8 || !random.bytes().all(hex) || time.len() != 20 || !time.is_ascii() {
        return None;
    }
    let part = |from: usize, to: usize| &time[from..to];
    let rfc3339 = format!(
        "{}-{}-{}T{}:{}:{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 20)
    );
    // The rest is checked there.
    let framed = part(8, 9) == "T" && part(15, 16) == ".";
    humantime::parse_rfc3339(&rfc3339).ok().filter(|_| framed)
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        time(text).map(|_| Self(text.to_owned())).ok_or(InvalidId)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when_it_was_made_and_the_later_is_the_greater() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let (first, second) = (
            Id::new(at(1_769_903_999_007)),
            Id::new(at(1_769_903_999_008)),
        );
        assert!(first.as_str().starts_with("20260131T235959.007Z-"));
        assert!(first < second);
        assert_eq!(first.as_str().parse(), Ok(first.clone()));
        assert_eq!(
            (first.time(), first.seconds()),
            (at(1_769_903_999_007), 1_769_903_999)
        );
    }

    #[test]
    fn the_next_id_is_the_greatest_whatever_the_clock_said_before() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_903_999);
        let ahead = Id::new(now + Duration::from_secs(4 * 365 * 24 * 3600));
        let next = Id::after(Some(&ahead), now);
        assert!(next > ahead, "{next} {ahead}");
        assert_eq!(
            Id::after(Some(&Id::new(now)), now).time(),
            now + Duration::from_millis(1)
        );
        assert_eq!(Id::after(None, now).time(), now);
        let last: Id = "99991231T235959.999Z-ffffffff".parse().expect("an id");
        assert_eq!(Id::after(Some(&last), now).time(), now);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "..",
            "20260131T235959.123Z",
            "20260131T235959.123Z-0a1b2c3",
            "20260131T235959.123Z-0a1b2c3g",
            "20260131T235959Z-0a1b2c3d",
            "20261331T235959.123Z-0a1b2c3d",
            "20260131x235959.123Z-0a1b2c3d",
            "2026013éT23595.123Z-0a1b2c3d",
        ] {
            assert_eq!(text.parse::<Id>(), Err(InvalidId), "{text:?}");
        }
    }
}
