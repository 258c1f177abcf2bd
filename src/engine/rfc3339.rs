//! Times as the Engine writes them.

use std::time::SystemTime;

/// A time in RFC 3339, with any offset: an Engine may report its host's local time. `None`
/// for any other text.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let moment = chrono::DateTime::parse_from_rfc3339(text);
    moment.ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_is_the_same_time() {
        let utc = parse_rfc3339("2026-11-24T14:00:00.5Z").expect("a time");
        for text in ["2026-11-24T15:00:00.5+01:00", "2026-11-24T08:30:00.5-05:30"] {
            assert_eq!(parse_rfc3339(text), Some(utc), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-11-24",
            "2026-11-24T15:00:00*01:00",
            "2026-11-24T15:00:00+1é:00",
            "+00:00",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text:?}");
        }
    }
}
