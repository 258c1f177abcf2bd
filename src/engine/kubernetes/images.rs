//! What a cluster is asked for beside Pods and claims. It shows no images: nodes pull them.

use std::sync::Arc;

use casemate_protocol::HelloReply;
use http::Method;

use super::KubernetesEngine;
use super::api_call::ApiCall;
use crate::engine::error::EngineError;
use crate::engine::rootfs::files_digest;
use crate::engine::{
    Capabilities, EngineKind, EngineVersion, ImageDescription, ImageState, PreparedImage, Quota,
    SandboxFiles, UidRange,
};

impl KubernetesEngine {
    /// The image of this name, which has to be a prepared one. What is in it is not known here: a node
    /// pulls it, and PID 1 of another version says so.
    ///
    /// # Errors
    /// None.
    pub async fn prepared_image(
        &self,
        image: &str,
        files: impl Into<SandboxFiles<'_>>,
        _: UidRange,
        _: impl Fn(&str) + Send + Sync,
    ) -> Result<PreparedImage, EngineError> {
        Ok(PreparedImage {
            id: image.to_owned(),
            tag: image.to_owned(),
            from: image.to_owned(),
            base_id: image.to_owned(),
            files_digest: files_digest(files.into()),
            env: Vec::new(),
            volumes: Vec::new(),
        })
    }

    /// # Errors
    /// None.
    pub async fn image_state(
        &self,
        image: &str,
        _: impl Into<SandboxFiles<'_>>,
        _: UidRange,
    ) -> Result<ImageState, EngineError> {
        Ok(ImageState::Prepared {
            tag: image.to_owned(),
        })
    }

    /// What an image says of itself: unknown.
    ///
    /// # Errors
    /// None.
    pub async fn image_description(
        &self,
        _: &str,
    ) -> Result<Option<ImageDescription>, EngineError> {
        Ok(None)
    }

    /// What holds for every node, by Kubernetes' own rules. Processes are limited by the node or by PID 1.
    ///
    /// # Errors
    /// None.
    pub async fn capabilities(&self) -> Result<Arc<Capabilities>, EngineError> {
        let runtime = self.settings().runtime_class.clone().unwrap_or_default();
        Ok(Arc::new(Capabilities {
            kind: EngineKind::Kubernetes,
            apparmor: false,
            selinux: false,
            seccomp: true,
            rootless: false,
            user_namespaces: false,
            swap_limit: false,
            memory_limit: true,
            cpu_limit: true,
            pids_limit: true,
            cgroup_version: 2,
            runtimes: vec![runtime.clone()],
            platforms: std::collections::BTreeMap::new(),
            default_runtime: runtime,
            // A Pod that is larger than each node is not scheduled, and says so.
            cpus: u32::MAX,
            memory: u64::MAX,
            storage_driver: String::new(),
            root_dir: String::new(),
            os: "linux".to_owned(),
            host_name: String::new(),
            kernel: String::new(),
        }))
    }

    /// A claim has a size. Whether its storage class enforces that is the class's business.
    ///
    /// # Errors
    /// None.
    pub async fn quota(&self) -> Result<Quota, EngineError> {
        Ok(Quota::Volume)
    }

    /// The API server's version.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        let call = ApiCall::query("version", "");
        let found = self
            .api()
            .await?
            .request(call, Method::GET, "/version", None)
            .await?;
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let (os, arch) = match text("platform").split_once('/') {
            Some((os, arch)) => (os.to_owned(), arch.to_owned()),
            None => (String::new(), String::new()),
        };
        Ok(EngineVersion {
            kind: EngineKind::Kubernetes,
            version: text("gitVersion").trim_start_matches('v').to_owned(),
            api: format!("{}.{}", text("major"), text("minor")),
            os,
            arch,
            kernel: String::new(),
            components: Vec::new(),
        })
    }

    /// Compares what the kernel shows PID 1 with what the Pod asks for.
    ///
    /// # Errors
    /// [`EngineError::Unreal`] for a Pod that must not be used.
    pub async fn verify_inside(&self, id: &str, hello: &HelloReply) -> Result<(), EngineError> {
        let unreal = super::inside::unreal(hello.confinement.as_ref());
        match unreal.is_empty() {
            true => Ok(()),
            false => Err(EngineError::Unreal {
                name: id.to_owned(),
                protections: unreal.join(", "),
            }),
        }
    }

    /// The prepared image of `image`, if it exists: on some node, perhaps.
    ///
    /// # Errors
    /// None.
    pub async fn known_prepared(
        &self,
        image: &str,
        files: impl Into<SandboxFiles<'_>>,
        uids: UidRange,
    ) -> Result<Option<PreparedImage>, EngineError> {
        self.prepared_image(image, files, uids, |_| {})
            .await
            .map(Some)
    }

    /// Nodes remove images by themselves.
    ///
    /// # Errors
    /// None.
    pub async fn unused_prepared(&self, _: &[PreparedImage]) -> Result<Vec<String>, EngineError> {
        Ok(Vec::new())
    }

    /// # Errors
    /// None.
    pub async fn remove_unless_used(&self, _: &str) -> Result<bool, EngineError> {
        Ok(false)
    }

    /// How an operator makes an image that nodes can pull and use.
    pub fn command_for_image(&self, image: &str) -> String {
        format!("docker tag $(casemate prepare-image) {image} && docker push {image}")
    }

    /// Volumes are on no disk of this machine.
    ///
    /// # Errors
    /// None.
    pub async fn disk_free(&self) -> Result<Option<u64>, EngineError> {
        Ok(None)
    }

    /// # Errors
    /// None.
    pub async fn bind_refusal(&self) -> Result<Option<&'static str>, EngineError> {
        Ok(Some(
            "is a cluster, whose nodes have no directories of this machine",
        ))
    }

    /// Unknown: nodes have clocks of their own.
    ///
    /// # Errors
    /// None.
    pub async fn time(&self) -> Result<Option<String>, EngineError> {
        Ok(None)
    }
}
