//! What the kernel shows PID 1 of a Pod, against what a Pod of ours is. Pure.
//!
//! An image may have VOLUMEs, which a runtime covers with directories of the node that no quota counts;
//! nobody but the kernel shows those.

use casemate_protocol::{Confinement, MountedAt, WORKSPACE};

/// In memory that is charged to the Pod, or the kernel's own.
const IN_MEMORY: [&str; 8] = [
    "tmpfs", "devtmpfs", "devpts", "mqueue", "proc", "sysfs", "cgroup", "cgroup2",
];

/// What is missing, each with what the kernel shows.
pub fn unreal(inside: Option<&Confinement>) -> Vec<String> {
    let Some(inside) = inside else {
        return vec!["casemate-init is too old to say what the kernel shows it".to_owned()];
    };
    let mut unreal = Vec::new();
    let mut say = |is_missing: bool, what: String| {
        if is_missing {
            unreal.push(what);
        }
    };
    let bits = inside.capabilities;
    say(bits != 0, format!("no capabilities (it has {bits:#x})"));
    say(!inside.no_new_privileges, "no new privileges".to_owned());
    say(
        inside.uid == 0 || inside.gid == 0,
        "a user and a group that are not root's".to_owned(),
    );
    say(inside.memory.is_none(), "a limit of memory".to_owned());
    say(inside.nano_cpus.is_none(), "a limit of CPU time".to_owned());
    say(
        !inside.unmasked.is_empty(),
        format!("masked paths ({} are not)", inside.unmasked.join(" ")),
    );
    let writable = inside.mounts.iter().filter(|mount| is_foreign(mount));
    for mount in writable {
        say(
            true,
            format!("a read-only {} ({})", mount.path, mount.file_system),
        );
    }
    unreal
}

/// A disk of the node that can be written and is not the workspace. The files that the kubelet mounts are
/// closed to the user: for the last words of the container that is the directory they are in.
fn is_foreign(mount: &MountedAt) -> bool {
    !mount.read_only && mount.path != WORKSPACE && !IN_MEMORY.contains(&mount.file_system.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::pod::TERMINATION_LOG;
    use super::*;

    fn mount(path: &str, file_system: &str, read_only: bool) -> MountedAt {
        MountedAt {
            path: path.to_owned(),
            file_system: file_system.to_owned(),
            read_only,
            size: None,
        }
    }

    fn confined() -> Confinement {
        Confinement {
            no_new_privileges: true,
            uid: 70_000,
            gid: 70_000,
            memory: Some(512 << 20),
            nano_cpus: Some(1_000_000_000),
            mounts: vec![
                mount("/", "overlay", true),
                mount("/workspace", "ext4", false),
                mount("/tmp", "tmpfs", false),
                mount("/etc/hosts", "ext4", true),
                mount(TERMINATION_LOG, "ext4", true),
                mount("/sys/fs/cgroup", "tmpfs", false),
            ],
            ..Confinement::default()
        }
    }

    #[test]
    fn a_pod_of_ours_is_as_the_kernel_shows_it() {
        assert_eq!(unreal(Some(&confined())), Vec::<String>::new());
        assert_eq!(unreal(None).len(), 1);
    }

    type Mutation = fn(&mut Confinement);

    #[test]
    fn each_protection_that_the_kernel_does_not_show_is_named() {
        let cases: [(Mutation, &str); 11] = [
            (
                |c| c.capabilities = 1 << 21,
                "capabilities (it has 0x200000)",
            ),
            (|c| c.no_new_privileges = false, "no new privileges"),
            (|c| c.uid = 0, "not root"),
            (|c| c.gid = 0, "not root"),
            (|c| c.memory = None, "memory"),
            (|c| c.nano_cpus = None, "CPU"),
            (
                |c| c.unmasked = vec!["/proc/kcore".to_owned()],
                "/proc/kcore",
            ),
            (|c| c.mounts[0].read_only = false, "a read-only / (overlay)"),
            (
                |c| c.mounts.push(mount("/data", "ext4", false)),
                "/data (ext4)",
            ),
            (|c| c.mounts[3].read_only = false, "/etc/hosts (ext4)"),
            // An image whose /root is open.
            (|c| c.mounts[4].read_only = false, "/root/.casemate-end"),
        ];
        for (mutate, named) in cases {
            let mut changed = confined();
            mutate(&mut changed);
            let found = unreal(Some(&changed));
            assert!(
                found.len() == 1 && found[0].contains(named),
                "{named}: {found:?}"
            );
        }
    }
}
