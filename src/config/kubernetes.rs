//! Kubernetes as the Engine: where sandboxes are made, and on which nodes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::choices::EngineChoice;
use super::error::ConfigError;
use super::layer::Layer;
use super::setting::Setting;
use super::text::path;
use super::value_error::ValueError;

/// Kubernetes' own bound for names of objects (RFC 1123 subdomain).
const NAME_BYTES: usize = 253;

/// Its bound for the value of a label.
const LABEL_BYTES: usize = 63;

const NAME: ValueError = ValueError::Form(
    "a name of Kubernetes has lower-case letters, digits, `-` and `.`, 253 bytes at most",
);
const LABELS: ValueError =
    ValueError::Form("a list of labels of nodes: `disk=fast,pool=sandboxes`");
const TOLERATIONS: ValueError = ValueError::Form(
    "a list of taints: `key=value:NoSchedule`, or `key:NoSchedule` for each value",
);
const ADDRESSES: ValueError =
    ValueError::Form("a list of addresses with ports: `10.0.0.1:443,[fd00::1]:53`");

/// A taint that sandboxes tolerate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    pub key: String,
    /// `None`: each value.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// How sandboxes are made on Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// Where they are; `None`: the namespace of the kubeconfig or of the service account.
    pub namespace: Option<String>,
    /// The storage class of workspaces; `None`: the cluster's default.
    pub storage_class: Option<String>,
    /// Of their Pods; `None`: the nodes' default runtime.
    pub runtime_class: Option<String>,
    pub node_selector: BTreeMap<String, String>,
    pub tolerations: Vec<Toleration>,
    /// How much of its limits a sandbox requests, in per cent.
    pub requests: u32,
    pub image_pull_secrets: Vec<String>,
    /// The file with the secret that all servers of the instance have.
    pub key_file: Option<PathBuf>,
    /// Addresses that no sandbox may reach, besides those that the server knows.
    pub unreachable: Vec<SocketAddr>,
    /// How long a command runs on whose server lost its channel.
    pub lost_channel_ttl: Duration,
}

impl KubernetesSettings {
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        use Setting as S;
        refuse_unused(given)?;
        let names = |setting| given.value(setting, None, |text| object_name(text).map(Some));
        Ok(Self {
            namespace: names(S::KubernetesNamespace)?,
            storage_class: names(S::KubernetesStorageClass)?,
            runtime_class: names(S::KubernetesRuntimeClass)?,
            node_selector: given.value(
                S::KubernetesNodeSelector,
                BTreeMap::new(),
                node_selector,
            )?,
            tolerations: given.value(S::KubernetesTolerations, Vec::new(), |text| {
                items(text).map(toleration).collect()
            })?,
            requests: given.bounded(S::KubernetesRequests)?,
            image_pull_secrets: given.value(S::KubernetesImagePullSecrets, Vec::new(), |text| {
                items(text).map(object_name).collect()
            })?,
            key_file: given.value(S::KubernetesKeyFile, None, |text| path(text).map(Some))?,
            unreachable: given.value(S::KubernetesUnreachable, Vec::new(), |text| {
                items(text)
                    .map(|item| item.parse().map_err(|_| ADDRESSES))
                    .collect()
            })?,
            lost_channel_ttl: given.bounded(S::KubernetesLostChannelTtl)?,
        })
    }
}

/// A setting without effect is an error: its operator believes that it has one.
fn refuse_unused(given: &Layer) -> Result<(), ConfigError> {
    let engine = given.value(Setting::Engine, EngineChoice::Auto, str::parse)?;
    if engine != EngineChoice::Docker {
        return Ok(());
    }
    let mut own = Setting::in_section("kubernetes");
    match own.find_map(|(_, setting)| given.get(setting)) {
        Some(unused) => {
            let problem = "it has no effect where engine is docker".to_owned();
            Err(ConfigError::setting(&unused.origin, problem))
        }
        None => Ok(()),
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn object_name(text: &str) -> Result<String, ValueError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let ends_well = |c: char| c.is_ascii_alphanumeric();
    let good = text.starts_with(ends_well) && text.ends_with(ends_well);
    (good && text.len() <= NAME_BYTES && text.bytes().all(plain))
        .then(|| text.to_owned())
        .ok_or(NAME)
}

/// The key of a label, with or without a prefix, or the value of one.
fn is_label(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
    text.bytes().all(plain) && text.len() <= NAME_BYTES + 1 + LABEL_BYTES
}

fn node_selector(text: &str) -> Result<BTreeMap<String, String>, ValueError> {
    let pair = |item: &str| {
        let (key, value) = item.split_once('=').ok_or(LABELS)?;
        let good = !key.is_empty() && is_label(key) && is_label(value);
        good.then(|| (key.to_owned(), value.to_owned()))
            .ok_or(LABELS)
    };
    items(text).map(pair).collect()
}

fn toleration(item: &str) -> Result<Toleration, ValueError> {
    let (taint, effect) = item.rsplit_once(':').ok_or(TOLERATIONS)?;
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (taint, None),
    };
    let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
    let good = known && !key.is_empty() && is_label(key) && value.is_none_or(is_label);
    good.then(|| Toleration {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect: effect.to_owned(),
    })
    .ok_or(TOLERATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taint_has_a_key_and_an_effect_and_may_have_a_value() {
        let found = toleration("pool=sandboxes:NoSchedule").expect("a taint");
        assert_eq!(found.value.as_deref(), Some("sandboxes"));
        let any = toleration("example.com/pool:NoExecute").expect("a taint");
        assert_eq!((any.key.as_str(), any.value), ("example.com/pool", None));
        for wrong in ["", "a", ":NoSchedule", "a=b", "a:Never", "a b:NoSchedule"] {
            assert!(toleration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_one_of_kubernetes() {
        for good in ["default", "a.b-c1", "0"] {
            assert_eq!(object_name(good).as_deref(), Ok(good));
        }
        for wrong in ["", "A", "a_b", "-a", "a-", "a/b", &"a".repeat(254)] {
            assert!(object_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nodes_are_selected_by_labels() {
        let found = node_selector("a=b, example.com/c=").expect("labels");
        assert_eq!(found.len(), 2);
        assert!(node_selector("a").is_err() && node_selector("=b").is_err());
    }
}
