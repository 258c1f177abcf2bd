//! How long calls wait until they have a container, and why some never get one.

use tokio::time::Instant;

use crate::meter::Meter;
use crate::provision::SandboxError;

/// The wait of one call. It is counted once, however it ends.
#[derive(Debug)]
pub(super) struct Wait {
    meter: Option<Meter>,
    came: Instant,
}

impl Wait {
    /// It begins.
    pub fn new(meter: &Meter) -> Self {
        Self {
            meter: Some(meter.clone()),
            came: Instant::now(),
        }
    }

    /// The call has a container.
    pub fn over(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.waited(self.came.elapsed());
        }
    }

    /// The call never gets one.
    pub fn refused(&mut self, error: &SandboxError) {
        if let (Some(meter), Some(why)) = (self.meter.take(), reason(error)) {
            meter.refused(why);
        }
    }
}

/// `None`: the call was not refused, but failed, or its caller went away.
fn reason(error: &SandboxError) -> Option<&'static str> {
    match error {
        SandboxError::NoTurn(_) => Some("no_turn"),
        SandboxError::Busy { .. } | SandboxError::Crowded { .. } => Some("too_many_wait"),
        SandboxError::Full { .. } => Some("full"),
        SandboxError::DiskFull { .. } => Some("disk_full"),
        SandboxError::NoUid { .. } => Some("no_uid"),
        SandboxError::ImagePreparing | SandboxError::NotReady(_) => Some("not_ready"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::provision::SandboxLimit;

    #[test]
    fn each_call_that_gets_no_container_is_counted_once_by_why_and_never_as_one_that_waited() {
        let meter = Meter::new();
        let late = Duration::from_secs(45);
        for error in [
            SandboxError::Full {
                limit: SandboxLimit::Instance(1),
            },
            SandboxError::NotReady(late),
            SandboxError::ImagePreparing,
            SandboxError::NoTurn(late),
            SandboxError::Busy { waiting: 256 },
            SandboxError::Crowded { waiting: 4096 },
            SandboxError::Cancelled,
        ] {
            let mut wait = Wait::new(&meter);
            wait.refused(&error);
            wait.over();
        }
        let text = meter.text().expect("text");
        for (reason, count) in [
            ("full", 1),
            ("not_ready", 2),
            ("no_turn", 1),
            ("too_many_wait", 2),
        ] {
            let line = format!(r#"casemate_calls_refused_total{{reason="{reason}"}} {count}"#);
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(
            text.contains("casemate_call_wait_seconds_count 0\n"),
            "{text}"
        );
    }
}
