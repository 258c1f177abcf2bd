//! A container as the Engine reports it, as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::labels::{HELPER_MODE, MODE, OWNER_MODE, USER};

/// The state of a container, in Docker's words. The aliases are Podman's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Exists, and was never started.
    #[serde(alias = "configured", alias = "initialized")]
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Is being removed; its name is not free yet.
    #[serde(alias = "stopping")]
    Removing,
    /// Ended.
    #[serde(alias = "stopped")]
    Exited,
    /// Ended, but could not be removed completely.
    Dead,
    /// A state unknown to us.
    #[serde(other)]
    Unknown,
}

impl State {
    /// The Engine's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// One container, as inspect shows it.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its id, 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: State,
    /// The exit code of PID 1, once it has ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed PID 1 for memory.
    pub oom_killed: bool,
    /// When it was created, RFC 3339.
    pub created: String,
    /// When it was started, RFC 3339; the year 1 when it never was.
    pub started: String,
    /// All its labels, those of the image among them.
    pub labels: BTreeMap<String, String>,
    /// The volume at /workspace, if any.
    pub workspace_volume: Option<String>,
    /// Everything that the Engine stored, for [`super::Engine::differences`].
    pub(super) stored: Value,
}

/// One container, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSummary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: State,
    /// When it was created, in seconds since 1970.
    pub created: i64,
    /// The volumes that are mounted in it.
    pub volumes: Vec<String>,
}

/// A container that was created but not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedContainer {
    /// Its id.
    pub id: String,
    /// Warnings of the Engine, for example about a limit that the kernel lacks.
    pub warnings: Vec<String>,
    /// Differences between the stored container and the requested one that weaken nothing.
    pub differences: Vec<super::Difference>,
}

/// A container that is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndedContainer {
    /// The exit code of PID 1; `None` if the container was gone before we asked, or never started.
    pub exit_code: Option<i64>,
    /// Why the engine ended it, if it did and says why.
    pub cause: Option<super::EndCause>,
}

impl EndedContainer {
    /// One of which only the exit code of its PID 1 is known, or not even that.
    pub fn with_code(exit_code: Option<i64>) -> Self {
        Self {
            exit_code,
            cause: None,
        }
    }
}

impl ContainerSummary {
    /// Whether it is a user's sandbox or a helper on the user's volume, and not a container that
    /// gives a volume its owner: [`Self::gives_an_owner`].
    pub fn is_sandbox(&self) -> bool {
        self.labels.contains_key(USER) && !self.gives_an_owner()
    }

    /// Whether it exists only for milliseconds, to give a volume its owner, and never starts.
    pub fn gives_an_owner(&self) -> bool {
        self.labels.get(MODE).is_some_and(|mode| mode == OWNER_MODE)
    }

    /// Whether it is a helper of a backup or a restore.
    pub fn is_helper(&self) -> bool {
        self.labels
            .get(MODE)
            .is_some_and(|mode| mode == HELPER_MODE)
    }
}
