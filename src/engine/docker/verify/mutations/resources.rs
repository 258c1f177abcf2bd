//! Files, limits and life.

use std::collections::HashMap;

use bollard::models::{
    HostConfigLogConfig, Mount, MountType, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::{Mutation, host, strings, without_ulimit};

pub(super) fn all() -> Vec<Mutation> {
    [files(), limits(), life()].concat()
}

fn files() -> Vec<Mutation> {
    vec![
        ("HostConfig.ReadonlyRootfs", |body| {
            host(body).readonly_rootfs = None
        }),
        ("HostConfig.Binds", |body| {
            host(body).binds = strings(&["/etc:/host:ro"])
        }),
        ("HostConfig.VolumesFrom", |body| {
            host(body).volumes_from = strings(&["other"])
        }),
        ("HostConfig.Mounts./more", |body| {
            let mount = Mount {
                target: Some("/more".to_owned()),
                source: Some("/etc".to_owned()),
                typ: Some(MountType::BIND),
                read_only: Some(true),
                ..Mount::default()
            };
            host(body).mounts.get_or_insert_default().push(mount);
        }),
        ("HostConfig.Mounts./workspace", |body| {
            for mount in host(body).mounts.iter_mut().flatten() {
                mount.source = mount.source.take().map(|source| source + "-other");
            }
        }),
        ("HostConfig.Mounts./workspace", |body| {
            for mount in host(body).mounts.iter_mut().flatten() {
                mount.volume_options.get_or_insert_default().no_copy = None;
            }
        }),
        ("HostConfig.Tmpfs./tmp", |body| host(body).tmpfs = None),
        ("HostConfig.Tmpfs./tmp", |body| {
            for options in host(body).tmpfs.iter_mut().flat_map(HashMap::values_mut) {
                *options = options.replace("nosuid", "suid");
            }
        }),
        ("HostConfig.Tmpfs./tmp", |body| {
            for options in host(body).tmpfs.iter_mut().flat_map(HashMap::values_mut) {
                *options = options.replace("size=128m", "size=128g");
            }
        }),
        ("HostConfig.Tmpfs./etc", |body| {
            let tmpfs = host(body).tmpfs.get_or_insert_default();
            tmpfs.insert("/etc".to_owned(), "rw".to_owned());
        }),
        // An image with a VOLUME that no tmpfs covers.
        ("Mounts./data", |body| body.volumes = strings(&["/data"])),
    ]
}

fn limits() -> Vec<Mutation> {
    vec![
        ("HostConfig.Memory", |body| {
            host(body).memory = None;
            host(body).memory_swap = None;
        }),
        ("HostConfig.MemorySwap", |body| {
            host(body).memory_swap = None
        }),
        ("HostConfig.MemorySwap", |body| {
            host(body).memory_swap = Some(-1)
        }),
        ("HostConfig.NanoCpus", |body| host(body).nano_cpus = None),
        ("HostConfig.PidsLimit", |body| host(body).pids_limit = None),
        ("HostConfig.PidsLimit", |body| {
            host(body).pids_limit = Some(-1)
        }),
        ("HostConfig.Ulimits.core", |body| {
            without_ulimit(body, "core")
        }),
        ("HostConfig.Ulimits.nofile", |body| {
            without_ulimit(body, "nofile")
        }),
        ("HostConfig.Ulimits.fsize", |body| {
            without_ulimit(body, "fsize")
        }),
        ("HostConfig.Ulimits.memlock", |body| {
            without_ulimit(body, "memlock")
        }),
        ("HostConfig.Ulimits.rtprio", |body| {
            host(body)
                .ulimits
                .get_or_insert_default()
                .push(ResourcesUlimits {
                    name: Some("rtprio".to_owned()),
                    soft: Some(99),
                    hard: Some(99),
                });
        }),
        ("HostConfig.OomKillDisable", |body| {
            host(body).oom_kill_disable = Some(true)
        }),
        ("HostConfig.OomScoreAdj", |body| {
            host(body).oom_score_adj = Some(-500)
        }),
        ("HostConfig.CpuRealtimeRuntime", |body| {
            host(body).cpu_realtime_runtime = Some(95_000)
        }),
    ]
}

fn life() -> Vec<Mutation> {
    vec![
        ("HostConfig.Init", |body| host(body).init = None),
        ("HostConfig.Init", |body| host(body).init = Some(true)),
        ("HostConfig.LogConfig", |body| host(body).log_config = None),
        ("HostConfig.LogConfig", |body| {
            let typ = Some("json-file".to_owned());
            host(body).log_config = Some(HostConfigLogConfig { typ, config: None });
        }),
        ("HostConfig.RestartPolicy", |body| {
            host(body).auto_remove = None;
            host(body).restart_policy = Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::ALWAYS),
                maximum_retry_count: None,
            });
        }),
        ("HostConfig.AutoRemove", |body| {
            host(body).auto_remove = None
        }),
    ]
}
