//! The manifest of a backup, which is written last and read first.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::entry::Name;
use super::error::BackupError;
use super::id::Id;
use super::pack::PackedArchive;
use super::store::{MANIFEST, Store};
use super::stream::ContentDigest;
use crate::identity::{User, WorkspaceId};
use crate::snapshot::Consistency;

/// The layout that this server writes. The second one has extended attributes and names omissions.
const FORMAT: u32 = 2;

/// The oldest layout that it reads.
const OLDEST: u32 = 1;

/// The manifest. An attacker who can write to the target can forge a whole backup: the hashes find
/// damage, and a change of only a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The layout.
    pub format: u32,
    /// The backup's name.
    pub id: String,
    /// The version of the server that made it.
    pub version: String,
    /// The instance of the user's sandbox.
    pub instance: String,
    /// The user's issuer.
    pub issuer: String,
    /// The user.
    pub user: String,
    /// The name of the workspace; none: the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// When the copy was begun, RFC 3339.
    pub begun: String,
    /// When it was stored.
    pub ended: String,
    /// Whether all files are of one moment.
    pub consistency: ManifestConsistency,
    /// How long the user's processes were stopped.
    pub stopped_ms: u64,
    /// How many were stopped, including the one that waits for the next command.
    pub processes: u32,
    /// Number of copies that were made; this is the last.
    pub tries: u32,
    /// Entries, including the workspace itself.
    pub entries: u64,
    /// Bytes of all files, including holes.
    pub content_bytes: u64,
    /// Of `workspace.tar.zst`.
    pub archive: ContentDigest,
    /// Of `entries.jsonl.zst`.
    pub list: ContentDigest,
    /// The omissions.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
}

/// Parts of the workspace that are not in the backup, in addition to `.home/.cache` and
/// `.casemate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Sockets, FIFOs and devices.
    pub special: u64,
    /// Extended attributes of the system, or too large ones.
    pub attributes: u64,
    /// Hard links that are separate files in the archive, because there were too many to remember.
    pub links: u64,
    /// The first paths concerned; long ones are cut at the start.
    pub paths: Vec<Name>,
}

impl LeftOut {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For the end of a line for people; empty if nothing was left out.
    pub fn clause(&self) -> String {
        let counted = [
            (self.special, "sockets, FIFOs and devices"),
            (self.attributes, "extended attributes"),
            (self.links, "hard links (each came as a file)"),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        let counted: Vec<_> = counted.map(|(count, of)| format!("{count} {of}")).collect();
        if counted.is_empty() {
            return String::new();
        }
        let paths: Vec<_> = self.paths.iter().map(ToString::to_string).collect();
        format!("; left out: {}; {}", counted.join(", "), paths.join(", "))
    }
}

impl From<casemate_protocol::LeftOut> for LeftOut {
    fn from(said: casemate_protocol::LeftOut) -> Self {
        Self {
            special: said.special,
            attributes: said.attributes,
            links: said.links,
            paths: said.paths.iter().map(|path| Name(path.to_vec())).collect(),
        }
    }
}

/// `Consistency` in the manifest's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestConsistency {
    /// The user's processes were stopped.
    Stopped,
    /// Processes ran, but nothing changed during the copy.
    Checked,
    /// Something changed during each attempt: every file is as it was at some moment, but not all
    /// at the same one.
    Changed,
}

impl From<Consistency> for ManifestConsistency {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::Stopped => Self::Stopped,
            Consistency::Checked => Self::Checked,
            Consistency::Changed => Self::Changed,
        }
    }
}

impl ManifestConsistency {
    /// For people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Stopped => "processes were stopped",
            Self::Checked => "checked: nothing changed during the copy",
            Self::Changed => "changed during the copy: not all files are of the same moment",
        }
    }
}

impl Manifest {
    /// The layout that this server writes.
    pub fn format() -> u32 {
        FORMAT
    }

    /// The workspace; `None`: not one that there can be.
    pub fn workspace_id(&self) -> Option<WorkspaceId> {
        let user = User {
            issuer: self.issuer.parse().ok()?,
            subject: self.user.parse().ok()?,
        };
        let name = self.workspace.as_ref().map(|name| name.parse());
        let name = name.transpose().ok()?;
        Some(WorkspaceId { user, name })
    }

    /// The manifest of a complete backup, which must be of this workspace.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] for an invalid one, or one of another workspace.
    pub async fn load(
        store: &Store,
        prefix: &Path,
        id: &Id,
        workspace: &WorkspaceId,
    ) -> Result<Self, BackupError> {
        let manifest = Self::read(store, prefix, id).await?;
        if manifest.workspace_id().as_ref() != Some(workspace) {
            return Err(BackupError::Damaged {
                id: id.clone(),
                what: "its manifest is of another user or workspace".to_owned(),
            });
        }
        Ok(manifest)
    }

    /// The manifest of a complete backup, of any user.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] for one that cannot be read, or has another id.
    pub async fn read(store: &Store, prefix: &Path, id: &Id) -> Result<Self, BackupError> {
        let path = prefix.clone().join(id.as_str()).join(MANIFEST);
        let text = store.get_small(&path).await?;
        let damaged = |what: String| BackupError::Damaged {
            id: id.clone(),
            what,
        };
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("its manifest: {error}")))?;
        if !(OLDEST..=FORMAT).contains(&manifest.format) {
            let theirs = manifest.format;
            return Err(damaged(format!(
                "it has format {theirs}, this server reads {OLDEST} to {FORMAT}"
            )));
        }
        if manifest.id != id.as_str() {
            return Err(damaged("its manifest is of another backup".to_owned()));
        }
        Ok(manifest)
    }

    /// Whether a backup says that it is of another workspace. One whose manifest cannot be read does
    /// not say so.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn is_of_another(
        store: &Store,
        prefix: &Path,
        id: &Id,
        workspace: &WorkspaceId,
    ) -> Result<bool, BackupError> {
        let path = prefix.clone().join(id.as_str()).join(MANIFEST);
        let text = match store.get_small(&path).await {
            // Another server has just removed it.
            Err(error) if error.is_missing() => return Ok(false),
            text => text?,
        };
        let manifest = serde_json::from_slice::<Self>(&text);
        Ok(manifest.is_ok_and(|it| it.workspace_id().as_ref() != Some(workspace)))
    }

    /// Checks that the content that was read is the content that was stored.
    ///
    /// # Errors
    /// [`BackupError::Damaged`].
    pub fn check(&self, id: &Id, read: &PackedArchive) -> Result<(), BackupError> {
        let what = if read.archive != self.archive {
            "the hash of its archive does not match"
        } else if read.list != self.list {
            "the hash of its list does not match"
        } else if (read.counted.entries, read.counted.content) != (self.entries, self.content_bytes)
        {
            "it has other entries than its manifest says"
        } else {
            return Ok(());
        };
        Err(BackupError::Damaged {
            id: id.clone(),
            what: what.to_owned(),
        })
    }
}
