//! A Pod for the unit tests of this backend.

use super::key::Secret;
use super::pod::{PodFacts, PodMaker};
use crate::config::{Config, KubernetesSettings, MapEnvironment, SettingsArgs};
use crate::engine::{ContainerSpec, EngineKind, Labels, Limits, PreparedImage, RunAs, Workspace};

/// The defaults.
pub fn settings() -> KubernetesSettings {
    let environment = MapEnvironment {
        os_user: "ada".to_owned(),
        ..MapEnvironment::default()
    };
    let config = Config::load(SettingsArgs::default(), &environment);
    config.expect("the defaults are valid").kubernetes
}

pub fn maker() -> PodMaker {
    PodMaker {
        settings: settings(),
        secret: Secret::of_test(),
        unreachable: vec!["169.254.169.254:80".parse().expect("an address")],
        cluster: vec!["10.0.0.1:443".parse().expect("an address")],
    }
}

pub fn facts() -> PodFacts {
    PodFacts {
        name: "casemate-default-ada-0123456789ab".to_owned(),
        nonce: "a-nonce".to_owned(),
        last_node: Some("node1".to_owned()),
        cluster: vec!["10.0.0.1:443".to_owned()],
    }
}

pub fn spec() -> ContainerSpec {
    ContainerSpec {
        image: PreparedImage {
            id: "registry.example.com/tools:1".to_owned(),
            tag: "registry.example.com/tools:1".to_owned(),
            from: "registry.example.com/tools:1".to_owned(),
            base_id: "registry.example.com/tools:1".to_owned(),
            files_digest: "2".to_owned(),
            env: Vec::new(),
            volumes: vec!["/covered".to_owned()],
        },
        run_as: RunAs::with_uid(70_000).expect("a user"),
        labels: Labels {
            instance: "default".to_owned(),
            user: "ada/lovelace".to_owned(),
            issuer: "local".to_owned(),
            workspace: None,
            group: Some("staff".to_owned()),
            mode: "persistent".to_owned(),
            version: "0.1.0".to_owned(),
            node: "server-0".to_owned(),
            epoch: 0,
            since: "2026-01-01T00:00:00Z".to_owned(),
        },
        init_args: vec!["--idle-timeout-ms=900000".to_owned()],
        workspace: Workspace::Volume("casemate-default-ada-0123456789ab".to_owned()),
        volume_size: Some(1 << 30),
        made_for: "a-making".to_owned(),
        limits: Limits {
            memory: 512 << 20,
            nano_cpus: 1_000_000_000,
            pids: 256,
            file_size: 2 << 30,
        },
        runtime: String::new(),
        separate_init: false,
        shared: Vec::new(),
        apparmor: false,
        swap_limit: false,
        engine: EngineKind::Kubernetes,
    }
}
