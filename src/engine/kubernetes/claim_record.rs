//! The record on a claim of the Pod that has the workspace: read, written and removed by compare-and-set.
//! Its rules are in [`super::writer`].

use serde_json::{Value, json};

use super::KubernetesEngine;
use super::api_call::ApiCall;
use super::client::ObjectKind;
use super::pod_state::{PodPhase, claims};
use super::writer::{NodeFacts, WRITER, WriterRecord, has_ended};
use crate::engine::error::EngineError;

impl KubernetesEngine {
    async fn claim(&self, name: &str) -> Result<Option<Value>, EngineError> {
        let call = ApiCall::query("inspect volume", name);
        self.api().await?.get(call, ObjectKind::Claims).await
    }

    /// The Pod that has the workspace; `None` also for an empty name.
    pub(super) async fn record_of(&self, claim: &str) -> Result<Option<WriterRecord>, EngineError> {
        if claim.is_empty() {
            return Ok(None);
        }
        let found = self.claim(claim).await?;
        Ok(found.as_ref().and_then(WriterRecord::of))
    }

    /// The Pod that had the workspace last; it is known to have ended. `None`: none had it.
    ///
    /// # Errors
    /// [`EngineError::NodeLost`].
    pub(super) async fn check_writer(
        &self,
        claim: &str,
    ) -> Result<Option<WriterRecord>, EngineError> {
        let found = self.claim(claim).await?;
        let found = found.ok_or_else(|| missing(claim))?;
        let Some(before) = WriterRecord::of(&found) else {
            return Ok(None);
        };
        self.verify_ended(claim, &before).await?;
        Ok(Some(before))
    }

    /// # Errors
    /// [`EngineError::NodeLost`].
    pub(super) async fn verify_ended(
        &self,
        claim: &str,
        before: &WriterRecord,
    ) -> Result<(), EngineError> {
        let pod = self.pod(&before.pod).await.ok().flatten();
        let pod = pod.filter(|pod| pod["metadata"]["uid"] == before.uid.as_str());
        let node = self.node(&before.node).await?;
        has_ended(before, pod.as_ref(), node.as_ref()).map_err(|why| lost(claim, before, why))
    }

    /// Writes the Pod on its claim, unless another may still write there.
    pub(super) async fn hold(
        &self,
        claim: &str,
        pod: &Value,
        node: Option<&NodeFacts>,
    ) -> Result<(), EngineError> {
        let api = self.api().await?;
        let own = WriterRecord::new(pod, node);
        loop {
            let found = self.claim(claim).await?;
            // The files of one that is on its way out go with this Pod.
            let is_kept = |found: &Value| found["metadata"]["deletionTimestamp"].is_null();
            let found = found.filter(is_kept).ok_or_else(|| missing(claim))?;
            match WriterRecord::of(&found) {
                Some(writer) if writer.is_still(&own) => return Ok(()),
                Some(before) => self.verify_ended(claim, &before).await?,
                None => {}
            }
            let patch = json!({ "metadata": {
                "resourceVersion": found["metadata"]["resourceVersion"],
                "annotations": { WRITER: own.text() },
            } });
            match api
                .patch(
                    ApiCall::update("hold volume", claim),
                    ObjectKind::Claims,
                    &patch,
                )
                .await
            {
                // Another server was faster: perhaps for another Pod.
                Err(error) if error.status() == Some(409) => {}
                held => return held.map(drop),
            }
        }
    }

    /// Removes the record of a Pod whose end was told, unless another has the workspace by now.
    ///
    /// # Errors
    /// [`EngineError::NodeLost`] where it was not told by the machine that ran it.
    pub(super) async fn clear_ended(&self, claim: &str, pod: &Value) -> Result<(), EngineError> {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let Some(writer) = self.record_of(claim).await? else {
            return Ok(());
        };
        if writer.uid != uid {
            return Ok(());
        }
        let node = self.node(&writer.node).await?;
        has_ended(&writer, Some(pod), node.as_ref()).map_err(|why| lost(claim, &writer, why))?;
        self.clear_writer(claim, uid).await
    }

    /// Removes the record of a Pod, unless another has the workspace by now.
    pub(super) async fn clear_writer(&self, claim: &str, uid: &str) -> Result<(), EngineError> {
        let api = self.api().await?;
        loop {
            let Some(found) = self.claim(claim).await? else {
                return Ok(());
            };
            if WriterRecord::of(&found).is_none_or(|writer| writer.uid != uid) {
                return Ok(());
            }
            let patch = json!({ "metadata": {
                "resourceVersion": found["metadata"]["resourceVersion"],
                "annotations": { WRITER: null },
            } });
            match api
                .patch(
                    ApiCall::update("release volume", claim),
                    ObjectKind::Claims,
                    &patch,
                )
                .await
            {
                Err(error) if error.status() == Some(409) => {}
                Err(error) if error.status() == Some(404) => return Ok(()),
                cleared => return cleared.map(drop),
            }
        }
    }

    /// An operator says that nothing writes to the workspace any more. Its Pod goes, wherever it is.
    ///
    /// # Errors
    /// [`EngineError::InUse`] while its Pod is on a node that is ready.
    pub async fn release(&self, claim: &str) -> Result<(), EngineError> {
        let writer = self.record_of(claim).await?;
        for pod in self.pods(&[]).await? {
            if !claims(&pod).iter().any(|name| name == claim) {
                continue;
            }
            // Its kubelet ends it in order, when it is removed.
            let has_ended = matches!(PodPhase::of(&pod), PodPhase::Ended(_));
            let node = self
                .node(pod["spec"]["nodeName"].as_str().unwrap_or_default())
                .await?;
            if !has_ended && node.is_some_and(|node| node.is_ready) {
                return Err(EngineError::InUse {
                    name: claim.to_owned(),
                });
            }
            self.remove_object(&pod).await?;
        }
        match writer {
            Some(writer) => self.clear_writer(claim, &writer.uid).await,
            None => Ok(()),
        }
    }
}

fn lost(claim: &str, writer: &WriterRecord, why: &str) -> EngineError {
    EngineError::NodeLost {
        name: claim.to_owned(),
        node: writer.node.clone(),
        message: why.to_owned(),
    }
}

fn missing(claim: &str) -> EngineError {
    EngineError::Missing {
        kind: "volume",
        name: claim.to_owned(),
    }
}
