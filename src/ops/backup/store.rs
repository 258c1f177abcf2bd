//! The store of backups: a directory or a bucket.
//!
//! ```text
//! <target>/<instance>/<user>/<id>/started.json         the heartbeat; removed at the end
//!                                 workspace.tar.zst    the archive
//!                                 entries.jsonl.zst    its entries with their hashes
//!                                 manifest.json        written last: makes it a backup
//! ```

mod open;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde::Serialize;

use super::error::BackupError;
use super::id::Id;
use crate::config::{AwsVariables, BackupTarget};

/// The objects of one backup.
pub const STARTED: &str = "started.json";
/// See [`STARTED`].
pub const ARCHIVE: &str = "workspace.tar.zst";
/// See [`STARTED`].
pub const LIST: &str = "entries.jsonl.zst";
/// See [`STARTED`].
pub const MANIFEST: &str = "manifest.json";

/// Bytes of an object per request. Each piece is read completely before it is used, so that the
/// time of a request does not depend on unpacking or on a disk.
const PIECE: u64 = 8 * 1024 * 1024;

/// Bytes of a piece that are passed on at a time.
const SLICE: usize = 256 * 1024;

/// Largest small object, in bytes.
const SMALL_OBJECT_LIMIT: u64 = 64 * 1024;

/// A store of backups. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    target: BackupTarget,
    /// Prefix of all paths.
    prefix: Path,
    pub(super) objects: Arc<dyn ObjectStore>,
    /// The same store, if it can list multipart uploads.
    pub(super) s3: Option<Arc<AmazonS3>>,
}

/// The objects of one backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupObjects {
    /// Names of its objects, with the time of the last change.
    pub objects: BTreeMap<String, SystemTime>,
}

impl BackupObjects {
    /// Whether all objects exist.
    pub fn is_complete(&self) -> bool {
        self.has_manifest()
            && [ARCHIVE, LIST]
                .iter()
                .all(|name| self.objects.contains_key(*name))
    }

    /// Whether the manifest exists. If the backup is not complete, it is damaged.
    pub fn has_manifest(&self) -> bool {
        self.objects.contains_key(MANIFEST)
    }

    /// When it was made; `None` if that is in the future because a clock ran ahead.
    pub fn made(&self, id: &Id, now: SystemTime) -> Option<SystemTime> {
        let stored = self.objects.get(MANIFEST).copied();
        let times = [Some(id.time()), stored].into_iter().flatten();
        times.into_iter().find(|time| *time <= now)
    }
}

impl Store {
    /// Opens it; a missing directory is created.
    ///
    /// # Errors
    /// [`BackupError::Target`].
    pub fn open(target: &BackupTarget, aws: &AwsVariables) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Target {
            target: target.to_string(),
            source,
        };
        let (objects, s3, prefix): (Arc<dyn ObjectStore>, _, _) = match target {
            BackupTarget::Directory(path) => {
                (Arc::new(open::directory(path).map_err(failed)?), None, "")
            }
            BackupTarget::S3 { bucket, prefix } => {
                let s3 = Arc::new(open::bucket(bucket, aws).map_err(failed)?);
                (s3.clone(), Some(s3), prefix.as_str())
            }
        };
        Ok(Self {
            target: target.clone(),
            prefix: Path::from(prefix),
            objects,
            s3,
        })
    }

    /// The target.
    pub fn target(&self) -> &BackupTarget {
        &self.target
    }

    /// The prefix of one user's backups.
    pub fn user_prefix(&self, instance: &str, user_part: &str) -> Path {
        self.prefix.clone().join(instance).join(user_part)
    }

    /// The user parts that have anything in this instance, sorted.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn user_parts(&self, instance: &str) -> Result<Vec<String>, BackupError> {
        let top = self.prefix.clone().join(instance);
        let below = self.objects.list_with_delimiter(Some(&top)).await;
        let below = below.map_err(BackupError::store(format!("list {top}")))?;
        let last = |path: &Path| {
            path.parts()
                .next_back()
                .map(|part| part.as_ref().to_owned())
        };
        let mut parts: Vec<String> = below.common_prefixes.iter().filter_map(last).collect();
        parts.sort();
        Ok(parts)
    }

    /// All backups below `prefix`, oldest first.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn list(&self, prefix: &Path) -> Result<BTreeMap<Id, BackupObjects>, BackupError> {
        let mut found: BTreeMap<Id, BackupObjects> = BTreeMap::new();
        let mut objects = self.objects.list(Some(prefix));
        while let Some(object) = objects.next().await {
            let object = object.map_err(BackupError::store(format!("list {prefix}")))?;
            let parts = object.location.prefix_match(prefix);
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            let [id, name] = parts.as_slice() else {
                continue;
            };
            let Ok(id) = id.as_ref().parse::<Id>() else {
                continue;
            };
            let backup = found.entry(id).or_default();
            let changed = SystemTime::from(object.last_modified);
            backup.objects.insert(name.as_ref().to_owned(), changed);
        }
        Ok(found)
    }

    /// Reads a small object.
    ///
    /// # Errors
    /// [`BackupError::Store`], also for a larger object.
    pub async fn get_small(&self, path: &Path) -> Result<Bytes, BackupError> {
        let what = || BackupError::store(format!("read {path}"));
        let mut content = self.get(path).await?;
        let mut all = Vec::new();
        while let Some(data) = content.next().await {
            all.extend_from_slice(&data.map_err(what())?);
            if all.len() as u64 > SMALL_OBJECT_LIMIT {
                let source = format!("more than {SMALL_OBJECT_LIMIT} bytes").into();
                let store = "backup";
                return Err(what()(object_store::Error::Generic { store, source }));
            }
        }
        Ok(all.into())
    }

    /// Reads an object piece by piece. Each piece is a request with a separate deadline.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn get(
        &self,
        path: &Path,
    ) -> Result<stream::BoxStream<'static, object_store::Result<Bytes>>, BackupError> {
        let found = self.objects.head(path).await;
        let size = found
            .map_err(BackupError::store(format!("read {path}")))?
            .size;
        let (objects, path) = (self.objects.clone(), path.clone());
        let pieces = stream::try_unfold(0, move |from| {
            let (objects, path) = (objects.clone(), path.clone());
            async move {
                let to = size.min(from + PIECE);
                if from == to {
                    return Ok(None);
                }
                let piece = objects.get_range(&path, from..to).await?;
                Ok::<_, object_store::Error>(Some((slices(piece), to)))
            }
        });
        Ok(pieces.try_flatten().boxed())
    }

    /// Whether an object exists.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn has(&self, path: &Path) -> Result<bool, BackupError> {
        match self.objects.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(BackupError::store(format!("look for {path}"))(error)),
        }
    }

    /// Writes a small object atomically, as JSON.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn put_json(&self, path: &Path, content: &impl Serialize) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(content).map_err(|error| {
            let (store, source) = ("backup", error.into());
            BackupError::store(format!("write {path}"))(object_store::Error::Generic {
                store,
                source,
            })
        })?;
        self.put(path, text).await
    }

    /// Writes a small object atomically.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    async fn put(&self, path: &Path, content: Vec<u8>) -> Result<(), BackupError> {
        let put = self.objects.put(path, content.into()).await;
        put.map(drop)
            .map_err(BackupError::store(format!("write {path}")))
    }

    /// Removes a backup: first the manifest, then the rest. Missing objects are fine.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn remove(
        &self,
        prefix: &Path,
        id: &Id,
        found: &BackupObjects,
    ) -> Result<(), BackupError> {
        let backup = prefix.clone().join(id.as_str());
        let mut names: Vec<&String> = found.objects.keys().collect();
        // Delete the manifest first: if killed here, the rest is no longer a backup and the next
        // run removes it.
        names.sort_by_key(|name| *name != MANIFEST);
        for name in names {
            self.delete(&backup.clone().join(name.as_str())).await?;
        }
        self.remove_rest(&backup).await
    }

    /// Removes one object; a missing one is fine.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn delete(&self, path: &Path) -> Result<(), BackupError> {
        match self.objects.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            done => done.map_err(BackupError::store(format!("delete {path}"))),
        }
    }

    /// Removes temporary files of a directory store, which no listing shows.
    #[expect(
        clippy::disallowed_methods,
        reason = "one at a time: a run is one task"
    )]
    async fn remove_rest(&self, backup: &Path) -> Result<(), BackupError> {
        let BackupTarget::Directory(top) = &self.target else {
            return Ok(());
        };
        let path = backup
            .parts()
            .fold(top.clone(), |path, part| path.join(part.as_ref()));
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
        match removed {
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                let source = object_store::Error::Generic {
                    store: "directory",
                    source: error.into(),
                };
                Err(BackupError::store(format!("delete {backup}"))(source))
            }
            _ => Ok(()),
        }
    }
}

fn slices(mut piece: Bytes) -> impl Stream<Item = object_store::Result<Bytes>> + Send {
    stream::iter(std::iter::from_fn(move || {
        let slice = piece.split_to(piece.len().min(SLICE));
        (!slice.is_empty()).then_some(Ok(slice))
    }))
}

#[cfg(test)]
mod tests;
