//! What code in a sandbox can see and do (SECURITY.md, cases 1 to 4, 6 and 23):
//! asked of the kernel from inside, by user code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{CallResult, Server, TestServer, docker, eventually};

/// Asks the kernel for each system call; prints name -> errno as JSON.
const PROBE: &str = include_str!("probe.py");

/// Runs a Python script that prints JSON.
async fn python(server: &Server, script: &str) -> Value {
    let result = with_stdin(server, "python3 -", script).await;
    let answer = serde_json::from_str(result.stdout());
    answer.unwrap_or_else(|error| panic!("{error}: {}", result.0))
}

async fn with_stdin(server: &Server, command: &str, stdin: &str) -> CallResult {
    server
        .call("shell_exec", json!({ "command": command, "stdin": stdin }))
        .await
}

/// What a command prints. Panics when it fails.
async fn output(server: &Server, command: &str) -> String {
    let result = server.shell(command).await;
    assert_eq!(result.exit_code(), 0, "{command}: {}", result.0);
    result.stdout().trim_end().to_owned()
}

/// Processes inside besides Casemate's own and the one that looks.
async fn processes(server: &Server) -> Vec<String> {
    let listed = output(server, "exec ps -eo args=").await;
    let ours = |line: &&str| line.starts_with("/casemate-init ") || *line == "ps -eo args=";
    listed
        .lines()
        .map(str::trim_end)
        .filter(|line| !ours(line))
        .map(str::to_owned)
        .collect()
}

/// PID 1 is the same as before and answers.
async fn pid_1_lives(server: &Server, container: &str) {
    let result = server.shell("grep State /proc/1/status").await;
    let state = result.stdout().strip_prefix("State:\t");
    // Running or asleep; not stopped, traced or dead (proc(5)).
    let alive = state.is_some_and(|state| state.starts_with(['R', 'S', 'D']));
    assert!(alive, "{}", result.0);
    assert!(result.field("sandbox").is_null(), "{}", result.0);
    assert_eq!(server.instance.container(), container);
}

// Case 1.

#[tokio::test]
async fn a_command_has_no_privileges_and_gets_none_from_setuid_programs() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let uid = server.instance.uid();
    assert!(uid.parse::<u32>().is_ok_and(|uid| uid >= 65_536), "{uid}");
    for process in ["self", "1", "$PPID"] {
        let status = output(&server, &format!("cat /proc/{process}/status")).await;
        let status: BTreeMap<&str, &str> = status
            .lines()
            .filter_map(|line| {
                line.split_once(':')
                    .map(|(name, value)| (name, value.trim()))
            })
            .collect();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set} of {process}");
        }
        assert_eq!(status["NoNewPrivs"], "1", "{process}");
        assert_eq!(status["Seccomp"], "2", "{process}");
        for ids in ["Uid", "Gid"] {
            assert_eq!(status[ids], [&*uid; 4].join("\t"), "{ids} of {process}");
        }
        assert!(
            ["", &uid].contains(&status["Groups"]),
            "groups of {process}: {}",
            status["Groups"]
        );
    }

    // What user code cannot make itself, root does for it: shells that belong to root, one on a
    // file system with nosuid and one, where the directory allows it, on one without.
    let container = server.instance.container();
    for (directory, as_root) in [
        ("/tmp", docker::exec as fn(&str, &str) -> String),
        ("/workspace", docker::beside),
    ] {
        let shell = format!("{directory}/root-shell");
        as_root(
            &container,
            &format!("cp /bin/bash {shell} && chmod 6755 {shell}"),
        );
        assert_eq!(
            output(&server, &format!("stat -c '%u %g %a' {shell}")).await,
            "0 0 6755"
        );
        let ids = output(
            &server,
            &format!("{shell} -p -c 'id -u; id -g; grep CapEff /proc/self/status'"),
        )
        .await;
        assert_eq!(
            ids,
            format!("{uid}\n{uid}\nCapEff:\t0000000000000000"),
            "{shell}"
        );
    }
    let own = "cp /bin/bash own && chmod 6755 own && ./own -p -c 'id -u; id -g'";
    assert_eq!(output(&server, own).await, format!("{uid}\n{uid}"));
}

// Case 2.

/// EPERM: system calls that no sandbox needs.
const REFUSED: &[&str] = &[
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "io_setup",
    "io_destroy",
    "io_submit",
    "io_cancel",
    "io_getevents",
    "io_pgetevents",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "unshare",
    "setns",
    "clone_newuser",
    "clone_newuser_high",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "fsopen",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fanotify_init",
    "open_by_handle_at",
    "pidfd_getfd",
    "process_madvise",
    "kcmp",
    "syslog",
    "init_module",
    "kexec_load",
    "reboot",
    "swapon",
    "acct",
    "quotactl",
    "settimeofday",
    "sethostname",
    "mbind",
    "move_pages",
    "no_aslr",
    "mknod_device",
    "prlimit_pid1",
    "prlimit_pid1_high",
    "prlimit_pid1_thread",
    "prlimit_other_thread",
    "setpriority_pid1",
    "setpriority_pid1_high",
    "setpriority_pid1_thread",
    "sched_setparam_pid1",
    "sched_setparam_pid1_high",
    "sched_setparam_pid1_thread",
    "sched_setscheduler_pid1",
    "sched_setscheduler_pid1_high",
    "sched_setscheduler_pid1_thread",
    "sched_idle_own_id",
    "sched_idle_high_own_id",
    "sched_batch_own_id",
    "sched_other_reset_own_id",
    "sched_setattr_pid1",
    "sched_setattr_pid1_high",
    "sched_setattr_pid1_thread",
    "ioprio_set_pid1",
    "ioprio_set_pid1_high",
    "ioprio_set_pid1_thread",
    "setpriority_user",
    "setpriority_user_high",
    "setpriority_group",
    "ioprio_set_user",
    "ioprio_set_user_high",
    "ioprio_set_group",
    "socket_unix_high",
    "socket_inet_high",
    "socket_inet6_high",
    "socketpair_inet",
    "socketpair_inet6",
    "socketpair_netlink",
    "socketpair_packet",
    "socketpair_can",
    "socketpair_tipc",
    "socketpair_alg",
    "socketpair_vsock",
];

/// EAFNOSUPPORT: programs go on without, as on a kernel that has no such sockets.
const NO_SUCH_FAMILY: &[&str] = &[
    "socket_packet",
    "socket_packet_high",
    "socket_can",
    "socket_can_high",
    "socket_tipc",
    "socket_tipc_high",
    "socket_alg",
    "socket_alg_high",
    "socket_vsock",
    "socket_vsock_high",
];

/// EINVAL: libzmq aborts after nearly every other errno.
const NO_NETLINK: &[&str] = &["socket_netlink", "socket_netlink_high"];

/// ENOSYS: programs take it as "this kernel is older" and go another way.
const UNKNOWN: &[&str] = &["clone3", "unknown_call"];

/// The gates for 32-bit programs, on x86_64 only: SIGSYS, or SIGSEGV from a kernel without them.
const FATAL: &[&str] = &[
    "int80_getpid",
    "int80_socket_vsock",
    "int80_socketcall_vsock",
    "x32_socket_vsock",
];

/// What programs need.
const ALLOWED: &[&str] = &[
    "socket_unix",
    "socket_inet",
    "socket_inet6",
    "socketpair_unix",
    "prlimit_self",
    "prlimit_self_high",
    "setpriority_self",
    "setpriority_self_high",
    "sched_setparam_self",
    "sched_setparam_self_high",
    "sched_setscheduler_self",
    "sched_setscheduler_self_high",
    "sched_other_own_id",
    "sched_setattr_self",
    "sched_setattr_self_high",
    "ioprio_set_self",
    "ioprio_set_self_high",
    "sched_setaffinity_self",
    "sched_setaffinity_self_high",
    "sched_setaffinity_pid1",
    "sched_setaffinity_pid1_high",
    "sched_setaffinity_pid1_thread",
    "setrlimit",
    "ulimit",
    "tcp_loopback",
    "thread",
    "fork_exec",
    "posix_spawn",
    "mkfifo",
    "renameat2",
    "pidfd_open_self",
    "pidfd_send_signal",
    "openat2",
    "memfd_create",
    "statx",
    "close_range",
    "getrandom",
    "faccessat2",
    "ptrace_traceme",
    "epoll_create1",
    "eventfd2",
    "inotify_init1",
    "timerfd_create",
    "personality_ask",
];

#[tokio::test]
async fn the_kernel_refuses_the_calls_that_no_sandbox_needs_and_allows_the_others() {
    let server = TestServer::new().start().await;
    let answers = python(&server, PROBE).await;
    let mut answers: BTreeMap<String, i64> =
        serde_json::from_value(answers).expect("names and numbers");
    for (names, allowed) in [
        (REFUSED, &[1][..]),
        (NO_SUCH_FAMILY, &[97]),
        (NO_NETLINK, &[22]),
        (UNKNOWN, &[38]),
        (FATAL, &[-31, -11]),
        (ALLOWED, &[0]),
    ] {
        for &name in names {
            match answers.remove(name) {
                Some(answer) => assert!(
                    allowed.contains(&answer),
                    "{name}: {answer}, not {allowed:?}"
                ),
                None => assert!(
                    FATAL.contains(&name) && cfg!(not(target_arch = "x86_64")),
                    "{name}: not probed"
                ),
            }
        }
    }
    assert!(answers.is_empty(), "probed and not expected: {answers:?}");
}

// Case 3.

const REACH_OUT: &str = r#"
import errno, json, os, socket, tempfile

def reach(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(20)
        try:
            s.connect(address)
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode[error.errno]
        return "connected"

def loopback(family, address):
    with socket.socket(family) as server, socket.socket(family) as client:
        server.bind(address)
        server.listen()
        client.connect(server.getsockname())
        client.sendall(b"ping")
        return server.accept()[0].recv(4).decode()

away = [("1.1.1.1", 443), ("169.254.169.254", 80), ("172.17.0.1", 2375), ("10.0.0.1", 22), ("192.168.0.1", 80)]
print(json.dumps({
    "away": {a[0]: reach(socket.AF_INET, kind, a) for a in away for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)}
        | {"IPv6": reach(socket.AF_INET6, socket.SOCK_STREAM, ("2606:4700:4700::1111", 443))},
    "tcp": loopback(socket.AF_INET, ("127.0.0.1", 0)),
    "unix": loopback(socket.AF_UNIX, os.path.join(tempfile.mkdtemp(), "socket")),
    "abstract": loopback(socket.AF_UNIX, "\0mine"),
}))
"#;

#[tokio::test]
async fn there_is_no_network_but_loopback() {
    let server = TestServer::new().start().await;
    let found = python(&server, REACH_OUT).await;
    assert_eq!(output(&server, "ls /sys/class/net").await, "lo");
    for (address, answer) in found["away"].as_object().expect("addresses") {
        // No route: nothing was waited for.
        let at_once = ["ENETUNREACH", "EADDRNOTAVAIL"].map(Value::from);
        assert!(at_once.contains(answer), "{address}: {answer}");
    }
    for works in ["tcp", "unix", "abstract"] {
        assert_eq!(found[works], "ping", "{works}");
    }

    // A name is not looked up anywhere either, and that is known at once (124: timeout).
    let lookup = server.shell("timeout 20 getent hosts example.com").await;
    assert_eq!(lookup.exit_code(), 2, "{}", lookup.0);
    let resolver = output(&server, "cat /etc/resolv.conf").await;
    for line in resolver.lines().filter(|line| !line.starts_with('#')) {
        let harmless = ["nameserver 127.0.0.1", "search .", ""].contains(&line)
            || line.starts_with("options ");
        assert!(harmless, "resolv.conf: {line}");
    }
}

// Case 4.

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

/// File systems without files of anybody: the kernel's own, and memory.
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
    assert_eq!(outside, ["/dev/mqueue", "/dev/shm", "/tmp"]);
    assert!(writable.contains("/workspace"));
    assert_eq!(found["block_devices"], json!([]));
    for (path, answer) in found["refused"].as_object().expect("paths") {
        let refusals = ["EROFS", "EACCES", "EPERM", "ENOENT"].map(Value::from);
        assert!(refusals.contains(answer), "{path}: {answer}");
    }

    let mounts: Vec<Vec<String>> = serde_json::from_value(found["mounts"].clone()).expect("mounts");
    let mounts: Vec<Mount> = mounts.iter().map(|fields| Mount::parse(fields)).collect();
    let on_a_disk = |mount: &&Mount| !WITHOUT_A_DISK.contains(&mount.kind.as_str());
    for mount in mounts.iter().filter(on_a_disk) {
        let engines = ["/", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"]
            .contains(&mount.point.as_str());
        let read_only = mount.options.split(',').any(|option| option == "ro");
        assert!(
            mount.point == "/workspace" || engines && read_only,
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
    for option in ["rw", "nosuid", "nodev", "size=131072k", "nr_inodes=16384"] {
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

// The limits, as the kernel has them.

#[tokio::test]
async fn the_limits_that_the_operator_set_are_the_kernels() {
    let limits = [
        ("CASEMATE_MEMORY", "300m"),
        ("CASEMATE_CPUS", "0.5"),
        ("CASEMATE_PIDS", "77"),
    ];
    let server = limits
        .iter()
        .fold(TestServer::new(), |server, (name, value)| {
            server.env(name, value)
        });
    let server = server.start().await;
    // cgroup v1, else v2.
    let cgroup =
        |v1: &str, v2: &str| format!("cd /sys/fs/cgroup; echo $(cat {v1} 2>/dev/null || cat {v2})");
    let memory = cgroup("memory/memory.limit_in_bytes", "memory.max");
    assert_eq!(
        output(&server, &memory).await,
        (300 * 1024 * 1024).to_string()
    );
    assert_eq!(
        output(&server, &cgroup("pids/pids.max", "pids.max")).await,
        "77"
    );
    let cpu = cgroup("cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us", "cpu.max");
    assert_eq!(output(&server, &cpu).await, "50000 100000");

    let limits = output(&server, "cat /proc/self/limits").await;
    let limit = |name: &str| {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect(name);
        line.split_whitespace()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(limit("Max open files"), ["4096", "4096"]);
    assert_eq!(limit("Max locked memory"), ["65536", "65536"]);
    assert_eq!(limit("Max file size"), ["2147483648", "2147483648"]);
    let too_large = server
        .shell("python3 -c 'open(\"sparse\", \"wb\").truncate(3 << 30)'")
        .await;
    assert!(
        too_large.stderr().contains("File too large"),
        "{}",
        too_large.0
    );

    let sizes = output(&server, "df --block-size=1 --output=size /tmp /dev/shm").await;
    let sizes: Vec<&str> = sizes.lines().skip(1).map(str::trim).collect();
    assert_eq!(sizes, [(128 << 20).to_string(), (64 << 20).to_string()]);
}

// What of the server and of the host is inside.

#[tokio::test]
async fn nothing_of_the_server_is_inside_and_nothing_of_the_inside_on_the_engine() {
    const SECRET: &str = "hunter2-of-the-server";
    let server = TestServer::new()
        .env("SECRET_OF_THE_SERVER", SECRET)
        .start()
        .await;
    // HOSTNAME is the Engine's; PWD, SHELL, SHLVL and _ are the shell's.
    let known = "CARGO_NET_RETRY CI DEBIAN_FRONTEND GIT_TERMINAL_PROMPT HOME HOSTNAME LANG LOGNAME LSAN_OPTIONS NODE_OPTIONS PAGER PATH \
                 PIP_DISABLE_PIP_VERSION_CHECK PIP_RETRIES PWD PYTHONUNBUFFERED SHELL SHLVL TMPDIR USER _ \
                 npm_config_fetch_retries npm_config_update_notifier";
    for name in output(&server, "env | cut -d= -f1").await.lines() {
        assert!(known.split(' ').any(|known| known == name), "{name}");
    }
    let container = server.instance.container();
    // The bridge's and PID 1's too, which only root reads.
    let all = docker::beside(
        &container,
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'",
    );
    assert!(all.contains("HOME=/workspace/.home"), "{all}");
    let stored = docker::inspect("container", &container);
    for place in [all, stored.to_string()] {
        assert!(
            !place.contains(SECRET) && !place.contains("SECRET_OF_THE_SERVER"),
            "{place}"
        );
    }

    assert_eq!(
        output(&server, "hostname; uname -n; cat /etc/hostname").await,
        "casemate\ncasemate\ncasemate"
    );
    assert_eq!(
        output(
            &server,
            "hostname -i; python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()))'"
        )
        .await,
        "127.0.0.1\n127.0.0.1"
    );
    let hosts = output(&server, "cat /etc/hosts").await;
    for line in hosts.lines() {
        let address = line.split_whitespace().next().unwrap_or_default();
        // The Engine's own lines; from version 28 on it writes "fe00::" for "fe00::0".
        let harmless = [
            "127.0.0.1",
            "::1",
            "fe00::0",
            "fe00::",
            "ff00::0",
            "ff00::",
            "ff02::1",
            "ff02::2",
            "",
        ]
        .contains(&address);
        assert!(harmless || line.starts_with('#'), "hosts: {line}");
    }

    let host = &stored["HostConfig"];
    assert_eq!(host["LogConfig"]["Type"], "none");
    assert_eq!(host["AutoRemove"], true);
    assert!(
        ["", "no"]
            .map(Value::from)
            .contains(&host["RestartPolicy"]["Name"]),
        "{host}"
    );
    assert_eq!(host["NetworkMode"], "none");
    assert_eq!(host["Privileged"], false);
    assert_eq!(stored["Config"]["Tty"], false);
}

// Case 6: PID 1, the supervisors and the bridge.

const ATTACK: &str = r#"
import ctypes, errno, json, os, shutil, socket, struct

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *args):
    ctypes.set_errno(0)
    if getattr(libc, name)(*args) == -1:
        raise OSError(ctypes.get_errno(), name)

def answer(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def write(path):
    with open(path, "wb", buffering=0) as file:
        file.write(b"1")

def vector(pid, call_name):
    buffer = ctypes.create_string_buffer(16)
    local = struct.pack("PN", ctypes.addressof(buffer), 16)
    remote = struct.pack("PN", 0x400000, 16)
    call(call_name, pid, local, 1, remote, 1, 0)

def against(pid):
    proc = f"/proc/{pid}"
    task = max(os.listdir(f"{proc}/task"), key=int)
    attempts = {
        **{f"read {name}": lambda name=name: open(f"{proc}/{name}", "rb").read(1) for name in ("mem", "environ", "auxv", "syscall", "stack", "pagemap")},
        **{f"write {name}": lambda name=name: write(f"{proc}/{name}") for name in
            ("mem", "fd/0", "fd/1", "fd/2", "comm", "oom_score_adj", "clear_refs", "timerslack_ns", f"task/{task}/comm", "attr/current", "uid_map")},
        **{f"list {name}": lambda name=name: os.listdir(f"{proc}/{name}") for name in ("fd", "fdinfo", "map_files", f"task/{task}/fd")},
        **{f"link {name}": lambda name=name: os.readlink(f"{proc}/{name}") for name in ("exe", "cwd", "root", "ns/net")},
        "open exe": lambda: open(f"{proc}/exe", "rb"),
        "root": lambda: os.listdir(f"{proc}/root/"),
        "attach": lambda: call("ptrace", 16, pid, 0, 0),
        "seize": lambda: call("ptrace", 0x4206, pid, 0, 0),
        "process_vm_readv": lambda: vector(pid, "process_vm_readv"),
        "process_vm_writev": lambda: vector(pid, "process_vm_writev"),
        "prlimit": lambda: call("prlimit", pid, 0, struct.pack("QQ", 1, 1), None),
        "prlimit of a thread": lambda: call("prlimit", int(task), 7, struct.pack("QQ", 0, 0), None),
    }
    return {name: answer(attempt) for name, attempt in attempts.items()}

def uid(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(line.split()[1] for line in status if line.startswith("Uid:"))

bridge = next(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and uid(pid) == "65534")
found = {name: against(pid) for name, pid in {"PID 1": 1, "the supervisor": os.getppid(), "the bridge": bridge}.items()}
found["the bridge"] |= {f"signal {s}": answer(lambda: os.kill(bridge, s)) for s in range(65)}
found["the program"] = {name: answer(attempt) for name, attempt in {
    "read": lambda: open("/casemate-init", "rb"),
    "write": lambda: open("/casemate-init", "ab"),
    "copy": lambda: shutil.copy("/casemate-init", "/tmp/init"),
    "hard link": lambda: os.link("/casemate-init", "/workspace/init"),
    "rename": lambda: os.rename("/casemate-init", "/casemate-init.old"),
    "unlink": lambda: os.unlink("/casemate-init"),
    "chmod": lambda: os.chmod("/casemate-init", 0o755),
}.items()}
found["owners"] = {path: os.stat(path).st_uid for path in
    ("/proc/1/environ", "/proc/1/mem", "/proc/1/fd", f"/proc/{os.getppid()}/environ", f"/proc/{bridge}/mem", "/proc/self/environ")}
print(json.dumps(found))
"#;

#[tokio::test]
async fn pid_1_the_supervisors_and_the_bridge_can_be_neither_read_nor_changed() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let uid = server.instance.uid();
    let found = python(&server, ATTACK).await;
    let refusals = ["EACCES", "EPERM", "EROFS", "EXDEV"].map(Value::from);
    for victim in ["PID 1", "the supervisor", "the bridge", "the program"] {
        for (attempt, answer) in found[victim].as_object().expect("attempts") {
            assert!(refusals.contains(answer), "{victim}: {attempt}: {answer}");
        }
    }
    for (path, owner) in found["owners"].as_object().expect("paths") {
        // A process that can be dumped belongs to its user, the others to root (proc(5)).
        let wanted = if path.contains("self") { &*uid } else { "0" };
        assert_eq!(owner.to_string(), wanted, "{path}");
    }
    pid_1_lives(&server, &container).await;
}

const SIGNALS: &str = r#"
import ctypes, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
TGKILL, SIGQUEUE = (234, 129) if os.uname().machine == "x86_64" else (131, 138)
threads = [int(thread) for thread in os.listdir("/proc/1/task")]
pidfd = os.pidfd_open(1)
for number in range(1, 65):
    os.kill(1, number)
    for thread in threads:
        libc.syscall(TGKILL, 1, thread, number)
    libc.syscall(SIGQUEUE, 1, number, ctypes.create_string_buffer(128))
    try:
        signal.pidfd_send_signal(pidfd, number)
    except (OSError, ValueError):
        pass
for _ in range(10_000):
    os.kill(1, signal.SIGCHLD)
print(json.dumps(len(threads)))
"#;

#[tokio::test]
async fn no_signal_from_inside_reaches_pid_1() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let sleeping = server
        .start_call("shell_exec", json!({ "command": "sleep 2; echo slept" }))
        .await
        .1;
    assert!(python(&server, SIGNALS).await.as_u64() > Some(1));
    for signal in [
        "KILL", "STOP", "TERM", "INT", "HUP", "QUIT", "SEGV", "USR1", "TSTP",
    ] {
        assert_eq!(
            server.shell(&format!("kill -{signal} 1")).await.exit_code(),
            0
        );
    }
    pid_1_lives(&server, &container).await;
    let slept = CallResult(sleeping.answer().await.expect("an answer")["result"].clone());
    assert_eq!((slept.stdout(), slept.outcome()), ("slept\n", "exited"));
}

// Case 6: the channel's socket.

const KNOCK: &str = r#"
import array, errno, json, os, socket, struct

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect("\0casemate")
    return s

def knock(data=b"\0", *ancillary):
    with connect() as s:
        try:
            s.sendmsg([data], ancillary)
            return s.recv(100).hex()
        except TimeoutError:
            return "no end"
        except OSError as error:
            return errno.errorcode[error.errno]

def credentials(*ids):
    return (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("iII", *ids))

def bind():
    try:
        socket.socket(socket.AF_UNIX).bind("\0casemate")
    except OSError as error:
        return errno.errorcode[error.errno]

def crowd():
    guests = [connect() for _ in range(300)]
    return sum(len(guest.recv(100)) for guest in guests)

with connect() as silent:
    silence = silent.recv(100).hex()
print(json.dumps({
    "a byte": knock(),
    "HTTP/2": knock(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100),
    "own credentials": knock(b"\0", credentials(os.getpid(), os.getuid(), os.getgid())),
    "descriptors": knock(b"\0", (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 200))),
    "silence": silence,
    "crowd": crowd(),
    "the bridge's uid": knock(b"\0", credentials(os.getpid(), 65534, 65534)),
    "PID 1": knock(b"\0", credentials(1, os.getuid(), os.getgid())),
    "bind": bind(),
}))
"#;

#[tokio::test]
async fn the_channel_is_closed_to_everybody_but_the_bridge() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let found = python(&server, KNOCK).await;
    // Turned away without a byte. What is left unread resets the connection.
    for turned_away in [
        "a byte",
        "HTTP/2",
        "own credentials",
        "descriptors",
        "silence",
    ] {
        assert!(
            [json!(""), json!("ECONNRESET")].contains(&found[turned_away]),
            "{turned_away}: {found}"
        );
    }
    assert_eq!(found["crowd"], 0, "{found}");
    for forged in ["the bridge's uid", "PID 1"] {
        assert_eq!(found[forged], "EPERM", "{forged}");
    }
    assert_eq!(found["bind"], "EADDRINUSE");
    pid_1_lives(&server, &container).await;
}

/// Holds every place at the socket that can be had, for ever.
const CROWD: &str = r#"
import os, select, socket
os.fork()
os.fork()
guests = set()
while True:
    try:
        while len(guests) < 300:
            guest = socket.socket(socket.AF_UNIX)
            guest.setblocking(False)
            guest.connect("\0casemate")
            guests.add(guest)
    except OSError:
        pass
    open("/tmp/crowded", "w").close()
    for guest in select.select(guests, [], [], 0.01)[0]:
        guests.discard(guest)
        guest.close()
"#;

#[tokio::test]
async fn a_crowd_at_the_socket_locks_out_neither_this_server_nor_the_next() {
    let first = TestServer::new().start().await;
    let instance = first.instance.clone();
    let crowd = with_stdin(
        &first,
        "cat > crowd.py; python3 crowd.py > crowd.log 2>&1 &",
        CROWD,
    )
    .await;
    assert!(crowd.field("survivors").as_u64() >= Some(1), "{}", crowd.0);
    eventually("the crowd is there", Duration::from_secs(20), async || {
        first.shell("test -e /tmp/crowded").await.exit_code() == 0
    })
    .await;
    assert_eq!(first.shell("echo first").await.stdout(), "first\n");
    assert!(first.end().await.success());

    // The container lives on with the crowd in it, and the next server comes to it.
    let second = TestServer::on(&instance).start().await;
    let result = second.shell("echo second").await;
    assert!(!result.is_error(), "{}", result.0);
    assert_eq!(result.stdout(), "second\n");
}

// Case 6: casemate-init, run by user code.

const SUPERVISE: &str = r#"
import json, socket, struct, subprocess
def field(number, value):
    return bytes([number << 3 | 2, len(value)]) + value
order = field(1, b"/usr/bin/id") + field(2, b"id") + field(2, b"-u") + field(4, b"/")
ours, theirs = socket.socketpair()
ours.sendall(struct.pack("<I", len(order)) + order)
command = ["/casemate-init", "supervise", str(theirs.fileno())]
print(json.dumps(subprocess.run(command, pass_fds=[theirs.fileno()], capture_output=True, timeout=20, text=True).stdout))
"#;

#[tokio::test]
async fn casemate_init_run_by_hand_gives_nothing_away() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    for arguments in [
        "",
        "bridge",
        "pid1",
        "pid1 --idle-timeout-ms=1 --background-ttl-ms=1 --spec=mine",
        "supervise",
        "supervise 0",
        "supervise 99",
    ] {
        for input in ["/dev/null", "/dev/zero"] {
            let run = server
                .shell(&format!("timeout 20 /casemate-init {arguments} < {input}"))
                .await;
            assert!(
                !(run.exit_code() == 0 || run.exit_code() == 124),
                "{arguments}: {}",
                run.0
            );
            assert_eq!(run.stdout(), "", "{arguments}");
        }
    }
    let uid = format!("{}\n", server.instance.uid());
    assert_eq!(python(&server, SUPERVISE).await, uid);
    assert_eq!(processes(&server).await, [""; 0]);
    pid_1_lives(&server, &container).await;
}

#[tokio::test]
async fn a_preloaded_library_is_loaded_by_the_command_and_never_by_casemate_init() {
    const LIBRARY: &str = r#"
        #define _GNU_SOURCE
        #include <errno.h>
        #include <stdio.h>
        __attribute__((constructor)) static void loaded(void) {
            FILE *file = fopen("/tmp/loaded", "a");
            if (file) { fprintf(file, "%s\n", program_invocation_short_name); fclose(file); }
        }
    "#;
    let server = TestServer::new().start().await;
    let built = with_stdin(&server, "gcc -shared -fPIC -x c -o preload.so -", LIBRARY).await;
    assert_eq!(built.exit_code(), 0, "{}", built.0);
    let container = server.instance.container();
    let command = "/casemate-init; /casemate-init bridge; cat /tmp/loaded";
    let arguments = json!({ "command": command, "env": { "LD_PRELOAD": "/workspace/preload.so" } });
    let loaded = server.call("shell_exec", arguments).await;
    assert_eq!(loaded.stdout(), "bash\ncat\n");
    let maps = docker::beside(&container, "cat /proc/1/maps");
    assert!(
        maps.contains("[stack]") && !maps.contains("preload"),
        "{maps}"
    );
    pid_1_lives(&server, &container).await;
}

// Case 6: kill(-1), and the supervisor.

#[tokio::test]
async fn killing_everything_ends_the_users_own_commands_and_says_so() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let (_, other) = server
        .start_call("shell_exec", json!({ "command": "sleep 1000" }))
        .await;
    eventually(
        "the other command runs",
        Duration::from_secs(10),
        async || processes(&server).await == ["sleep 1000"],
    )
    .await;
    // kill(2) with -1 spares the caller: the shell itself, then a program that the shell waits for.
    let spared = server.shell("kill -KILL -1; echo spared").await;
    if spared.outcome() == "exited" {
        assert_eq!((spared.stdout(), spared.exit_code()), ("spared\n", 0));
    } else {
        assert_eq!(
            (spared.outcome(), spared.exit_code()),
            ("signaled", 137),
            "{}",
            spared.0
        );
    }
    let other = CallResult(other.answer().await.expect("an answer")["result"].clone());
    assert_eq!(
        (other.outcome(), other.exit_code()),
        ("signaled", 137),
        "{}",
        other.0
    );
    assert_eq!(other.field("signal"), "SIGKILL");
    pid_1_lives(&server, &container).await;

    let hit = server.shell("/bin/kill -KILL -1; echo not reached").await;
    assert_eq!(
        (hit.outcome(), hit.exit_code(), hit.stdout()),
        ("signaled", 137, ""),
        "{}",
        hit.0
    );
    pid_1_lives(&server, &container).await;
    assert_eq!(processes(&server).await, [""; 0]);
}

#[tokio::test]
async fn a_command_that_kills_or_stops_its_supervisor_ends_in_time_and_leaves_nothing() {
    const TIMEOUT: u32 = 2;
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    for signal in ["KILL", "STOP"] {
        for command in [
            format!("kill -{signal} $PPID; sleep 1000"),
            format!("setsid sleep 1000 & kill -{signal} $PPID; exec sleep 1000"),
            format!(
                "(setsid setsid sleep 1000 > /dev/null 2>&1 &); kill -{signal} $PPID; exec sleep 1000"
            ),
            format!(
                "trap '' TERM HUP INT; while :; do kill -{signal} $PPID; kill -CONT $PPID; done"
            ),
        ] {
            let start = Instant::now();
            let result = server.shell_within(&command, TIMEOUT).await;
            assert!(
                start.elapsed() < Duration::from_secs((TIMEOUT + 2).into()),
                "{command}"
            );
            // PID 1 ends what lost its supervisor, and says what wait() says.
            assert_eq!(
                (result.outcome(), result.exit_code()),
                ("signaled", 137),
                "{command}: {}",
                result.0
            );
            assert_eq!(processes(&server).await, [""; 0], "{command}");
        }
    }
    pid_1_lives(&server, &container).await;
}

// The size that DESIGN.md section 2 states.

#[tokio::test]
async fn casemate_init_is_small_on_disk_and_in_memory() {
    // With patterns, archives and transfers; each took 0.3 MB of it.
    const DISK: u64 = 3_500_000;
    const PRIVATE_KIB: u64 = 2048;
    let server = TestServer::new().start().await;
    // Little output: what a result shows is kept for a while and is PID 1's too.
    for number in 0..50 {
        assert_eq!(
            output(&server, &format!("echo {number}")).await,
            number.to_string()
        );
    }
    for number in 0..10 {
        server
            .write(&format!("file-{number}"), &"text\n".repeat(1000))
            .await;
        server.read(&format!("file-{number}")).await;
        server.list(".").await;
    }
    let container = server.instance.container();
    let size = docker::exec(&container, "stat -c %s /casemate-init");
    assert!(size.parse::<u64>().expect("bytes") < DISK, "{size} bytes");
    let memory = docker::beside(&container, "cat /proc/1/smaps_rollup");
    let private: u64 = memory
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
        .map(|line| {
            line.split_whitespace()
                .nth(1)
                .expect("a number")
                .parse::<u64>()
                .expect("kB")
        })
        .sum();
    assert!(private > 0 && private < PRIVATE_KIB, "{memory}");
}
