//! The isolation profile: the body of the create call for a specification. Pure.
//!
//! One field per line, with its reason. [`super::verify`] compares the stored container with it;
//! its table has a row for each field.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use casemate_protocol::{INIT_PATH, WORKSPACE};

use super::podman;
use super::volume_driver::VolumeDriver;
use crate::engine::container_spec::{ContainerSpec, Workspace};
use crate::engine::env::environment;
use crate::engine::kind::EngineKind;

/// /tmp of a sandbox. gcc and pip run files that they write there; each file also uses memory for
/// its inode.
const TMP_OPTIONS: &str = "rw,nosuid,nodev,exec,size=128m,nr_inodes=16k,mode=1777";

/// Over each VOLUME of the image: it would otherwise be an anonymous volume without a limit.
const VOLUME_OPTIONS: &str = "rw,nosuid,nodev,noexec,size=16m,mode=1777";

/// The host name of every sandbox.
const HOSTNAME: &str = "casemate";

/// /dev/shm, in bytes: Docker's default, set explicitly so that a daemon's default cannot raise it.
const SHM_BYTES: i64 = 64 << 20;

/// Open files a process may have. Enough for a development server, and the kernel's memory for
/// them stays small.
const OPEN_FILES: i64 = 4096;

/// Memory a process may lock, in bytes: the kernel's default before 5.16. It cannot be swapped.
const LOCKED_BYTES: i64 = 64 << 10;

/// Threads of the host that gVisor has for itself (42 measured when idle), and for each process of a
/// sandbox (5.4 measured).
const RUNTIME_TASKS: i64 = 1024;
const TASKS_EACH: i64 = 8;

impl ContainerSpec {
    /// The body without labels and without the hash, which is computed over it.
    pub(super) fn unlabelled(&self) -> ContainerCreateBody {
        ContainerCreateBody {
            // By id: a tag can move.
            image: Some(self.image.id.clone()),
            // Never root of the host's kernel.
            user: Some(self.user()),
            // PID 1 is ours, and the image's CMD must not become its arguments.
            entrypoint: Some(self.entrypoint()),
            cmd: Some(Vec::new()),
            // No variables of the server.
            env: Some(environment(&self.image.env)),
            // PID 1 changes to the workspace itself: the runtime would fail there for some modes.
            working_dir: Some("/".to_owned()),
            // Constant: no host name leaks.
            hostname: Some(HOSTNAME.to_owned()),
            // An image's healthcheck is an exec from outside.
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            // PID 1 has no handler for TERM, so the kernel drops it and a stop would wait 10 s.
            stop_signal: Some("SIGKILL".to_owned()),
            host_config: Some(self.host_config()),
            ..ContainerCreateBody::default()
        }
    }

    fn user(&self) -> String {
        if self.separate_init {
            // Of the runtime's own kernel: PID 1 keeps it as its real uid only, and runs commands as
            // the user. On the host's kernel such a PID 1 is refused.
            return "0:0".to_owned();
        }
        self.run_as.as_user()
    }

    fn entrypoint(&self) -> Vec<String> {
        let mut entrypoint = vec![INIT_PATH.to_owned(), "pid1".to_owned()];
        entrypoint.extend(self.init_args.iter().cloned());
        if self.separate_init {
            entrypoint.push(format!("--user={}", self.run_as.as_user()));
            entrypoint.push(format!("--processes={}", self.limits.pids));
        }
        // PID 1 begins only where it cannot write there.
        let shared = self.shared.iter();
        entrypoint.extend(shared.map(|one| format!("--shared={}", one.path)));
        entrypoint
    }

    fn host_config(&self) -> HostConfig {
        let memory = signed(self.limits.memory);
        HostConfig {
            // No egress, no metadata service.
            network_mode: Some("none".to_owned()),
            // The bounding set is empty: nothing can be gained.
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: self.cap_add(),
            security_opt: Some(self.security_opt()),
            privileged: Some(false),
            memory: Some(memory),
            // Equal to memory: no escape into swap. If the kernel cannot limit swap, the Engine
            // stores -1.
            memory_swap: Some(if self.swap_limit { memory } else { -1 }),
            nano_cpus: Some(signed(self.limits.nano_cpus)),
            // A fork bomb stays in its own limit.
            pids_limit: Some(self.pids_limit()),
            ulimits: Some(self.ulimits()),
            // Nothing outside the mounts can be written: the image's layer is on the host's disk.
            readonly_rootfs: Some(true),
            // Here and not in Mounts, so that Mounts has only volumes and the workspace.
            tmpfs: Some(self.tmpfs()),
            shm_size: Some(SHM_BYTES),
            // The workspace. Shared data is added for the create call: its version is no part of
            // the hash.
            mounts: Some(vec![self.mount()]),
            // masked_paths and readonly_paths stay unset: an empty list unmasks all.
            //
            // A private namespace, the default: all others are the host's or another container's.
            pid_mode: Some(String::new()),
            uts_mode: Some(String::new()),
            // Never shareable.
            ipc_mode: Some("private".to_owned()),
            // The host's cgroup tree stays unseen.
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            // The Engine's own init would be PID 1 instead of ours.
            init: Some(false),
            // json-file copies every frame to the host's disk.
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            }),
            // Never restarted, and removed when PID 1 ends, even if no server runs.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            auto_remove: Some(true),
            // resolv.conf would otherwise show the host's resolver and domain.
            dns: Some(vec!["127.0.0.1".to_owned()]),
            dns_search: Some(vec![".".to_owned()]),
            // The Engine writes no line for the host name where there is no network, but programs
            // look up their own name.
            extra_hosts: Some(vec![format!("{HOSTNAME}:127.0.0.1")]),
            // Any user may listen on a port below 1024, as PID 1 does for names.
            sysctls: self.sysctls(),
            // Set explicitly, so that a changed default is noticed.
            runtime: Some(self.runtime.clone()),
            ..HostConfig::default()
        }
    }

    /// What a separate PID 1 needs to take its two users and to empty the bounding set. It keeps them,
    /// without any in effect, for its supervisors, which do the same and give them up.
    fn cap_add(&self) -> Option<Vec<String>> {
        let names = ["CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"];
        self.separate_init.then(|| names.map(str::to_owned).into())
    }

    /// Of the host's kernel. A runtime with its own kernel has several threads of the host for each of
    /// the sandbox, and ends it whole when it gets none: there PID 1 limits what commands start.
    fn pids_limit(&self) -> i64 {
        let pids = i64::from(self.limits.pids);
        if self.separate_init {
            return RUNTIME_TASKS + TASKS_EACH * pids;
        }
        pids
    }

    /// Docker does this by itself.
    fn sysctls(&self) -> Option<HashMap<String, String>> {
        let sysctls = || HashMap::from([podman::PORTS].map(|(k, v)| (k.to_owned(), v.to_owned())));
        (self.engine == EngineKind::Podman).then(sysctls)
    }

    fn security_opt(&self) -> Vec<String> {
        // setuid programs gain nothing.
        let mut options = vec!["no-new-privileges:true".to_owned()];
        // Podman treats a profile as the name of a file on its host, and has profiles of AppArmor
        // by other names. PID 1 installs our profile itself; Podman's own ones are there besides.
        if self.engine == EngineKind::Podman {
            return options;
        }
        // Our own profile: the Engine's default may be years old.
        options.push(format!("seccomp={}", casemate_seccomp::engine_profile()));
        if self.apparmor {
            // Set explicitly, so that `unconfined` is a difference.
            options.push("apparmor=docker-default".to_owned());
        }
        options
    }

    /// Never nproc: it counts across all containers of one uid.
    fn ulimits(&self) -> Vec<ResourcesUlimits> {
        [
            ("core", 0),
            ("nofile", OPEN_FILES),
            ("fsize", signed(self.limits.file_size)),
            ("memlock", LOCKED_BYTES),
        ]
        .map(|(name, value)| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(value),
            hard: Some(value),
        })
        .into()
    }

    fn tmpfs(&self) -> HashMap<String, String> {
        // Over each VOLUME of the image.
        let volumes = self.image.volumes.iter().cloned();
        // Nothing is over shared data.
        let is_shared = |path: &String| {
            let mut mounted = self.shared.iter().filter(|one| one.volume.is_some());
            mounted.any(|one| one.path == *path)
        };
        let volumes = volumes.filter(|path| !is_shared(path));
        let mut tmpfs: HashMap<_, _> = volumes
            .map(|path| (path, VOLUME_OPTIONS.to_owned()))
            .collect();
        tmpfs.insert("/tmp".to_owned(), TMP_OPTIONS.to_owned());
        if self.engine == EngineKind::Podman {
            podman::adapt_tmpfs(&mut tmpfs);
        }
        tmpfs
    }

    /// The Engine creates a missing volume at the create call. These labels mark it as ours and as
    /// created by the Engine: without labels it would lock its user out for ever.
    pub(super) fn complete_mounts(&self, host: &mut HostConfig) {
        let volumes = host.mounts.iter_mut().flatten();
        for mount in volumes.filter(|mount| mount.typ == Some(MountType::VOLUME)) {
            let VolumeDriver { name, options } = VolumeDriver::local(self.volume_size);
            mount.volume_options = Some(MountVolumeOptions {
                // Otherwise every create gives an empty volume the image's owner.
                no_copy: Some(true),
                labels: Some(self.volume_labels().into_iter().collect()),
                driver_config: Some(MountVolumeOptionsDriverConfig {
                    name: Some(name),
                    options: Some(options.into_iter().collect()),
                }),
                ..MountVolumeOptions::default()
            });
        }
    }

    pub(super) fn mount(&self) -> Mount {
        let (typ, source, bind_options) = match &self.workspace {
            Workspace::Volume(name) => (MountType::VOLUME, name, None),
            Workspace::Bind(path) => {
                let propagation = if self.engine == EngineKind::Podman {
                    // With `rprivate` crun binds the mounts below it too.
                    MountBindOptionsPropagationEnum::PRIVATE
                } else {
                    MountBindOptionsPropagationEnum::RPRIVATE
                };
                // Later mounts below it, on either side, do not propagate.
                let options = MountBindOptions {
                    propagation: Some(propagation),
                    // Other mounts of the host below it are not part of the workspace.
                    non_recursive: Some(true),
                    ..MountBindOptions::default()
                };
                (MountType::BIND, path, Some(options))
            }
        };
        Mount {
            target: Some(WORKSPACE.to_owned()),
            source: Some(source.clone()),
            typ: Some(typ),
            bind_options,
            ..Mount::default()
        }
    }
}

/// The Engine's integers are signed; our limits are far below their maximum.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
