//! The end of Pods: asked for, seen, and confirmed.
//!
//! ```text
//!  delete ──► the kubelet ends the containers ──► says how ──► free
//!                                                             1. the claim's record goes
//!                                                             2. the finalizer goes, with it the name
//! ```
//!
//! A Pod whose node is lost stays in the first step, and keeps its name, until the node is back or an
//! operator speaks. Whichever server sees the end first frees it; that it is done twice does no harm.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::KubernetesEngine;
use super::api_call::ApiCall;
use super::client::ObjectKind;
use super::end_cause::end_cause;
use super::names::PodId;
use super::pod::FINALIZER;
use super::pod_state::{PodPhase, claims, last_words};
use super::pods::changed;
use super::start::{is_of, is_same};
use super::writer::WriterRecord;
use crate::engine::error::EngineError;
use crate::engine::{EndCause, EndedContainer};

/// How often a Pod is looked at of which the watch says nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

impl KubernetesEngine {
    /// Deletes it, and frees its name when it has ended. One that is gone, or going, is fine.
    ///
    /// # Errors
    /// [`EngineError::NodeLost`] for one that is going and whose node is lost.
    pub async fn remove(&self, name_or_id: &str) -> Result<(), EngineError> {
        let Some(pod) = self.pod(name_or_id).await? else {
            return Ok(());
        };
        let id = PodId::of(&pod);
        if PodPhase::of(&pod) == PodPhase::Unconfirmed {
            self.verify_node(&pod).await?;
        }
        let call = ApiCall::update("remove", &id.name);
        self.api()
            .await?
            .delete(call, ObjectKind::Pods, &id.uid)
            .await?;
        match self.pod(&id.to_string()).await? {
            // It never had a node.
            Some(pod) if matches!(PodPhase::of(&pod), PodPhase::Ended(_)) => self.free(&pod).await,
            Some(_) => {
                self.free_when_ended(id);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Removes one that no node has, if it is as it was seen; `false`: it has changed since.
    async fn remove_gated(&self, pod: &Value) -> Result<bool, EngineError> {
        let id = PodId::of(pod);
        let options = json!({ "preconditions": {
            "uid": id.uid, "resourceVersion": pod["metadata"]["resourceVersion"],
        } });
        let call = ApiCall::update("remove", &id.name);
        let api = self.api().await?;
        match api.delete_with(call, ObjectKind::Pods, &options).await {
            Err(error) if error.status() == Some(409) => return Ok(false),
            deleted => deleted?,
        }
        self.remove(&id.to_string()).await.map(|()| true)
    }

    /// A Pod that does not end is one of a node that is not there.
    async fn verify_node(&self, pod: &Value) -> Result<(), EngineError> {
        let now = WriterRecord::new(pod, None);
        let node = self.node(&now.node).await?;
        if node.as_ref().is_some_and(|node| node.is_ready) {
            return Ok(());
        }
        let claim = claims(pod).into_iter().next().unwrap_or_default();
        let recorded = self.record_of(&claim).await?;
        let before = recorded
            .filter(|writer| writer.uid == now.uid)
            .unwrap_or(now);
        self.verify_ended(&claim, &before).await?;
        // Its node is out of service.
        self.free(pod).await
    }

    /// Removes one that has ended: then `true`. One that has not is unchanged.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_stopped(&self, name_or_id: &str) -> Result<bool, EngineError> {
        let Some(pod) = self.pod(name_or_id).await? else {
            return Ok(true);
        };
        match PodPhase::of(&pod) {
            PodPhase::Ended(_) => self.free(&pod).await.map(|()| true),
            // Never let to a node: its server was killed.
            PodPhase::Gated => self.remove_gated(&pod).await,
            _ => Ok(false),
        }
    }

    /// A Pod's name cannot be changed. It is deleted, and its name is free when it has ended.
    ///
    /// # Errors
    /// [`EngineError::NodeLost`].
    pub async fn free_name(&self, id: &str, _: &str) -> Result<(), EngineError> {
        self.remove(id).await
    }

    /// Waits until it has ended, without a deadline. A Pod that somebody has changed is deleted.
    ///
    /// # Errors
    /// Those of every call, for the first look only.
    pub async fn ended(&self, id: &str) -> Result<EndedContainer, EngineError> {
        let Some(pod) = self.pod(id).await? else {
            return Ok(EndedContainer::default());
        };
        self.end_of(&PodId::of(&pod)).await
    }

    async fn end_of(&self, id: &PodId) -> Result<EndedContainer, EngineError> {
        let watch = self.connect().await?.watch.clone();
        let mut changes = watch.changes();
        let mut current = self.pod(&id.to_string()).await?.map(Arc::new);
        let (mut cause, mut wanted) = (None, None);
        loop {
            let Some(pod) = current else {
                self.shared.wanted.remove(&id.uid);
                return Ok(EndedContainer {
                    exit_code: None,
                    cause,
                });
            };
            if cause.is_none() {
                cause = end_cause(&pod);
            }
            if let PodPhase::Ended(exit_code) = PodPhase::of(&pod) {
                if let Some(words) = last_words(&pod) {
                    debug!(%id, words, "the Pod has ended");
                }
                self.free(&pod).await?;
                return Ok(EndedContainer { exit_code, cause });
            }
            // A list without it, as when somebody took its labels, does not end the comparison.
            wanted = self.wanted(&id.uid).or(wanted);
            if cause != Some(EndCause::Changed)
                && let Some(error) = changed(wanted.as_deref(), &pod)
            {
                warn!(%id, error = &error as &dyn std::error::Error, "changed from outside: removing");
                self.discard(id).await;
                cause = Some(EndCause::Changed);
            }
            // The watch lives as long as this engine. Most changes are those of other Pods.
            loop {
                let is_told = timeout(LOOK_INTERVAL, changes.changed()).await.is_ok();
                let seen = watch.get(&id.name);
                if !is_told || !seen.is_some_and(|seen| is_same(&seen, &pod)) {
                    break;
                }
            }
            current = match watch.get(&id.name) {
                Some(seen) if !is_same(&seen, &pod) && is_of(&seen, id) => Some(seen),
                // Gone, not seen yet, or nothing was told for long: the watch may be broken unseen.
                _ => self.pod(&id.to_string()).await?.map(Arc::new),
            };
        }
    }

    fn free_when_ended(&self, id: PodId) {
        if !self.shared.ending.lock().insert(id.uid.clone()) {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.end_of(&id).await {
                let error = &error as &dyn std::error::Error;
                debug!(%id, error, "the next server that needs its name frees it");
            }
            engine.shared.ending.lock().remove(&id.uid);
        });
    }

    pub(super) fn free_later(&self, pod: &Value) {
        self.free_when_ended(PodId::of(pod));
    }

    /// Lets go of the name and the workspace of a Pod that is known to have ended.
    pub(super) async fn free(&self, pod: &Value) -> Result<(), EngineError> {
        let id = PodId::of(pod);
        for claim in claims(pod) {
            self.clear_ended(&claim, pod).await?;
        }
        self.remove_finalizer(pod).await?;
        let call = ApiCall::update("remove", &id.name);
        let api = self.api().await?;
        api.delete(call, ObjectKind::Pods, &id.uid).await?;
        self.shared.wanted.remove(&id.uid);
        Ok(())
    }

    /// Removes the object of a Pod at once, whatever its kubelet does. Its record stays.
    pub(super) async fn remove_object(&self, pod: &Value) -> Result<(), EngineError> {
        let id = PodId::of(pod);
        let call = ApiCall::update("remove", &id.name);
        let options = json!({ "preconditions": { "uid": id.uid }, "gracePeriodSeconds": 0 });
        let api = self.api().await?;
        match api.delete_with(call, ObjectKind::Pods, &options).await {
            // Another of its name.
            Err(error) if error.status() == Some(409) => return Ok(()),
            removed => removed?,
        }
        self.remove_finalizer(pod).await?;
        self.shared.wanted.remove(&id.uid);
        Ok(())
    }

    async fn remove_finalizer(&self, pod: &Value) -> Result<(), EngineError> {
        let id = PodId::of(pod);
        let api = self.api().await?;
        let mut current = pod.clone();
        loop {
            let metadata = &current["metadata"];
            let all = metadata["finalizers"].as_array().into_iter().flatten();
            let others: Vec<&Value> = all.filter(|one| *one != FINALIZER).collect();
            // Of what was read: somebody may have added one since.
            let patch = json!({ "metadata": {
                "uid": id.uid, "resourceVersion": metadata["resourceVersion"], "finalizers": others,
            } });
            let call = ApiCall::update("remove", &id.name);
            match api.patch(call, ObjectKind::Pods, &patch).await {
                Err(error) if error.status() == Some(404) => return Ok(()),
                Err(error) if error.status() == Some(409) => {}
                freed => return freed.map(drop),
            }
            match self.pod(&id.to_string()).await? {
                Some(pod) => current = pod,
                // Gone, or another of its name.
                None => return Ok(()),
            }
        }
    }
}
