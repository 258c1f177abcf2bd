//! Kubernetes as the Engine: sandboxes are Pods, workspaces are claims.
//!
//! ```text
//! KubernetesEngine ─► connect (kubeconfig or service account) ─► Api: raw JSON
//!   pod ─► verify ──────► pods         made, compared while it is held back, then let to a node
//!   claim_record ───────► bridge       one Pod writes to a workspace; pods/exec with a key
//!   pod_watch ──────────► endings      one watch for all Pods: how each ended
//! ```
//!
//! Invariants:
//!
//! - No module outside names kube-rs or sees one of its types.
//! - Making a [`KubernetesEngine`] reads the configuration and reaches for nothing: the API server may
//!   be down.
//! - The API server makes a name once, so there is one Pod of a workspace. Its finalizer keeps the name
//!   until its containers are known to have ended, no matter who deletes it.
//! - A Pod runs nothing before its stored form was compared, whole, with the wanted one.
//! - Every delete names the uid that it means.

mod api_call;
mod bridge;
mod channel;
mod claim_record;
mod client;
mod end_cause;
mod endings;
mod error;
mod images;
mod inside;
mod key;
mod names;
mod nodes;
mod pod;
mod pod_state;
mod pod_watch;
mod pods;
mod quantity;
mod start;
mod targets;
mod verify;
mod volumes;
mod wanted_pods;
mod writer;

#[cfg(test)]
mod testing;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::Value;

use super::EngineAddress;
use super::error::EngineError;
use crate::config::KubernetesSettings;
use crate::meter::Meter;
use client::Api;
use key::Secret;
use pod::PodMaker;
use pod_watch::PodWatch;
use wanted_pods::WantedPods;

/// A Kubernetes cluster, as far as one namespace. Cheap to clone; all clones share one connection.
#[derive(Debug, Clone)]
pub struct KubernetesEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: EngineAddress,
    settings: KubernetesSettings,
    secret: Secret,
    meter: Meter,
    connection: tokio::sync::OnceCell<Arc<Connection>>,
    api_server: OnceLock<String>,
    wanted: Arc<WantedPods>,
    /// The Pods whose end this server already waits for, by uid.
    ending: Mutex<HashSet<String>>,
}

/// What holds for as long as the process.
#[derive(Debug)]
struct Connection {
    api: Api,
    watch: Arc<PodWatch>,
    maker: PodMaker,
}

impl KubernetesEngine {
    /// The cluster of the kubeconfig or of the service account. Blocks on the file with the secret; the
    /// first call connects.
    ///
    /// # Errors
    /// [`EngineError::Address`]: there is no secret, or it cannot be used.
    pub fn new(settings: KubernetesSettings) -> Result<Self, EngineError> {
        let address = EngineAddress {
            uri: "kubernetes".to_owned(),
            found_by: "the setting engine".to_owned(),
        };
        let refuse = |reason: String| EngineError::Address {
            address: address.uri.clone(),
            found_by: address.found_by.clone(),
            reason,
        };
        let secret = match &settings.key_file {
            Some(file) => Secret::read(file).map_err(refuse)?,
            None => {
                let reason = "it needs kubernetes_key_file, a file with a secret that all servers of the \
                              instance have: `openssl rand -hex 32` makes one";
                return Err(refuse(reason.to_owned()));
            }
        };
        let shared = Shared {
            address,
            settings,
            secret,
            meter: Meter::new(),
            connection: tokio::sync::OnceCell::new(),
            api_server: OnceLock::new(),
            wanted: Arc::default(),
            ending: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub fn address(&self) -> &EngineAddress {
        &self.shared.address
    }

    /// `host:port` of the API server, which no rule of egress lets a sandbox reach. Known since the first
    /// request, and so before any sandbox.
    pub fn control_address(&self) -> Option<&str> {
        self.shared.api_server.get().map(String::as_str)
    }

    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    fn settings(&self) -> &KubernetesSettings {
        &self.shared.settings
    }

    /// The client reads its files anew while it lives: a service account's token changes each hour.
    async fn connect(&self) -> Result<Arc<Connection>, EngineError> {
        let made = self
            .shared
            .connection
            .get_or_try_init(|| self.make_connection());
        made.await.cloned()
    }

    async fn make_connection(&self) -> Result<Arc<Connection>, EngineError> {
        let unusable = |error: &dyn std::error::Error| EngineError::Address {
            address: self.shared.address.uri.clone(),
            found_by: "KUBECONFIG, ~/.kube/config or the service account".to_owned(),
            reason: error::chain(error),
        };
        let config = kube::Config::infer()
            .await
            .map_err(|error| unusable(&error))?;
        let url = config.cluster_url.to_string();
        let namespace = self.settings().namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        if let Some(host) = config.cluster_url.host() {
            let port = config.cluster_url.port_u16().unwrap_or(443);
            self.shared
                .api_server
                .get_or_init(|| format!("{host}:{port}"));
        }
        let cluster = targets::of_cluster(&config.cluster_url).await?;
        let named = &self.settings().unreachable;
        if cluster.is_empty() && named.is_empty() {
            return Err(EngineError::Address {
                address: url,
                found_by: "KUBECONFIG or ~/.kube/config".to_owned(),
                reason: "a sandbox cannot try to reach this machine's loopback addresses; name the API \
                         server's address in the cluster in kubernetes_unreachable, such as that of \
                         `kubectl get service kubernetes`, with :443"
                    .to_owned(),
            });
        }
        let unreachable = named.iter().copied().chain([targets::METADATA]);
        let client = client::client(config).map_err(|error| unusable(&error))?;
        let api = Api::new(client, url, namespace, self.shared.meter.clone());
        Ok(Arc::new(Connection {
            watch: PodWatch::start(api.clone(), self.shared.wanted.clone()),
            api,
            maker: PodMaker {
                settings: self.settings().clone(),
                secret: self.shared.secret.clone(),
                unreachable: unreachable.collect(),
                cluster,
            },
        }))
    }

    async fn api(&self) -> Result<Api, EngineError> {
        Ok(self.connect().await?.api.clone())
    }

    /// How a Pod was wanted; `None`: this server has neither made nor adopted it.
    fn wanted(&self, uid: &str) -> Option<Arc<Value>> {
        self.shared.wanted.get(uid)
    }
}
