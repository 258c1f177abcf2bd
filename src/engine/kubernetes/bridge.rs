//! The way to PID 1 of a Pod.

use std::time::Duration;

use casemate_protocol::INIT_PATH;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::KubernetesEngine;
use super::api_call::{ApiCall, UPDATE_TIMEOUT};
use super::channel::split;
use super::client::ObjectKind;
use super::error::unavailable;
use super::names::PodId;
use super::pod::{CONTAINER, PodFacts};
use super::pod_state::{PodPhase, claims};
use super::pods::changed;
use super::start::missing;
use crate::engine::ExecStream;
use crate::engine::error::EngineError;

/// How long the kubelet of a node may take that the cluster counts as lost: it may be only slow.
const LOST_NODE_TIMEOUT: Duration = Duration::from_secs(5);

impl KubernetesEngine {
    /// Opens the streams of a bridge to PID 1, after the workspace was written down as this Pod's. A Pod
    /// that still starts is waited for.
    ///
    /// # Errors
    /// [`EngineError::Missing`] or [`EngineError::NotRunning`] for the Pod, [`EngineError::NodeLost`],
    /// [`EngineError::Weakened`] for one that somebody has changed.
    pub async fn open_channel(&self, id: &str) -> Result<ExecStream, EngineError> {
        let pod = self.pod(id).await?.ok_or_else(|| missing(id))?;
        let id = PodId::of(&pod);
        let pod = match PodPhase::of(&pod) {
            PodPhase::Starting => match self.until_running(&id).await {
                // The server that made it may be gone, and the next Pod may be another.
                Err(error) if error.is_failed_start() => {
                    self.discard(&id).await;
                    return Err(error);
                }
                running => running?,
            },
            _ => pod.into(),
        };
        if PodPhase::of(&pod) != PodPhase::Running {
            return Err(EngineError::NotRunning { id: id.to_string() });
        }
        if let Some(error) = changed(self.wanted(&id.uid).as_deref(), &pod) {
            self.discard(&id).await;
            return Err(error);
        }
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let node = self.node(node).await?;
        for claim in claims(&pod) {
            self.hold(&claim, &pod, node.as_ref()).await?;
        }
        let is_lost = node.is_some_and(|node| !node.is_ready);
        let timeout = if is_lost {
            LOST_NODE_TIMEOUT
        } else {
            UPDATE_TIMEOUT
        };
        let opened = self.exec(&id, timeout).await;
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => return Err(self.explained(&pod, error).await),
        };
        let connection = self.connect().await?;
        let facts = PodFacts::of(&pod);
        let key = connection.maker.secret.key(&facts.name, &facts.nonce);
        let written = async {
            stream.input.write_all(&key).await?;
            stream.input.flush().await
        };
        written
            .await
            .map_err(|error| unavailable(&connection.api.url, error))?;
        Ok(stream)
    }

    async fn exec(&self, id: &PodId, timeout: Duration) -> Result<ExecStream, EngineError> {
        let api = self.api().await?;
        let command = [INIT_PATH, "bridge", "--keyed"];
        let command = command.map(|argument| format!("&command={}", argument.replace('/', "%2F")));
        let path = format!(
            "{}/exec?container={CONTAINER}&stdin=true&stdout=true&stderr=true{}",
            api.path(ObjectKind::Pods, &id.name),
            command.concat(),
        );
        let call = ApiCall {
            name: "exec",
            object: &id.name,
            timeout,
        };
        let connection = api.connect(call, &path).await.map_err(|error| {
            let text = error.to_string();
            match error.status() {
                Some(404) => missing(&id.to_string()),
                // "container not found": it has ended, and the API server does not know yet.
                Some(_) if text.contains("container not found") || text.contains("not running") => {
                    EngineError::NotRunning { id: id.to_string() }
                }
                _ => error,
            }
        })?;
        Ok(split(connection.into_stream(), api.url.clone()))
    }

    /// A kubelet that cannot be reached is one of a node that is lost.
    async fn explained(&self, pod: &Value, error: EngineError) -> EngineError {
        let is_of_kubelet = error.status().is_some_and(|status| status >= 500);
        if !is_of_kubelet && !matches!(error, EngineError::Deadline { .. }) {
            return error;
        }
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        match self.node(node).await {
            Ok(Some(facts)) if facts.is_ready => error,
            Err(unreachable) => unreachable,
            Ok(_) => EngineError::NodeLost {
                name: claims(pod).into_iter().next().unwrap_or_default(),
                node: node.to_owned(),
                message: "its kubelet does not answer".to_owned(),
            },
        }
    }
}
