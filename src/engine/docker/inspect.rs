//! A container as a Docker Engine reports it, made plain data.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::engine::container::{Container, ContainerSummary, State};
use crate::engine::error::EngineError;

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

/// A container from its whole inspect.
pub(super) fn container(stored: Value) -> Result<Container, EngineError> {
    let seen = InspectedContainer::deserialize(&stored).map_err(|error| EngineError::Answer {
        call: "inspect",
        source: error.into(),
    })?;
    let ended = matches!(
        seen.state.status,
        State::Exited | State::Dead | State::Removing
    );
    Ok(Container {
        id: seen.id,
        name: seen.name.trim_start_matches('/').to_owned(),
        state: seen.state.status,
        exit_code: ended.then_some(seen.state.exit_code),
        oom_killed: seen.state.oom_killed,
        created: seen.created,
        started: seen.state.started_at,
        labels: seen.config.labels.unwrap_or_default(),
        workspace_volume: workspace_volume(&stored).map(str::to_owned),
        stored,
    })
}

/// The volume at /workspace, if any.
fn workspace_volume(stored: &Value) -> Option<&str> {
    let mounts = stored["Mounts"].as_array()?;
    let workspace = mounts
        .iter()
        .find(|mount| mount["Destination"] == casemate_protocol::WORKSPACE)?;
    workspace["Name"].as_str()
}

/// The rows of a listing. A state, label or mount that is missing or unknown does not hide the others.
pub(super) fn summaries(listing: Value) -> Result<Vec<ContainerSummary>, EngineError> {
    let rows: Vec<ListedContainer> =
        serde_json::from_value(listing).map_err(|error| EngineError::Answer {
            call: "list",
            source: error.into(),
        })?;
    Ok(rows.into_iter().map(ContainerSummary::from).collect())
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
        let rows = summaries(listing).expect("rows");
        let seen: Vec<_> = rows.iter().map(|row| (&*row.name, row.state)).collect();
        let states = [State::Exited, State::Unknown, State::Unknown];
        assert_eq!(
            seen,
            ["a", "b", ""].into_iter().zip(states).collect::<Vec<_>>()
        );
        assert_eq!((rows[0].created, &rows[0].labels["l"][..]), (7, "v"));
        assert_eq!(rows[0].volumes, ["v"]);
        assert!(summaries(json!({ "message": "no" })).is_err());
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
