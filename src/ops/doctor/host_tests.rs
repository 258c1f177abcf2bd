use std::collections::BTreeMap;

use super::super::Severity;
use super::*;
use crate::engine::EngineKind;

/// A host without a fault.
pub(in crate::ops::doctor) fn good() -> Capabilities {
    Capabilities {
        apparmor: true,
        selinux: false,
        seccomp: true,
        rootless: false,
        user_namespaces: true,
        kind: EngineKind::Docker,
        swap_limit: true,
        memory_limit: true,
        cpu_limit: true,
        pids_limit: true,
        cgroup_version: 2,
        runtimes: ["kata-runtime", "runc", "runsc"].map(str::to_owned).into(),
        platforms: BTreeMap::new(),
        default_runtime: "kata-runtime".to_owned(),
        cpus: 2,
        memory: 1 << 30,
        storage_driver: "overlay2".to_owned(),
        root_dir: "/var/lib/docker".to_owned(),
        os: "linux".to_owned(),
        host_name: String::new(),
        kernel: String::new(),
    }
}

#[test]
fn a_host_without_a_fault_has_none() {
    let found = judge(&good());
    assert_eq!(found.len(), 7);
    assert!(
        found
            .iter()
            .all(|finding| finding.level == Severity::Ok && finding.fix.is_none()),
        "{found:#?}"
    );
}

#[test]
fn each_fault_is_told_at_its_level_and_what_is_worse_than_a_note_with_a_fix() {
    type Fault = fn(&mut Capabilities);
    let faults: [(&str, Severity, Fault); 11] = [
        ("storage", Severity::Warning, |host| {
            host.storage_driver = "vfs".to_owned()
        }),
        ("cgroups", Severity::Error, |host| host.memory_limit = false),
        ("cgroups", Severity::Error, |host| host.cpu_limit = false),
        ("cgroups", Severity::Error, |host| host.pids_limit = false),
        ("cgroups", Severity::Note, |host| host.cgroup_version = 1),
        ("swap", Severity::Warning, |host| host.swap_limit = false),
        ("seccomp", Severity::Error, |host| host.seccomp = false),
        ("lsm", Severity::Note, |host| host.apparmor = false),
        ("users", Severity::Note, |host| host.user_namespaces = false),
        ("runtime", Severity::Warning, |host| {
            host.default_runtime = "runsc".to_owned()
        }),
        ("runtime", Severity::Note, |host| {
            host.default_runtime = "runc".to_owned()
        }),
    ];
    for (check, level, fault) in faults {
        let mut host = good();
        fault(&mut host);
        let found = judge(&host);
        let bad: Vec<_> = found
            .iter()
            .filter(|finding| finding.level > Severity::Ok)
            .collect();
        assert_eq!(bad.len(), 1, "{check}: {found:#?}");
        assert_eq!((bad[0].check, bad[0].level), (check, level));
        assert_eq!(bad[0].fix.is_some(), level > Severity::Note, "{check}");
    }
}

#[test]
fn selinux_and_a_rootless_engine_are_as_good() {
    let mut host = good();
    (host.apparmor, host.selinux) = (false, true);
    (host.user_namespaces, host.rootless) = (false, true);
    assert!(
        judge(&host)
            .iter()
            .all(|finding| finding.level == Severity::Ok)
    );
}

#[test]
fn a_disk_is_judged_by_what_is_to_stay_free() {
    const GIB: u64 = 1 << 30;
    for (free, floor, level) in [
        (100 * GIB, GIB, Severity::Ok),
        (2 * GIB, GIB, Severity::Ok),
        (2 * GIB - 2, GIB, Severity::Warning),
        (GIB, GIB, Severity::Warning),
        (GIB - 1, GIB, Severity::Error),
        (GIB, 0, Severity::Warning),
    ] {
        let found = free_space(free, floor);
        assert_eq!(found.level, level, "{free} of {floor}: {found:?}");
        assert_eq!(found.fix.is_some(), level > Severity::Ok);
    }
    assert_eq!(unseen_disk(GIB).level, Severity::Note);
    assert_eq!(unseen_disk(0).level, Severity::Warning);
    let found = free_space(5 * GIB, GIB).found;
    assert!(
        found.starts_with("5g of the Engine's disk are free"),
        "{found}"
    );
}
