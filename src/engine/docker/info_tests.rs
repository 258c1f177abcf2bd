use super::*;
use crate::engine::capabilities::as_the_engine_writes;

/// Else doctor and the floor of the disk would measure a directory that an older Engine left
/// here.
#[test]
fn an_engine_in_a_virtual_machine_is_not_on_this_machine() {
    let here = rustix::system::uname();
    let text = |it: &std::ffi::CStr| it.to_string_lossy().into_owned();
    let on = |name: String, kernel: String| {
        let info = SystemInfo {
            name: Some(name),
            kernel_version: Some(kernel),
            ..SystemInfo::default()
        };
        Capabilities::from(info).is_on_this_machine()
    };
    let name = || text(here.nodename());
    let kernel = as_the_engine_writes(&text(here.release()));
    assert!(on(name(), kernel.clone()));
    assert!(!on("docker-desktop".to_owned(), kernel));
    assert!(!on(name(), "6.10.14-linuxkit".to_owned()));
}

#[test]
fn limits_that_the_engine_does_not_name_are_missing() {
    let mut info = SystemInfo {
        memory_limit: Some(true),
        cpu_cfs_quota: Some(true),
        pids_limit: Some(true),
        ..SystemInfo::default()
    };
    let missing = |info: &SystemInfo| Capabilities::from(info.clone()).missing_limits();
    assert!(missing(&info).is_empty());
    (info.memory_limit, info.pids_limit) = (Some(false), None);
    assert_eq!(missing(&info), ["memory", "processes"]);
    info.cpu_cfs_quota = None;
    assert_eq!(missing(&info), ["memory", "CPU time", "processes"]);
}

#[test]
fn podmans_limits_are_those_of_its_controllers() {
    let with = |rootless, cgroup_version, controllers: &[&str]| {
        let info = SystemInfo {
            memory_limit: Some(true),
            pids_limit: Some(true),
            cpu_cfs_quota: Some(cgroup_version == 1),
            security_options: Some(vec!["name=apparmor".to_owned()]),
            ..SystemInfo::default()
        };
        let engine = Capabilities {
            kind: EngineKind::Podman,
            rootless,
            cgroup_version,
            ..Capabilities::from(info)
        };
        let engine = engine.with_podmans_own(&PodmanHost {
            apparmor: false,
            controllers: controllers.iter().map(ToString::to_string).collect(),
        });
        assert!(engine.memory_limit || !engine.swap_limit);
        assert!(!engine.apparmor, "its word in Docker's API is the kernel's");
        engine.missing_limits()
    };
    let all = ["cpu", "memory", "pids"];
    assert_eq!(with(true, 2, &all), [""; 0]);
    assert_eq!(with(false, 2, &all), [""; 0]);
    assert_eq!(with(true, 2, &["memory", "pids"]), ["CPU time"]);
    assert_eq!(with(true, 2, &[]).len(), 3);
    assert_eq!(with(true, 1, &all).len(), 3);
    assert_eq!(with(false, 1, &[]), [""; 0]);
}

#[test]
fn a_kernels_release_is_compared_as_the_engine_writes_it() {
    for (release, written) in [
        ("6.1.0-18-amd64", "6.1.0-18-amd64"),
        ("6.12.57+deb13-amd64", "6.12.57+deb13-amd64"),
        (
            "5.15.153.1-microsoft-standard-WSL2",
            "5.15.153.1-microsoft-standard-WSL2",
        ),
        ("3.12-1-amd64", "3.12.0-1-amd64"),
        ("6.12", "6.12.0"),
    ] {
        assert_eq!(as_the_engine_writes(release), written);
    }
}

#[test]
fn a_runtime_is_there_by_its_name_and_gvisors_tells_its_platform() {
    let features = r#"{"annotations": {"dev.gvisor.flag.platform": "systrap"}}"#;
    let name = "org.opencontainers.runtime-spec.features".to_owned();
    let of = |status| Runtime {
        status,
        ..Runtime::default()
    };
    let runtimes = [
        ("runc".to_owned(), of(None)),
        (
            "runsc".to_owned(),
            of(Some([(name.clone(), features.to_owned())].into())),
        ),
        (
            "broken".to_owned(),
            of(Some([(name, "no JSON".to_owned())].into())),
        ),
    ];
    let host = Capabilities::from(SystemInfo {
        runtimes: Some(runtimes.into()),
        ..SystemInfo::default()
    });
    assert_eq!(
        host.platforms,
        [("runsc".to_owned(), "systrap".to_owned())].into()
    );
    assert!(host.must_have("runsc").is_ok());
    let missing = host.must_have("kata").map_err(|error| error.to_string());
    assert!(missing.is_err_and(|it| it.contains("broken, runc, runsc")));
    let podman = Capabilities {
        kind: EngineKind::Podman,
        ..host
    };
    let refused = podman.must_have("runsc").map_err(|error| error.to_string());
    assert!(refused.is_err_and(|it| it.contains("Podman")));
}
