//! The heartbeat of a running backup: it tells an incomplete backup that is still being made from
//! one that a killed server left.

use std::time::{Duration, SystemTime};

use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use super::error::BackupError;
use super::id::Id;
use super::store::{BackupObjects, MANIFEST, STARTED, Store};

/// Heartbeat interval.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Without a heartbeat for this long, a process of another machine is considered dead: the clocks
/// of two machines differ by less.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The heartbeat of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    process: Process,
    /// Objects of which parts are stored: their paths and S3's upload ids.
    uploads: Vec<(String, String)>,
}

/// A process. Its pid alone may be reused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Process {
    /// The kernel's random id of this boot.
    boot: String,
    /// The namespace of the pid.
    namespace: String,
    pid: u32,
    /// In ticks since the boot.
    started: u64,
}

impl Process {
    fn this() -> Self {
        let pid = std::process::id();
        Self {
            boot: text("/proc/sys/kernel/random/boot_id"),
            namespace: std::fs::read_link("/proc/self/ns/pid")
                .map_or_else(|_| String::new(), |link| link.display().to_string()),
            pid,
            started: start_of(pid).unwrap_or(0),
        }
    }

    /// Whether it is alive; `None`: it is on another machine or in another container.
    fn is_alive(&self) -> Option<bool> {
        let here = Self::this();
        let knows = !here.boot.is_empty() && !here.namespace.is_empty();
        let same = here.boot == self.boot && here.namespace == self.namespace;
        (knows && same).then(|| start_of(self.pid) == Some(self.started))
    }
}

fn text(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

/// Field 22 of proc_pid_stat(5); the second one may hold anything.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

impl Heartbeat {
    /// Of this process, without uploads.
    pub fn by_this_process() -> Self {
        Self {
            process: Process::this(),
            uploads: Vec::new(),
        }
    }

    /// Adds an upload.
    pub fn add(&mut self, upload: (String, String)) {
        self.uploads.push(upload);
    }

    /// Writes the heartbeat once.
    pub async fn say(&self, store: &Store, backup: &Path) -> Result<(), BackupError> {
        store.put_json(&backup.clone().join(STARTED), self).await
    }

    /// Writes the heartbeat at each interval.
    pub async fn run(&self, store: &Store, backup: &Path) -> BackupError {
        let mut beat = interval(HEARTBEAT_INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if let Err(error) = self.say(store, backup).await {
                return error;
            }
        }
    }

    /// Reads the heartbeat of a backup. `None` if it is missing, or cut by a process that died
    /// while writing it.
    async fn read(store: &Store, backup: &Path) -> Result<Option<Self>, BackupError> {
        match store.get_small(&backup.clone().join(STARTED)).await {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Aborts the uploads.
    async fn abort(&self, store: &Store) -> Result<(), BackupError> {
        let Some(s3) = &store.s3 else { return Ok(()) };
        for (path, upload) in &self.uploads {
            match s3.abort_multipart(&Path::from(path.as_str()), upload).await {
                // It is complete, or was aborted.
                Err(object_store::Error::NotFound { .. }) => {}
                done => done.map_err(BackupError::store(format!("give up parts of {path}")))?,
            }
        }
        Ok(())
    }
}

/// Removes all objects of a backup. The heartbeat is kept if it is the only record of uploads that
/// cannot be aborted now.
///
/// # Errors
/// [`BackupError::Store`].
pub async fn discard(store: &Store, prefix: &Path, id: &Id) -> Result<(), BackupError> {
    let backup = prefix.clone().join(id.as_str());
    if let Some(started) = Heartbeat::read(store, &backup).await? {
        started.abort(store).await?;
    }
    match store.list(prefix).await?.get(id) {
        Some(found) => store.remove(prefix, id, found).await,
        None => Ok(()),
    }
}

/// Removes the remains of a backup that a listing `found`. `false`: it is being made, or was
/// completed since.
///
/// # Errors
/// [`BackupError::Store`].
pub async fn collect(
    store: &Store,
    prefix: &Path,
    id: &Id,
    found: &BackupObjects,
) -> Result<bool, BackupError> {
    let backup = prefix.clone().join(id.as_str());
    if let Some(sign) = found.objects.get(STARTED)
        && let Some(started) = Heartbeat::read(store, &backup).await?
    {
        let silent = SystemTime::now().duration_since(*sign);
        let silent = silent.is_ok_and(|silent| silent > HEARTBEAT_TIMEOUT);
        if started.process.is_alive().unwrap_or(!silent) {
            return Ok(false);
        }
    }
    // The heartbeat is deleted after the manifest is written, so without one the backup may be
    // complete.
    if store.has(&backup.join(MANIFEST)).await? {
        return Ok(false);
    }
    // Without a heartbeat: the remains of a killed removal.
    discard(store, prefix, id).await?;
    tracing::info!(%id, "removed the remains of a backup that was never complete");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_to_live_or_not_only_where_it_is() {
        let this = Process::this();
        assert_eq!(this.is_alive(), Some(true));
        let ended = Process {
            started: this.started + 1,
            ..this.clone()
        };
        assert_eq!(ended.is_alive(), Some(false));
        for other in [
            Process {
                boot: "another".to_owned(),
                ..this.clone()
            },
            Process {
                namespace: "pid:[1]".to_owned(),
                ..this
            },
        ] {
            assert_eq!(other.is_alive(), None);
        }
    }
}
