//! Times of files, as answers show them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The end of the year 9999, the last that RFC 3339 can write. In milliseconds since 1970.
const LAST_MS: u64 = 253_402_300_799_000;

/// RFC 3339 in UTC, to the second.
pub fn rfc3339(modified_ms: i64) -> String {
    humantime::format_rfc3339_seconds(instant(modified_ms)).to_string()
}

/// The time of a file. One before 1970 or after 9999 becomes the nearest in between.
pub fn instant(modified_ms: i64) -> SystemTime {
    let since = u64::try_from(modified_ms).unwrap_or(0).min(LAST_MS);
    UNIX_EPOCH + Duration::from_millis(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_outside_the_calendar_becomes_the_nearest_inside() {
        assert_eq!(rfc3339(1_700_000_000_999), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(i64::MIN), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59Z");
    }
}
