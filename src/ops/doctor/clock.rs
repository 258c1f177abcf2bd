//! Checks that the Engine's clock agrees with this machine's: containers get their times from the
//! one and are judged by the other, and tokens expire by this machine's.

use std::time::{Duration, SystemTime};

use super::{Finding, chain};
use crate::engine::{Engine, parse_rfc3339};

/// A larger difference means that one of them is wrong: NTP keeps it below a second.
const CLOCK_SKEW_LIMIT: Duration = Duration::from_secs(5);

/// Asks the Engine for its time.
pub async fn look(engine: &Engine) -> Finding {
    let before = SystemTime::now();
    let said = match engine.time().await {
        Ok(said) => said.unwrap_or_default(),
        Err(error) => return Finding::warning("clock", chain(&error)),
    };
    // The Engine read its clock at some time between these two.
    let took = before.elapsed().unwrap_or_default();
    match parse_rfc3339(&said) {
        Some(theirs) => judge(theirs, before + took / 2, took / 2),
        None => Finding::note(
            "clock",
            format!("the Engine does not tell its time ({said:?})"),
        ),
    }
}

/// `give`: the uncertainty of the difference.
fn judge(theirs: SystemTime, ours: SystemTime, give: Duration) -> Finding {
    let apart = theirs
        .duration_since(ours)
        .unwrap_or_else(|error| error.duration());
    let apart = apart.saturating_sub(give);
    let shown = humantime::format_duration(Duration::from_millis(
        u64::try_from(apart.as_millis()).unwrap_or(u64::MAX),
    ));
    if apart > CLOCK_SKEW_LIMIT {
        let said = format!("the Engine's clock and this machine's are {shown} apart");
        return Finding::warning("clock", said)
            .fix("keep both by NTP (`timedatectl set-ntp true`)");
    }
    Finding::ok(
        "clock",
        format!("the Engine's clock and this machine's agree ({shown} apart)"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn clocks_may_differ_by_what_the_question_took() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let seconds = Duration::from_secs;
        let level = |theirs, give| judge(theirs, now, give).level;
        assert_eq!(level(now + seconds(5), seconds(0)), Severity::Ok);
        assert_eq!(level(now - seconds(5), seconds(0)), Severity::Ok);
        assert_eq!(level(now + seconds(6), seconds(0)), Severity::Warning);
        assert_eq!(level(now - seconds(6), seconds(0)), Severity::Warning);
        assert_eq!(level(now - seconds(6), seconds(2)), Severity::Ok);
    }
}
