//! A container as a Docker Engine reports it, made plain data.

use std::collections::BTreeMap;

use bollard::models;
use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
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

/// `None` for a row without an id, which no Engine sends.
pub(super) fn summary(summary: models::ContainerSummary) -> Option<ContainerSummary> {
    let name = summary
        .names
        .unwrap_or_default()
        .into_iter()
        .next()
        .unwrap_or_default();
    let state = summary
        .state
        .map(|state| state.to_string())
        .unwrap_or_default();
    let state = StrDeserializer::<ValueError>::new(&state);
    Some(ContainerSummary {
        id: summary.id?,
        name: name.trim_start_matches('/').to_owned(),
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
        state: State::deserialize(state).unwrap_or(State::Unknown),
        created: summary.created.unwrap_or_default(),
        volumes: {
            let mounts = summary.mounts.unwrap_or_default().into_iter();
            mounts.filter_map(|mount| mount.name).collect()
        },
    })
}
