//! Who makes a backup that is not complete: whether it is still being made, or was left
//! by a server that was killed.

use std::time::{Duration, SystemTime};

use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use super::error::BackupError;
use super::id::Id;
use super::store::{BackupObjects, MANIFEST, STARTED, Store};

/// How often who makes a backup says that it lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Without a sign for this long it is dead, where it cannot be asked: clocks of two
/// machines differ by less.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The sign of life of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    process: Process,
    /// Objects of which parts are stored: their paths, and what S3 calls the uploads.
    uploads: Vec<(String, String)>,
}

/// A process for good: a pid alone is soon another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Process {
    /// The kernel's random id of this boot.
    boot: String,
    /// The namespace that the pid is of.
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

    /// `None`: it is of another machine, or another container.
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
    /// This process, which has begun no upload.
    pub fn by_this_process() -> Self {
        Self {
            process: Process::this(),
            uploads: Vec::new(),
        }
    }

    /// With an upload that it has begun.
    pub fn add(&mut self, upload: (String, String)) {
        self.uploads.push(upload);
    }

    /// Says that the backup is being made.
    pub async fn say(&self, store: &Store, backup: &Path) -> Result<(), BackupError> {
        store.put_json(&backup.clone().join(STARTED), self).await
    }

    /// Says it again and again.
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

    /// The sign of a backup. `None` where there is none, or one that was cut: of a process
    /// that died while it wrote it.
    async fn read(store: &Store, backup: &Path) -> Result<Option<Self>, BackupError> {
        match store.get_small(&backup.clone().join(STARTED)).await {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives up what of the uploads is stored.
    async fn abort(&self, store: &Store) -> Result<(), BackupError> {
        let Some(s3) = &store.s3 else { return Ok(()) };
        for (path, upload) in &self.uploads {
            match s3.abort_multipart(&Path::from(path.as_str()), upload).await {
                // It is complete, or was given up.
                Err(object_store::Error::NotFound { .. }) => {}
                done => done.map_err(BackupError::store(format!("give up parts of {path}")))?,
            }
        }
        Ok(())
    }
}

/// Takes away what is there of a backup, whatever it is. Its sign stays where that has the
/// only record of parts that cannot be given up now.
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

/// Takes away what a killed run has left of a backup, by what a listing `found`. `false`: it
/// is being made, or was completed since.
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
    // Its sign goes behind the manifest: who has no sign any more may be complete.
    if store.has(&backup.join(MANIFEST)).await? {
        return Ok(false);
    }
    // Without a sign: of one whose removal was killed.
    discard(store, prefix, id).await?;
    tracing::info!(%id, "removed what is left of a backup that was never complete");
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
