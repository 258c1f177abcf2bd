//! Keeps the time of the last use in the workspace: when a use begins, while it lasts, and
//! once more when PID 1 ends itself. A look from outside, or a start without a call, is no use.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use casemate_protocol::LAST_USE_UNKNOWN;

use super::lifecycle::Lifecycle;
use crate::files::{Pool, Workspace};

/// While calls come and run, the time is brought up to date this often: a container that is killed
/// loses no more of it, and volumes are kept for hours at the least.
const UPDATE_INTERVAL: Duration = Duration::from_secs(60);

/// The last use of this workspace, over all its containers.
#[derive(Debug, Clone)]
pub struct LastUse {
    workspace: Arc<Workspace>,
    pool: Arc<Pool>,
    lifecycle: Arc<Lifecycle>,
    /// What the workspace said when this PID 1 started, in milliseconds since 1970.
    before: Arc<OnceLock<Option<i64>>>,
}

impl LastUse {
    /// Not looked at yet.
    pub fn new(workspace: Arc<Workspace>, pool: Arc<Pool>, lifecycle: Arc<Lifecycle>) -> Self {
        Self {
            workspace,
            pool,
            lifecycle,
            before: Arc::default(),
        }
    }

    /// Milliseconds since 1970; 0 before it is read, [`LAST_USE_UNKNOWN`]
    /// where what is read says nothing.
    pub fn at(&self) -> i64 {
        if !self.lifecycle.was_used() {
            return said(self.before.get());
        }
        let last = SystemTime::now() - self.lifecycle.idle_for();
        let last = last
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(last.as_millis()).unwrap_or(i64::MAX)
    }

    /// Reads what the workspace says, then notes uses until this is dropped.
    pub async fn keep(self) {
        let workspace = self.workspace.clone();
        let before = self.pool.run(move |_| workspace.last_use()).await;
        let _ = self.before.set(before.ok().flatten());
        let lifecycle = self.lifecycle.clone();
        let note = move || {
            let this = self.clone();
            async move { this.note().await }
        };
        each_use(&lifecycle, note).await;
    }

    /// The end of PID 1 is the end of the last use, where there was one.
    pub async fn end(&self) {
        if self.lifecycle.was_used() {
            self.note().await;
        }
    }

    async fn note(&self) {
        let workspace = self.workspace.clone();
        let _ = self.pool.run(move |_| workspace.note_use()).await;
    }
}

/// What there is to say of a workspace that was not used in this container.
fn said(before: Option<&Option<i64>>) -> i64 {
    match before {
        None => 0,
        Some(Some(at)) if *at > 0 => *at,
        Some(_) => LAST_USE_UNKNOWN,
    }
}

/// Notes when a use begins, and then again and again while there is one.
async fn each_use<F: Future<Output = ()>>(lifecycle: &Lifecycle, note: impl Fn() -> F) {
    loop {
        lifecycle.used().await;
        note().await;
        tokio::time::sleep(UPDATE_INTERVAL).await;
        while lifecycle.is_in_use() {
            note().await;
            tokio::time::sleep(UPDATE_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_runs_for_hours_is_noted_every_minute_and_a_backup_is_not() {
        let lifecycle = Arc::new(Lifecycle::new(Duration::from_secs(900)));
        let noted = Arc::new(AtomicU32::new(0));
        let keeping = {
            let (lifecycle, noted) = (lifecycle.clone(), noted.clone());
            tokio::spawn(async move {
                let note = || {
                    noted.fetch_add(1, Ordering::Relaxed);
                    std::future::ready(())
                };
                each_use(&lifecycle, note).await;
            })
        };
        let hour = || tokio::time::sleep(Duration::from_secs(3600));
        let backup = lifecycle.begin_maintenance().expect("accepted");
        hour().await;
        assert_eq!(noted.load(Ordering::Relaxed), 0);
        let command = lifecycle.enter().expect("accepted");
        hour().await;
        let during = noted.load(Ordering::Relaxed);
        assert!((60..=61).contains(&during), "{during}");
        drop(command);
        hour().await;
        assert_eq!(noted.load(Ordering::Relaxed), during);
        drop(backup);
        keeping.abort();
    }

    #[test]
    fn a_time_that_was_read_and_is_none_is_told_from_one_that_is_not_read_yet() {
        assert_eq!(said(None), 0);
        assert_eq!(said(Some(&Some(1_000))), 1_000);
        assert_eq!(said(Some(&Some(0))), LAST_USE_UNKNOWN);
        assert_eq!(said(Some(&Some(-5))), LAST_USE_UNKNOWN);
        assert_eq!(said(Some(&None)), LAST_USE_UNKNOWN);
    }
}
