//! The directories that can be written, and where they are stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{output, python};
use crate::harness::{TestServer, docker};

const FIND_WRITABLE: &str = r#"
import errno, json, os, stat

def refused(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]

writable, block_devices = [], []
for place, directories, files in os.walk("/"):
    if place == "/":
        directories[:] = [name for name in directories if name not in ("proc", "sys")]
    if os.access(place, os.W_OK):
        writable.append(place)
    for path in (os.path.join(place, name) for name in files):
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) and os.access(path, os.W_OK):
            writable.append(path)
        if stat.S_ISBLK(mode):
            block_devices.append(path)

files = ["/new", "/etc/new", "/etc/passwd", "/usr/bin/new", "/usr/bin/env", "/casemate-init", "/etc/resolv.conf", "/etc/hosts",
    "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches"]
directories = ["/new", "/sys/fs/cgroup/new", "/sys/fs/cgroup/memory/new", "/sys/kernel/new", "/proc/new"]
if_there = [f"/sys/fs/cgroup/{name}" for name in ("memory/memory.limit_in_bytes", "pids/pids.max", "cgroup.procs", "memory.max")]
if_there.append("/proc/sysrq-trigger")
print(json.dumps({
    "writable": sorted(writable),
    "block_devices": block_devices,
    "refused": {path: refused(lambda: open(path, "ab")) for path in files}
        | {path: refused(lambda: open(path, "r+b")) for path in if_there if os.path.exists(path)}
        | {path + "/": refused(lambda: os.mkdir(path)) for path in directories if os.path.exists(os.path.dirname(path))},
    "mounts": [line.split() for line in open("/proc/self/mountinfo")],
}))
"#;

/// File systems that store no files on a disk: the kernel's own, and memory.
const WITHOUT_A_DISK: [&str; 8] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "tmpfs",
    "devpts",
    "mqueue",
    "securityfs",
];

/// One line of /proc/self/mountinfo (proc(5)).
struct Mount {
    point: String,
    options: String,
    kind: String,
    super_options: String,
}

impl Mount {
    fn parse(fields: &[String]) -> Self {
        let separator = fields
            .iter()
            .position(|field| field == "-")
            .expect("a separator");
        Self {
            point: fields[4].clone(),
            options: fields[5].clone(),
            kind: fields[separator + 1].clone(),
            super_options: fields[separator + 3].clone(),
        }
    }

    fn has(&self, option: &str) -> bool {
        self.options
            .split(',')
            .chain(self.super_options.split(','))
            .any(|found| found == option)
    }
}

/// Those that every container has (OCI runtime specification, config-linux, default devices).
const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// On cgroup version 1 crun mounts the cgroups on a tmpfs of 1 MiB that everybody may write.
fn is_cruns_cgroup_writable() -> bool {
    docker::is_podman() && docker::output(&["info", "--format", "{{.CgroupVersion}}"]) == "1"
}

#[tokio::test]
async fn only_the_workspace_and_memory_can_be_written() {
    let server = TestServer::new().start().await;
    let found = python(&server, FIND_WRITABLE).await;
    let writable: BTreeSet<String> =
        serde_json::from_value(found["writable"].clone()).expect("paths");
    let outside: Vec<_> = writable
        .iter()
        .filter(|path| !path.starts_with("/workspace"))
        .collect();
    let queues = (!docker::on_gvisor()).then_some("/dev/mqueue");
    let memory: Vec<_> = queues.into_iter().chain(["/dev/shm", "/tmp"]).collect();
    assert_eq!(outside, memory);
    assert!(writable.contains("/workspace"));
    assert_eq!(found["block_devices"], json!([]));
    for (path, answer) in found["refused"].as_object().expect("paths") {
        let refusals = ["EROFS", "EACCES", "EPERM", "ENOENT"].map(Value::from);
        let is_cruns = path == "/sys/fs/cgroup/new/" && is_cruns_cgroup_writable();
        assert!(refusals.contains(answer) != is_cruns, "{path}: {answer}");
    }

    let mounts: Vec<Vec<String>> = serde_json::from_value(found["mounts"].clone()).expect("mounts");
    let mounts: Vec<Mount> = mounts.iter().map(|fields| Mount::parse(fields)).collect();
    let on_a_disk = |mount: &&Mount| !WITHOUT_A_DISK.contains(&mount.kind.as_str());
    for mount in mounts.iter().filter(on_a_disk) {
        // Podman also mounts the accounts.
        let engines = [
            "/",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts",
            "/etc/passwd",
            "/etc/group",
        ]
        .contains(&mount.point.as_str());
        // In a user namespace nobody makes devices, so the Engine mounts its own, and its /dev/null
        // over what is masked.
        let is_masked = ["/proc/", "/sys/"]
            .iter()
            .any(|below| mount.point.starts_with(below));
        let is_device =
            mount.kind == "devtmpfs" && (is_masked || DEVICES.contains(&mount.point.as_str()));
        // gVisor's is memory; that it cannot be written is found above.
        let is_device = is_device || docker::on_gvisor() && mount.point == "/dev";
        let read_only = mount.options.split(',').any(|option| option == "ro");
        assert!(
            mount.point == "/workspace" || engines && read_only || is_device,
            "{}: {}",
            mount.point,
            mount.options
        );
    }
    let tmp = mounts
        .iter()
        .find(|mount| mount.point == "/tmp")
        .expect("/tmp");
    assert_eq!(tmp.kind, "tmpfs");
    // Podman refuses a number of inodes; their memory is charged to the sandbox. gVisor shows none, and has
    // no devices that a file could be.
    let has_inodes = !docker::is_podman() && !docker::on_gvisor();
    let inodes = has_inodes.then_some("nr_inodes=16384");
    let no_devices = (!docker::on_gvisor()).then_some("nodev");
    for option in ["rw", "nosuid", "size=131072k"]
        .into_iter()
        .chain(inodes)
        .chain(no_devices)
    {
        assert!(
            tmp.has(option),
            "/tmp: {},{}",
            tmp.options,
            tmp.super_options
        );
    }
    assert_eq!(
        output(
            &server,
            "cp /bin/echo /tmp/run && /tmp/run it runs; stat -c %a /tmp"
        )
        .await,
        "it runs\n1777"
    );

    let container = docker::inspect("container", &server.instance.container());
    let volumes = container["Mounts"].as_array().expect("mounts");
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    assert_eq!(volumes[0]["Type"], "volume");
    assert_eq!(volumes[0]["Destination"], "/workspace");
    assert_eq!(volumes[0]["Name"], server.instance.volumes()[0].as_str());
}
