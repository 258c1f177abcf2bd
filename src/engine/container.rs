//! A container as the Engine reports it, as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::EngineError;
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

/// A removed container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedContainer {
    /// The exit code of PID 1; `None` if the container was gone before we asked, or never started.
    pub exit_code: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedContainer {
    id: String,
    name: String,
    state: InspectedState,
    created: String,
    config: ContainerConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    status: State,
    exit_code: i64,
    #[serde(rename = "OOMKilled", default)]
    oom_killed: bool,
    #[serde(default)]
    started_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedContainer {
    id: String,
    names: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    state: Option<State>,
    #[serde(default)]
    created: i64,
    mounts: Option<Vec<ListedMount>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMount {
    name: Option<String>,
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

    /// The rows of a listing. A state, label or mount that is missing or unknown does not hide the
    /// others.
    pub(super) fn parse_all(listing: Value) -> Result<Vec<Self>, EngineError> {
        let rows: Vec<ListedContainer> =
            serde_json::from_value(listing).map_err(|error| EngineError::Answer {
                call: "list",
                source: error.into(),
            })?;
        Ok(rows.into_iter().map(Self::from).collect())
    }
}

impl From<ListedContainer> for ContainerSummary {
    fn from(row: ListedContainer) -> Self {
        let name = row.names.unwrap_or_default().into_iter().next();
        let mounts = row.mounts.unwrap_or_default().into_iter();
        Self {
            id: row.id,
            name: name.unwrap_or_default().trim_start_matches('/').to_owned(),
            labels: row.labels.unwrap_or_default(),
            state: row.state.unwrap_or(State::Unknown),
            created: row.created,
            volumes: mounts.filter_map(|mount| mount.name).collect(),
        }
    }
}

impl Container {
    /// The volume at /workspace, if any.
    pub fn workspace_volume(&self) -> Option<&str> {
        let mounts = self.stored["Mounts"].as_array()?;
        let workspace = mounts
            .iter()
            .find(|mount| mount["Destination"] == casemate_protocol::WORKSPACE)?;
        workspace["Name"].as_str()
    }

    pub(super) fn parse(stored: Value) -> Result<Self, EngineError> {
        let seen =
            InspectedContainer::deserialize(&stored).map_err(|error| EngineError::Answer {
                call: "inspect",
                source: error.into(),
            })?;
        let ended = matches!(
            seen.state.status,
            State::Exited | State::Dead | State::Removing
        );
        Ok(Self {
            id: seen.id,
            name: seen.name.trim_start_matches('/').to_owned(),
            state: seen.state.status,
            exit_code: ended.then_some(seen.state.exit_code),
            oom_killed: seen.state.oom_killed,
            created: seen.created,
            started: seen.state.started_at,
            labels: seen.config.labels.unwrap_or_default(),
            stored,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_that_is_odd_hides_no_other() {
        let listing = json!([
            { "Id": "1", "Names": ["/a"], "State": "stopped", "Created": 7, "Labels": { "l": "v" },
              "Mounts": [{ "Name": "v", "Type": "volume" }, { "Type": "bind" }] },
            { "Id": "2", "Names": ["b"], "State": "of a later version", "Labels": null },
            { "Id": "3" },
        ]);
        let rows = ContainerSummary::parse_all(listing).expect("rows");
        let seen: Vec<_> = rows.iter().map(|row| (&*row.name, row.state)).collect();
        let states = [State::Exited, State::Unknown, State::Unknown];
        assert_eq!(
            seen,
            ["a", "b", ""].into_iter().zip(states).collect::<Vec<_>>()
        );
        assert_eq!((rows[0].created, &rows[0].labels["l"][..]), (7, "v"));
        assert_eq!(rows[0].volumes, ["v"]);
        assert!(ContainerSummary::parse_all(json!({ "message": "no" })).is_err());
    }

    #[test]
    fn podmans_states_are_dockers() {
        for (podmans, state) in [
            ("configured", State::Created),
            ("initialized", State::Created),
            ("stopping", State::Removing),
            ("stopped", State::Exited),
        ] {
            assert_eq!(State::deserialize(json!(podmans)).expect("a state"), state);
        }
    }
}
