//! Pods: found, listed, made and compared.

use std::collections::BTreeMap;

use serde_json::Value;
use tracing::debug;

use super::KubernetesEngine;
use super::api_call::ApiCall;
use super::client::ObjectKind;
use super::names::{CASEMATE, MANAGED_BY, PodId, annotations, object, selectors};
use super::pod_state::{self, PodPhase};
use super::verify::{self, compare};
use crate::config::Mode;
use crate::engine::error::EngineError;
use crate::engine::{
    Container, ContainerSpec, ContainerSummary, CreatedContainer, Difference, DifferenceKind,
    RunAs, Workspace,
};

impl KubernetesEngine {
    /// The Pod of this name or id, if it exists and has not ended: one that has is as good as removed.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn inspect(&self, name_or_id: &str) -> Result<Option<Container>, EngineError> {
        let Some(pod) = self.pod(name_or_id).await? else {
            return Ok(None);
        };
        if let PodPhase::Ended(_) = PodPhase::of(&pod) {
            self.free_later(&pod);
            return Ok(None);
        }
        Ok(Some(pod_state::container(&pod)))
    }

    /// The Pod, whatever has become of it.
    pub(super) async fn pod(&self, name_or_id: &str) -> Result<Option<Value>, EngineError> {
        let (name, uid) = PodId::parse(name_or_id)?;
        let found = self
            .api()
            .await?
            .get(ApiCall::query("inspect", name), ObjectKind::Pods)
            .await?;
        Ok(found.filter(|pod| uid.is_none_or(|uid| pod["metadata"]["uid"] == uid)))
    }

    /// All Pods of ours with these labels.
    pub(super) async fn pods(&self, more: &[(&str, String)]) -> Result<Vec<Value>, EngineError> {
        let mut labels = vec![(MANAGED_BY, CASEMATE.to_owned())];
        labels.extend(more.iter().cloned());
        let list = self
            .api()
            .await?
            .list("list", ObjectKind::Pods, &labels)
            .await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// All Pods that have every one of these labels and have not ended.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_containers(
        &self,
        labels: &[(&str, &str)],
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let pods = self.pods(&selectors(labels.iter().copied())).await?;
        let has = |found: &BTreeMap<String, String>, (key, value): &(&str, &str)| {
            found.get(*key).is_some_and(|found| found == value)
        };
        let mut rows = Vec::new();
        for pod in pods {
            let found = annotations(&pod);
            if !labels.iter().all(|label| has(&found, label)) {
                continue;
            }
            match PodPhase::of(&pod) {
                PodPhase::Ended(_) => self.free_later(&pod),
                _ => rows.push(pod_state::summary(&pod)),
            }
        }
        Ok(rows)
    }

    /// Makes a Pod that is held back from every node, and compares the stored one with `spec`.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] for a name in use, [`EngineError::NodeLost`] where the Pod before may
    /// still write, [`EngineError::Weakened`] where the cluster changed it (it is removed),
    /// [`EngineError::NotAdmitted`].
    pub async fn create(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> Result<CreatedContainer, EngineError> {
        let Workspace::Volume(claim) = &spec.workspace else {
            return Err(not_here("mode bind"));
        };
        check(spec)?;
        object("container", name)?;
        self.make_room(name).await?;
        let last = self.check_writer(claim).await?;
        let connection = self.connect().await?;
        let last_node = last.map(|writer| writer.node);
        let facts = connection.maker.new_facts(name, last_node);
        let wanted = connection.maker.pod(spec, &facts);
        let call = ApiCall::update("create", name);
        let stored = connection.api.create(call, ObjectKind::Pods, &wanted).await;
        let stored = stored.map_err(|error| match error.status() {
            Some(409) => EngineError::Conflict {
                name: name.to_owned(),
            },
            _ => error,
        })?;
        let id = PodId::of(&stored);
        // Here a difference of any kind is a change that the cluster has made.
        if let Some(error) = refused(name, compare(&wanted, &stored)) {
            self.discard(&id).await;
            return Err(error);
        }
        self.shared.wanted.put(&id.uid, wanted);
        Ok(CreatedContainer {
            id: id.to_string(),
            warnings: Vec::new(),
            differences: Vec::new(),
        })
    }

    /// Frees the name of a Pod that has ended.
    async fn make_room(&self, name: &str) -> Result<(), EngineError> {
        let Some(found) = self.pod(name).await? else {
            return Ok(());
        };
        match PodPhase::of(&found) {
            PodPhase::Ended(_) => self.free(&found).await,
            _ => Err(EngineError::Conflict {
                name: name.to_owned(),
            }),
        }
    }

    /// Removes a Pod that must not be used.
    pub(super) async fn discard(&self, id: &PodId) {
        if let Err(error) = self.remove(&id.to_string()).await {
            let error = &error as &dyn std::error::Error;
            debug!(%id, error, "left a Pod");
        }
    }

    /// The differences between the stored Pod and `spec`. One with a difference of `Hardening` must
    /// not be used.
    pub fn differences(&self, spec: &ContainerSpec, container: &Container) -> Vec<Difference> {
        let Some(connection) = self.shared.connection.get() else {
            // No connection has found it.
            return vec![Difference {
                field: "metadata.uid".to_owned(),
                wanted: String::new(),
                stored: container.id.clone(),
                kind: DifferenceKind::Hardening,
            }];
        };
        let maker = &connection.maker;
        let wanted = maker.pod(spec, &maker.facts_of(&container.stored));
        let differences = differences_without_makers(&wanted, &container.stored);
        let is_safe = |one: &Difference| one.kind != DifferenceKind::Hardening;
        if differences.iter().all(is_safe) {
            let uid = PodId::of(&container.stored).uid;
            self.shared.wanted.put(&uid, wanted);
        }
        differences
    }
}

/// The differences between two Pods, without what only says which server made them.
fn differences_without_makers(wanted: &Value, stored: &Value) -> Vec<Difference> {
    let of_maker = |field: &str| {
        let key = field.strip_prefix("metadata.annotations.");
        key.is_some_and(|key| MAKERS.contains(&key))
    };
    let mut differences = compare(wanted, stored);
    differences.retain(|difference| !of_maker(&difference.field));
    differences
}

/// Annotations that say which server made a Pod, and with which settings.
const MAKERS: [&str; 6] = [
    crate::engine::labels::VERSION,
    crate::engine::labels::NODE,
    crate::engine::labels::EPOCH,
    crate::engine::labels::SINCE,
    crate::engine::labels::SPEC,
    // Compared by its own rule.
    crate::engine::labels::GROUP,
];

/// What this backend does not do is refused by name.
fn check(spec: &ContainerSpec) -> Result<(), EngineError> {
    if spec.labels.mode == crate::engine::labels::HELPER_MODE {
        return Err(not_here("a backup, a restore or a look into a workspace"));
    }
    if spec.labels.mode == Mode::Ephemeral.as_str() {
        return Err(not_here("mode ephemeral"));
    }
    if !spec.shared.is_empty() {
        return Err(not_here("shared data"));
    }
    if spec.run_as == RunAs::DEFAULT {
        return Err(not_here("one uid for all users (uid_count = 0)"));
    }
    Ok(())
}

pub(super) fn not_here(what: &'static str) -> EngineError {
    EngineError::NotOnKubernetes { what }
}

/// The error for a Pod with these differences, if there are any.
fn refused(name: &str, differences: Vec<Difference>) -> Option<EngineError> {
    (!differences.is_empty()).then(|| EngineError::Weakened {
        name: name.to_owned(),
        differences,
        remedy: Some("a plugin or a webhook of the cluster changes Pods: exempt the namespace"),
    })
}

/// The error for a Pod that is less isolated than it was wanted.
pub(super) fn changed(wanted: Option<&Value>, stored: &Value) -> Option<EngineError> {
    let name = PodId::of(stored).name;
    let added = verify::added_containers(stored);
    let mut differences = wanted.map_or(Vec::new(), |wanted| {
        differences_without_makers(wanted, stored)
    });
    if !added.is_empty() && differences.is_empty() {
        differences.push(Difference {
            field: "spec.ephemeralContainers".to_owned(),
            wanted: "null".to_owned(),
            stored: added.join(", "),
            kind: DifferenceKind::Hardening,
        });
    }
    differences.retain(|one| one.kind == DifferenceKind::Hardening);
    refused(&name, differences)
}
