//! Whether the Engine's clock and ours agree: ages of containers are told by the one and judged by
//! the other, and tokens expire by ours.

use std::time::{Duration, SystemTime};

use super::{Finding, chain};
use crate::engine::Engine;

/// Apart by more than this, something is wrong with one of them: NTP keeps below a second.
const APART: Duration = Duration::from_secs(5);

/// Asks the Engine for its time.
pub async fn look(engine: &Engine) -> Finding {
    let before = SystemTime::now();
    let said = match engine.time().await {
        Ok(said) => said.unwrap_or_default(),
        Err(error) => return Finding::warning("clock", chain(&error)),
    };
    // It looked at its clock at some time in between.
    let took = before.elapsed().unwrap_or_default();
    match parse(&said) {
        Some(theirs) => judge(theirs, before + took / 2, took / 2),
        None => Finding::note(
            "clock",
            format!("the Engine does not tell its time ({said:?})"),
        ),
    }
}

/// `give`: how much of a difference says nothing.
fn judge(theirs: SystemTime, ours: SystemTime, give: Duration) -> Finding {
    let apart = theirs
        .duration_since(ours)
        .unwrap_or_else(|error| error.duration());
    let apart = apart.saturating_sub(give);
    let shown = humantime::format_duration(Duration::from_millis(
        u64::try_from(apart.as_millis()).unwrap_or(u64::MAX),
    ));
    if apart > APART {
        let said = format!("the Engine's clock and this machine's are {shown} apart");
        return Finding::warning("clock", said)
            .mend("keep both by NTP (`timedatectl set-ntp true`)");
    }
    Finding::ok(
        "clock",
        format!("the Engine's and this machine's agree ({shown} apart)"),
    )
}

/// RFC 3339 with any offset: the Engine tells its local time.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    if let Ok(time) = humantime::parse_rfc3339(text) {
        return Some(time);
    }
    let sign = text.len().checked_sub("+00:00".len())?;
    let (local, offset) = text.split_at_checked(sign)?;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset_by = Duration::from_secs((hours * 60 + minutes) * 60);
    match offset.as_bytes()[0] {
        b'+' => local.checked_sub(offset_by),
        b'-' => local.checked_add(offset_by),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn local_time_is_the_same_time() {
        let utc = parse("2026-11-24T14:00:00.5Z").expect("a time");
        for text in ["2026-11-24T15:00:00.5+01:00", "2026-11-24T08:30:00.5-05:30"] {
            assert_eq!(parse(text), Some(utc), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-11-24",
            "2026-11-24T15:00:00*01:00",
            "2026-11-24T15:00:00+1é:00",
            "+00:00",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn clocks_may_differ_by_what_the_question_took() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let seconds = Duration::from_secs;
        let level = |theirs, give| judge(theirs, now, give).level;
        assert_eq!(level(now + seconds(5), seconds(0)), Level::Ok);
        assert_eq!(level(now - seconds(5), seconds(0)), Level::Ok);
        assert_eq!(level(now + seconds(6), seconds(0)), Level::Warning);
        assert_eq!(level(now - seconds(6), seconds(0)), Level::Warning);
        assert_eq!(level(now - seconds(6), seconds(2)), Level::Ok);
    }
}
