//! Keeps the time of the last use in the workspace: when a use begins, and once more when
//! PID 1 ends itself. A look from outside, or a start without a call, is no use.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::life::Life;
use crate::files::{Pool, Workspace};

/// While calls come, the time is brought up to date this often: a container that is killed
/// loses no more of it, and volumes are kept for hours at the least.
const EVERY: Duration = Duration::from_secs(60);

/// The last use of this workspace, over all its containers.
#[derive(Debug, Clone)]
pub struct LastUse {
    workspace: Arc<Workspace>,
    pool: Arc<Pool>,
    life: Arc<Life>,
    /// What the workspace said when this PID 1 started, in milliseconds since 1970.
    before: Arc<OnceLock<Option<i64>>>,
}

impl LastUse {
    /// Not looked at yet.
    pub fn new(workspace: Arc<Workspace>, pool: Arc<Pool>, life: Arc<Life>) -> Self {
        Self {
            workspace,
            pool,
            life,
            before: Arc::default(),
        }
    }

    /// Milliseconds since 1970; 0 where it is not known.
    pub fn at(&self) -> i64 {
        let before = self.before.get().copied().flatten().unwrap_or(0);
        if !self.life.was_used() {
            return before;
        }
        let last = SystemTime::now() - self.life.idle_for();
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
        loop {
            self.life.used().await;
            self.note().await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// The end of PID 1 is the end of the last use, where there was one.
    pub async fn end(&self) {
        if self.life.was_used() {
            self.note().await;
        }
    }

    async fn note(&self) {
        let workspace = self.workspace.clone();
        let _ = self.pool.run(move |_| workspace.note_use()).await;
    }
}
