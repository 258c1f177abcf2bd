//! From a Pod that is held back to one that runs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::KubernetesEngine;
use super::api_call::ApiCall;
use super::client::ObjectKind;
use super::names::PodId;
use super::pod_state::{PodPhase, obstacle, unscheduled};
use super::pods::changed;
use crate::engine::error::EngineError;

/// How long a Pod may take to run: less than a call waits for its sandbox, so that the call says why it
/// does not.
const START_TIMEOUT: Duration = Duration::from_secs(40);

/// How often a Pod is looked at of which the watch says nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

impl KubernetesEngine {
    /// Lets it to a node, and waits until it runs or has ended. One that runs already is fine.
    ///
    /// # Errors
    /// [`EngineError::Missing`] where it is gone; why it does not start.
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        let pod = loop {
            let pod = self.pod(id).await?.ok_or_else(|| missing(id))?;
            if PodPhase::of(&pod) != PodPhase::Gated {
                break pod;
            }
            match self.let_go(&pod).await {
                // Its status has changed in between, as when the scheduler sees it.
                Err(error) if error.status() == Some(409) => {}
                let_go => let_go?,
            }
        };
        self.until_running(&PodId::of(&pod)).await.map(drop)
    }

    /// Removes the gate, and compares what is stored then.
    async fn let_go(&self, pod: &Value) -> Result<(), EngineError> {
        let id = PodId::of(pod);
        // Of exactly what is looked at: somebody may have changed it since it was made.
        let wanted = self.wanted(&id.uid);
        if let Some(error) = changed(wanted.as_deref(), pod) {
            self.discard(&id).await;
            return Err(error);
        }
        let patch = json!({
            "metadata": { "uid": id.uid, "resourceVersion": pod["metadata"]["resourceVersion"] },
            "spec": { "schedulingGates": null },
        });
        let call = ApiCall::update("start", &id.name);
        let stored = self
            .api()
            .await?
            .patch(call, ObjectKind::Pods, &patch)
            .await?;
        if let Some(error) = changed(wanted.as_deref(), &stored) {
            self.discard(&id).await;
            return Err(error);
        }
        Ok(())
    }

    /// The Pod, when its container runs or has ended.
    pub(super) async fn until_running(&self, id: &PodId) -> Result<Arc<Value>, EngineError> {
        let watch = self.connect().await?.watch.clone();
        let mut changes = watch.changes();
        let deadline = Instant::now() + START_TIMEOUT;
        let text = id.to_string();
        let mut current = self.pod(&text).await?.map(Arc::new);
        loop {
            let pod = current.ok_or_else(|| missing(&text))?;
            match PodPhase::of(&pod) {
                PodPhase::Running => return Ok(pod),
                PodPhase::Ended(_) | PodPhase::Unconfirmed => {
                    return obstacle(&pod).map_or(Ok(pod), Err);
                }
                PodPhase::Gated | PodPhase::Starting => {}
            }
            if let Some(error) = obstacle(&pod) {
                return Err(error);
            }
            // A watch can be broken without a word.
            let look = (Instant::now() + LOOK_INTERVAL).min(deadline);
            let _ = timeout_at(look, changes.changed()).await;
            if Instant::now() >= deadline {
                return Err(unscheduled(&pod).unwrap_or(EngineError::Deadline {
                    call: "start",
                    after: START_TIMEOUT,
                }));
            }
            current = match watch.get(&id.name) {
                Some(seen) if is_same(&seen, &pod) && Instant::now() < look => Some(pod),
                Some(seen) if !is_same(&seen, &pod) && is_of(&seen, id) => Some(seen),
                // Gone, not seen yet, or nothing was told for a while.
                _ => self.pod(&text).await?.map(Arc::new),
            };
        }
    }
}

/// Whether these are one version of an object.
pub(super) fn is_same(seen: &Value, before: &Value) -> bool {
    let version = |pod: &Value| {
        pod["metadata"]["resourceVersion"]
            .as_str()
            .map(str::to_owned)
    };
    version(seen) == version(before)
}

/// Whether it is this Pod, and no other of its name.
pub(super) fn is_of(seen: &Value, id: &PodId) -> bool {
    seen["metadata"]["uid"] == id.uid.as_str()
}

pub(super) fn missing(id: &str) -> EngineError {
    EngineError::Missing {
        kind: "container",
        name: id.to_owned(),
    }
}
