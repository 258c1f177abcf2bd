use casemate_protocol::Ulimit;
use serde_json::json;

use super::*;
use crate::engine::EngineKind;

const MEMORY: u64 = 512 << 20;

fn stored() -> Value {
    json!({
        "Config": { "User": "65536:65536" },
        "HostConfig": {
            "Memory": MEMORY, "MemorySwap": MEMORY, "PidsLimit": 256, "NanoCpus": 500_000_000,
            "ShmSize": 64 << 20,
            "Tmpfs": { "/tmp": "rw,size=128m,mode=1777", "/run": "ro,size=16m" },
            "Ulimits": [
                { "Name": "RLIMIT_NOFILE", "Soft": 4096, "Hard": 4096 },
                { "Name": "RLIMIT_NPROC", "Soft": 9, "Hard": 9 },
            ],
        },
    })
}

fn mount(path: &str, file_system: &str, read_only: bool, size: Option<u64>) -> MountedAt {
    MountedAt {
        path: path.to_owned(),
        file_system: file_system.to_owned(),
        read_only,
        size,
    }
}

/// What a kernel shows where everything holds.
fn inside() -> Confinement {
    Confinement {
        capabilities: 0,
        no_new_privileges: true,
        uid: 65_536,
        gid: 65_536,
        memory: Some(MEMORY),
        memory_and_swap: Some(MEMORY),
        pids: Some(256),
        nano_cpus: Some(500_000_000),
        interfaces: Vec::new(),
        ulimits: vec![Ulimit {
            name: "nofile".to_owned(),
            hard: 4096,
        }],
        mounts: vec![
            mount("/", "overlay", true, None),
            mount("/tmp", "tmpfs", false, Some(128 << 20)),
            mount("/run", "tmpfs", true, Some(16 << 20)),
            mount("/dev", "tmpfs", false, Some(64 << 20)),
            mount("/dev/shm", "tmpfs", false, Some(64 << 20)),
            mount(WORKSPACE, "ext4", false, None),
        ],
        unmasked: Vec::new(),
        label: String::new(),
    }
}

fn engine(change: impl FnOnce(&mut Capabilities)) -> Capabilities {
    let mut engine = Capabilities {
        kind: EngineKind::Podman,
        swap_limit: true,
        ..Capabilities::from(bollard::models::SystemInfo::default())
    };
    change(&mut engine);
    engine
}

#[test]
fn what_holds_is_not_named() {
    assert_eq!(unreal(&stored(), Some(&inside()), &engine(|_| {})), [""; 0]);
}

#[test]
fn an_init_that_says_nothing_is_not_trusted() {
    assert_eq!(unreal(&stored(), None, &engine(|_| {})).len(), 1);
}

#[test]
fn each_protection_that_is_not_real_is_named() {
    type Change = fn(&mut Confinement);
    let changes: [(&str, Change); 20] = [
        ("no capabilities", |it| it.capabilities = 1 << 21),
        ("no new privileges", |it| it.no_new_privileges = false),
        ("the user", |it| it.uid = 0),
        ("the user", |it| it.gid = 0),
        ("no network", |it| it.interfaces.push("eth0".to_owned())),
        ("masked paths", |it| {
            it.unmasked.push("/proc/keys".to_owned())
        }),
        ("the limit of memory (", |it| it.memory = None),
        ("the limit of memory (", |it| it.memory = Some(MEMORY + 1)),
        ("the limit of memory (", |it| {
            it.memory = Some(MEMORY - PAGE)
        }),
        ("the limit of memory with swap", |it| {
            it.memory_and_swap = None
        }),
        ("the limit of processes", |it| it.pids = None),
        ("the limit of processes", |it| it.pids = Some(257)),
        ("the limit of CPUs", |it| it.nano_cpus = None),
        ("the limit of CPUs", |it| it.nano_cpus = Some(1_000_000_000)),
        ("the limit nofile", |it| it.ulimits.clear()),
        ("the limit nofile", |it| it.ulimits[0].hard = 4097),
        ("the read-only root", |it| it.mounts[0].read_only = false),
        ("nothing writable at /tmp", |it| it.mounts[1].size = None),
        ("nothing writable at /run", |it| {
            it.mounts[2].read_only = false
        }),
        ("the size of /dev/shm", |it| {
            it.mounts[4].size = Some(1 << 30)
        }),
    ];
    for (named, change) in changes {
        let mut inside = inside();
        change(&mut inside);
        let mut found = unreal(&stored(), Some(&inside), &engine(|_| {}));
        // /run has a size that was asked for, and is asked for read-only.
        if named.ends_with("/run") {
            inside.mounts[2].size = None;
            found = unreal(&stored(), Some(&inside), &engine(|_| {}));
        }
        assert_eq!(found.len(), 1, "{named}: {found:?}");
        assert!(found[0].starts_with(named), "{named}: {found:?}");
    }
}

#[test]
fn a_writable_file_system_that_nobody_asked_for_is_named() {
    let mut inside = inside();
    inside.mounts.push(mount("/var/tmp", "tmpfs", false, None));
    let found = unreal(&stored(), Some(&inside), &engine(|_| {}));
    assert_eq!(
        found,
        ["nothing writable at /var/tmp (tmpfs, without a size)"]
    );
}

#[test]
fn what_the_kernel_cannot_do_is_asked_only_where_it_can() {
    let mut inside = inside();
    inside.memory_and_swap = None;
    let no_swap = engine(|engine| engine.swap_limit = false);
    assert_eq!(unreal(&stored(), Some(&inside), &no_swap), [""; 0]);
    let apparmor = engine(|engine| engine.apparmor = true);
    inside.memory_and_swap = Some(MEMORY);
    assert_eq!(
        unreal(&stored(), Some(&inside), &apparmor),
        ["AppArmor (its label is \"\")"]
    );
    "containers-default-0.67.1 (enforce)".clone_into(&mut inside.label);
    assert_eq!(unreal(&stored(), Some(&inside), &apparmor), [""; 0]);
}

#[test]
fn a_size_is_read_as_podman_stores_it() {
    for (text, read) in [
        ("128m", Some(128 << 20)),
        ("64k", Some(64 << 10)),
        ("1g", Some(1 << 30)),
        ("7", Some(7)),
        ("7x", None),
        ("", None),
    ] {
        assert_eq!(bytes(text), read, "{text}");
    }
}
