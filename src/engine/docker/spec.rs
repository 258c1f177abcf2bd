//! What Docker is told of a specification, and its hash. Pure.

use std::collections::BTreeMap;

use bollard::models::ContainerCreateBody;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::engine::container_spec::ContainerSpec;
use crate::engine::hex::hex;
use crate::engine::labels;
use crate::engine::shared_mount::SharedMount;
use crate::engine::uids::RunAs;

/// Hex digits of the hash in a label: 64 bits, because no attacker gains by a collision.
const HASH_DIGITS: usize = 16;

impl ContainerSpec {
    /// 16 hex digits over everything that distinguishes two containers of one user in use:
    /// hardening, limits, PID 1's arguments, the base image and the files put into it. Not over the
    /// labels. Of shared data the name and the path, and not the version: containers on an older
    /// one are as wanted.
    pub(super) fn hash(&self) -> String {
        let mut inputs = serde_json::json!({
            "base": self.image.base_id,
            "files": self.image.files_digest,
            "body": ContainerCreateBody { image: None, ..self.unlabelled() },
        });
        if !self.shared.is_empty() {
            let shared = self.shared.iter();
            inputs["shared"] = shared
                .map(|one| serde_json::json!([one.name, one.path]))
                .collect();
        }
        let mut digits = hex(&Sha256::digest(canonical(inputs)));
        digits.truncate(HASH_DIGITS);
        digits
    }

    /// All labels of the container.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut map = self.labels.to_map();
        map.insert(labels::SPEC.to_owned(), self.hash());
        if let Some(group) = &self.labels.group {
            map.insert(labels::GROUP.to_owned(), group.clone());
        }
        map
    }

    /// All labels of the volume, if the Engine has to create it.
    pub(super) fn volume_labels(&self) -> BTreeMap<String, String> {
        let mut map = self.labels.to_map();
        map.insert(labels::REMADE.to_owned(), "yes".to_owned());
        if self.run_as != RunAs::DEFAULT {
            map.insert(labels::UID.to_owned(), self.run_as.uid().to_string());
        }
        map
    }

    /// The same, for a container that is there already. Of a share without a version that counts, as
    /// when its head was lost, the version that the container has is as wanted as an older one.
    pub(super) fn with_versions_of(&self, stored: &Value) -> Self {
        let instance = &self.labels.instance;
        let mounted = |mut share: SharedMount| {
            if share.volume.is_none() {
                share.volume = share.mounted_version(instance, stored);
            }
            share
        };
        Self {
            shared: self.shared.iter().cloned().map(mounted).collect(),
            ..self.clone()
        }
    }

    /// The body of the create call.
    pub(super) fn body(&self) -> ContainerCreateBody {
        let mut body = self.unlabelled();
        if let Some(host) = &mut body.host_config {
            self.complete_mounts(host);
            let shared = self
                .shared
                .iter()
                .filter_map(|one| one.mount(&self.labels.instance));
            host.mounts.get_or_insert_default().extend(shared);
        }
        body.labels = Some(self.labels().into_iter().collect());
        if let Some(entrypoint) = &mut body.entrypoint {
            entrypoint.push(format!("--spec={}", self.hash()));
        }
        body
    }
}

/// JSON with sorted keys, even if serde_json keeps the order of a `HashMap`.
fn canonical(value: Value) -> String {
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let map: BTreeMap<_, _> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
                Value::Object(map.into_iter().collect())
            }
            Value::Array(items) => items.into_iter().map(sorted).collect(),
            other => other,
        }
    }
    sorted(value).to_string()
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
