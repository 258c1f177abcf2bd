//! Workspaces as claims, and volumes that exist only for their labels as leases.
//!
//! On Docker a volume costs nothing, so the server marks things with empty ones, and the Engine makes a
//! name once. Here such a mark is a `Lease`, which has no storage and which an API server makes once too.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::KubernetesEngine;
use super::api_call::ApiCall;
use super::client::ObjectKind;
use super::names::{annotations, labels_of, object, selectors};
use super::pod_state::{PodPhase, claims};
use super::pods::not_here;
use crate::engine::error::EngineError;
use crate::engine::labels::{self, Labels};
use crate::engine::{ContainerSpec, VolumeSummary};

/// A claim's size where the settings give none, in bytes.
const DEFAULT_SIZE: u64 = 1 << 30;

/// How long a new one waits for the removal of one of its name.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks.
const REMOVAL_INTERVAL: Duration = Duration::from_millis(300);

impl KubernetesEngine {
    /// Makes the claim, with `more` labels, or finds it. Returns it as it is: one that exists keeps its own.
    ///
    /// # Errors
    /// [`EngineError::Foreign`] where one of this name does not have our labels.
    pub async fn ensure_volume(
        &self,
        name: &str,
        labels: &Labels,
        more: &[(&str, String)],
        size: Option<u64>,
    ) -> Result<VolumeSummary, EngineError> {
        let mut all = labels.to_map();
        all.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        let size = size.unwrap_or(DEFAULT_SIZE).to_string();
        let mut claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": object("volume", name)?,
                "labels": labels_of(&all),
                "annotations": all,
            },
            "spec": {
                // One Pod is our own rule: see `writer`.
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": size } },
            },
        });
        if let Some(class) = &self.settings().storage_class {
            claim["spec"]["storageClassName"] = json!(class);
        }
        let found = self.make(ObjectKind::Claims, name, &claim).await?;
        summary(&found).owned_by(labels)
    }

    /// Makes an object, or finds it.
    async fn make(&self, kind: ObjectKind, name: &str, new: &Value) -> Result<Value, EngineError> {
        let api = self.api().await?;
        let deadline = Instant::now() + REMOVAL_TIMEOUT;
        while Instant::now() < deadline {
            match api
                .create(ApiCall::update("create volume", name), kind, new)
                .await
            {
                Err(error) if error.status() == Some(409) => {}
                made => return made,
            }
            // `None`: it was removed in between, or is on its way out.
            if let Some(found) = self.find(kind, name).await? {
                return Ok(found);
            }
            tokio::time::sleep(REMOVAL_INTERVAL).await;
        }
        Err(missing(name))
    }

    /// The volume of this name, if it exists.
    ///
    /// # Errors
    /// [`EngineError::Foreign`] where it does not have our labels.
    pub async fn find_volume(
        &self,
        name: &str,
        labels: &Labels,
    ) -> Result<Option<VolumeSummary>, EngineError> {
        let found = self.inspect_volume(name).await?;
        found.map(|row| row.owned_by(labels)).transpose()
    }

    /// The claim of this name, whosever it is.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        let found = self.find(ObjectKind::Claims, name).await?;
        Ok(found.as_ref().map(summary))
    }

    /// The mark of this name, whosever it is.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn find_mark(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        let found = self.find(ObjectKind::Leases, name).await?;
        Ok(found.as_ref().map(summary))
    }

    async fn find(&self, kind: ObjectKind, name: &str) -> Result<Option<Value>, EngineError> {
        let call = ApiCall::query("inspect volume", object("volume", name)?);
        let found = self.api().await?.get(call, kind).await?;
        // One that is on its way out is no volume any more.
        Ok(found.filter(|found| found["metadata"]["deletionTimestamp"].is_null()))
    }

    /// Whether there is one of this name.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        Ok(self.find(ObjectKind::Claims, name).await?.is_some())
    }

    /// Makes a mark with these labels. An existing one with them is fine.
    ///
    /// # Errors
    /// [`EngineError::Foreign`] where one of this name lacks one of them.
    pub async fn mark(&self, name: &str, labels: &[(&str, &str)]) -> Result<(), EngineError> {
        let pair = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let all: BTreeMap<String, String> = labels.iter().map(pair).collect();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": object("volume", name)?,
                "labels": labels_of(&all),
                "annotations": all,
            },
            "spec": {},
        });
        let found = annotations(&self.make(ObjectKind::Leases, name, &lease).await?);
        let has = |(key, value): &(&str, &str)| found.get(*key).is_some_and(|has| has == value);
        match labels.iter().all(has) {
            true => Ok(()),
            false => Err(foreign(name.to_owned())),
        }
    }

    /// Removes the mark. One that is gone is fine.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_mark(&self, name: &str) -> Result<(), EngineError> {
        self.delete(ObjectKind::Leases, name).await
    }

    async fn delete(&self, kind: ObjectKind, name: &str) -> Result<(), EngineError> {
        let Some(found) = self.find(kind, name).await? else {
            return Ok(());
        };
        let uid = found["metadata"]["uid"].as_str().unwrap_or_default();
        let call = ApiCall::update("remove volume", name);
        self.api().await?.delete(call, kind, uid).await
    }

    /// Removes the claim with all that is in it. One that is gone is fine.
    ///
    /// # Errors
    /// [`EngineError::InUse`] while a Pod has it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let Some(found) = self.find(ObjectKind::Claims, name).await? else {
            return Ok(());
        };
        let in_use = || EngineError::InUse {
            name: name.to_owned(),
        };
        // A cluster would keep the claim until the Pod ends, and remove it then.
        if self.is_mounted(name).await? {
            return Err(in_use());
        }
        // A Pod that has begun since then has written itself on the claim.
        let metadata = &found["metadata"];
        let options = json!({ "preconditions": {
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        } });
        let call = ApiCall::update("remove volume", name);
        let api = self.api().await?;
        match api.delete_with(call, ObjectKind::Claims, &options).await {
            Err(error) if error.status() == Some(409) => Err(in_use()),
            removed => removed,
        }
    }

    async fn is_mounted(&self, claim: &str) -> Result<bool, EngineError> {
        let pods = self.pods(&[]).await?;
        let holds = |pod: &Value| !matches!(PodPhase::of(pod), PodPhase::Ended(_));
        Ok(pods
            .iter()
            .any(|pod| holds(pod) && claims(pod).iter().any(|name| name == claim)))
    }

    /// All claims and marks that have every one of these labels.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_volumes(
        &self,
        labels: &[(&str, &str)],
    ) -> Result<Vec<VolumeSummary>, EngineError> {
        let selectors = selectors(labels.iter().copied());
        let mut rows = self.volumes(&selectors).await?;
        let has = |row: &VolumeSummary, (key, value): &(&str, &str)| {
            row.labels.get(*key).is_some_and(|found| found == value)
        };
        rows.retain(|row| labels.iter().all(|label| has(row, label)));
        Ok(rows)
    }

    /// All of any instance with a uid in their labels, and the claims for one.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn volumes_with_uid(&self) -> Result<Vec<VolumeSummary>, EngineError> {
        let mut rows = self.volumes(&[(labels::UID, String::new())]).await?;
        rows.retain(|row| row.labels.contains_key(labels::UID));
        Ok(rows)
    }

    async fn volumes(
        &self,
        selectors: &[(&str, String)],
    ) -> Result<Vec<VolumeSummary>, EngineError> {
        let api = self.api().await?;
        let mut labels = vec![(super::names::MANAGED_BY, super::names::CASEMATE.to_owned())];
        labels.extend(selectors.iter().cloned());
        let mut rows = Vec::new();
        for kind in [ObjectKind::Claims, ObjectKind::Leases] {
            let list = api.list("list volumes", kind, &labels).await?;
            let items = list["items"].as_array().into_iter().flatten();
            // One that is on its way out is no volume any more.
            let items = items.filter(|item| item["metadata"]["deletionTimestamp"].is_null());
            rows.extend(items.map(summary));
        }
        Ok(rows)
    }

    /// The container that makes the workspace gives it to its user.
    ///
    /// # Errors
    /// None.
    pub async fn give_to_user(&self, _: &ContainerSpec) -> Result<(), EngineError> {
        Ok(())
    }

    /// There is no shared data here.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn shared_volumes(&self, _: &str) -> Result<Vec<VolumeSummary>, EngineError> {
        Ok(Vec::new())
    }

    /// # Errors
    /// [`EngineError::NotOnKubernetes`].
    pub async fn make_shared_volume(
        &self,
        _: &str,
        _: BTreeMap<String, String>,
    ) -> Result<VolumeSummary, EngineError> {
        Err(not_here("shared data"))
    }

    /// A cluster does not say how much a volume holds.
    ///
    /// # Errors
    /// None.
    pub async fn volume_sizes(&self) -> Result<HashMap<String, u64>, EngineError> {
        Ok(HashMap::new())
    }
}

fn summary(object: &Value) -> VolumeSummary {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    VolumeSummary {
        name: text(&object["metadata"]["name"]).unwrap_or_default(),
        labels: annotations(object),
        created: text(&object["metadata"]["creationTimestamp"]),
    }
}

fn foreign(name: String) -> EngineError {
    let kind = "volume";
    EngineError::Foreign { kind, name }
}

fn missing(name: &str) -> EngineError {
    let (kind, name) = ("volume", name.to_owned());
    EngineError::Missing { kind, name }
}
