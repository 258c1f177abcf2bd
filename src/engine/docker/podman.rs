//! What is asked of Podman otherwise than of Docker, and how its answers differ. What it stores
//! otherwise is in [`super::verify`]. Podman 5.8 was tried; `docs/engines.md` has the table.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerCreateBody, Mount, MountType, VolumeCreateRequest};
use serde_json::Value;

use super::DockerEngine;
use crate::engine::error::EngineError;
use crate::engine::kind::EngineKind;
use crate::engine::uids::RunAs;

/// Podman's own API, which shows what its Docker API leaves out. Podman 4 and 5 speak this version.
const OWN_API: &str = "/v4.0.0/libpod";

/// Where images without a registry are: `podman build --tag NAME` makes `localhost/NAME`.
const LOCAL: &str = "localhost/";

/// Directories that Podman covers with a writable tmpfs without a size in every container whose
/// root is read-only, unless something else is mounted there. The image's content shows in them.
const COVERED: [&str; 2] = ["/run", "/var/tmp"];

/// For these: as read-only as the root. The size is for what the image has there.
const COVERED_OPTIONS: &str = "ro,nosuid,nodev,noexec,size=16m,mode=755";

/// A tmpfs begins with a copy of the image's content, unless told otherwise; Docker's is empty.
pub(super) const NO_COPY: &str = "notmpcopyup";

/// The sysctl with which any user may listen on a port below 1024.
pub(super) const PORTS: (&str, &str) = ("net.ipv4.ip_unprivileged_port_start", "0");

/// Of two creations of a volume at the same time, Podman refuses the later in these words.
pub(super) const VOLUME_EXISTS: &str = "volume already exists";

/// Keys of the own inspect that are added to the other: the runtime that it really uses, and the
/// capabilities that it gives.
const OWN_KEYS: [&str; 3] = ["OCIRuntime", "BoundingCaps", "EffectiveCaps"];

/// Podman refuses `nr_inodes`; an inode's memory is charged to the sandbox as every kernel memory.
pub(super) fn adapt_tmpfs(tmpfs: &mut HashMap<String, String>) {
    for options in tmpfs.values_mut() {
        let kept = options
            .split(',')
            .filter(|option| !option.starts_with("nr_inodes="));
        *options = kept.chain([NO_COPY]).collect::<Vec<_>>().join(",");
    }
    for path in COVERED {
        tmpfs
            .entry(path.to_owned())
            .or_insert_with(|| COVERED_OPTIONS.to_owned());
    }
}

/// The options of a volume of this user, from those of Docker's `local` driver. Podman gives the new
/// directory this owner. Without one it changes the owner at every start of a container until the
/// volume holds a file (containers/podman#27720), and so after the user's last file is gone.
fn volume_options(docker: &BTreeMap<String, String>, run_as: RunAs) -> BTreeMap<String, String> {
    let (uid, gid) = (run_as.uid(), run_as.gid());
    let mut options = format!("uid={uid},gid={gid},nocopy");
    if let Some(size) = docker.get("size") {
        options += &format!(",size={size}");
    }
    BTreeMap::from([("o".to_owned(), options)])
}

/// Whether a name has no registry, so that it means `localhost/NAME` first. Ids have none either.
pub(super) fn is_short(image: &str) -> bool {
    if image.starts_with("sha256:") {
        return false;
    }
    let Some((host, _)) = image.split_once('/') else {
        return true;
    };
    host != "localhost" && !host.contains(['.', ':'])
}

/// The name of an image of Podman's own machine.
pub(super) fn local_name(image: &str) -> String {
    format!("{LOCAL}{image}")
}

/// A listed name without Podman's addition.
pub(super) fn without_host(name: &str) -> &str {
    name.strip_prefix(LOCAL).unwrap_or(name)
}

/// Podman's host, as far as Docker's words for it are untrue.
#[derive(Debug, Default)]
pub(super) struct PodmanHost {
    /// Whether containers get a profile of AppArmor.
    pub(super) apparmor: bool,
    /// The cgroup controllers that Podman may use: those that were delegated to a rootless one.
    pub(super) controllers: Vec<String>,
}

impl PodmanHost {
    fn of(host: &Value) -> Self {
        let controllers = host["cgroupControllers"].as_array().into_iter().flatten();
        let controllers = controllers.filter_map(Value::as_str).map(str::to_owned);
        Self {
            apparmor: host["security"]["apparmorEnabled"] == true,
            controllers: controllers.collect(),
        }
    }
}

impl DockerEngine {
    /// Which program answers.
    ///
    /// # Errors
    /// Those of every call.
    pub(super) async fn kind(&self) -> Result<EngineKind, EngineError> {
        Ok(self.connect().await?.kind)
    }

    /// Whether Podman answers.
    pub(super) async fn is_podman(&self) -> Result<bool, EngineError> {
        Ok(self.kind().await? == EngineKind::Podman)
    }

    /// The options of a volume of this user, in the Engine's words, from Docker's.
    ///
    /// # Errors
    /// Those of every call.
    pub(super) async fn volume_options(
        &self,
        docker: BTreeMap<String, String>,
        run_as: RunAs,
    ) -> Result<HashMap<String, String>, EngineError> {
        let options = match self.is_podman().await? {
            true => volume_options(&docker, run_as),
            false => docker,
        };
        Ok(options.into_iter().collect())
    }

    /// Adds to an inspect what only Podman's own API shows. A container that is gone by now has
    /// none of it, and counts as weakened.
    pub(super) async fn add_podmans_own(&self, stored: &mut Value) -> Result<(), EngineError> {
        let id = stored["Id"].as_str().unwrap_or_default();
        let path = format!("{OWN_API}/containers/{id}/json");
        let mut own = match self.get_unversioned("inspect", &path).await {
            Err(error) if error.status() == Some(404) => return Ok(()),
            own => own?,
        };
        for key in OWN_KEYS {
            if let Some(value) = own.get_mut(key) {
                stored[key] = value.take();
            }
        }
        Ok(())
    }

    /// What Podman's own API says of its host.
    ///
    /// # Errors
    /// Those of every call.
    pub(super) async fn podmans_host(&self) -> Result<PodmanHost, EngineError> {
        let info = self
            .get_unversioned("info", &format!("{OWN_API}/info"))
            .await?;
        Ok(PodmanHost::of(&info["host"]))
    }

    /// Docker makes a missing volume of a container with the labels and options of its mount, and
    /// Podman without. So they are made here, before the container.
    pub(super) async fn make_missing_volumes(
        &self,
        body: &ContainerCreateBody,
    ) -> Result<(), EngineError> {
        let owner = body
            .user
            .as_deref()
            .and_then(owner_of)
            .unwrap_or(RunAs::DEFAULT);
        let mounts = body
            .host_config
            .as_ref()
            .and_then(|host| host.mounts.as_ref());
        let requests = mounts
            .into_iter()
            .flatten()
            .filter_map(|mount| volume_of(mount, owner));
        let requests: Vec<_> = requests.collect();
        for request in requests {
            self.create_volume(request).await?;
        }
        Ok(())
    }
}

fn owner_of(user: &str) -> Option<RunAs> {
    let (uid, gid) = user.split_once(':')?;
    RunAs::new(uid.parse().ok()?, gid.parse().ok()?)
}

fn volume_of(mount: &Mount, owner: RunAs) -> Option<VolumeCreateRequest> {
    if mount.typ != Some(MountType::VOLUME) {
        return None;
    }
    let options = mount.volume_options.clone()?;
    let driver = options.driver_config.unwrap_or_default();
    let docker = driver.options.unwrap_or_default().into_iter().collect();
    Some(VolumeCreateRequest {
        name: mount.source.clone(),
        driver: driver.name,
        driver_opts: Some(volume_options(&docker, owner).into_iter().collect()),
        labels: options.labels,
        cluster_volume_spec: None,
    })
}

#[cfg(test)]
#[path = "podman_tests.rs"]
mod tests;
