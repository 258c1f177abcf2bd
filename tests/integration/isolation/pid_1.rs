//! Attacks on PID 1, the supervisors and the bridge.

use serde_json::{Value, json};

use super::{pid_1_lives, python};
use crate::harness::{CallResult, TestServer, docker};

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
        // Files of a dumpable process belong to its user, those of others to root (proc(5)).
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
        let result = server.shell(&format!("kill -{signal} 1")).await;
        assert_eq!(result.exit_code(), 0, "{signal}: {}", result.0);
    }
    pid_1_lives(&server, &container).await;
    let slept = CallResult(sleeping.answer().await.expect("an answer")["result"].clone());
    assert_eq!((slept.stdout(), slept.outcome()), ("slept\n", "exited"));
}

/// Sends every signal that can end a process, until its input ends.
const BARRAGE: &str = r#"
import os, select, sys
signals = [1, 2, 10, 12, 13, 14, 15, 16, 26, 27, 29, 30, *range(32, 65)]
print("ready", flush=True)
while not select.select([0], [], [], 0)[0]:
    for number in signals:
        os.kill(1, number)
"#;

/// While PID 1 starts a process its main thread blocks all signals, and then the kernel would end it
/// by a signal that it does not ignore.
#[tokio::test]
async fn no_signal_reaches_pid_1_while_it_starts_processes() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let barrage =
        format!("mkfifo end; python3 -c '{BARRAGE}' < end > began & exec 9> end; sleep 5");
    let pending = server
        .start_call("shell_exec", json!({ "command": barrage }))
        .await
        .1;
    let began = server
        .shell("until grep -q ready began; do sleep 0.05; done")
        .await;
    assert_eq!(began.exit_code(), 0, "{}", began.0);
    for _ in 0..40 {
        let ran = server.shell("true").await;
        assert_eq!(ran.exit_code(), 0, "{}", ran.0);
    }
    // Commands start with the default of every signal.
    let status = server
        .shell("grep -E 'Sig(Ign|Blk)' /proc/self/status")
        .await;
    // gVisor shows neither.
    let defaults = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    let shown = if docker::on_gvisor() { "" } else { defaults };
    assert_eq!(status.stdout(), shown);
    pid_1_lives(&server, &container).await;
    let ended = CallResult(pending.answer().await.expect("an answer")["result"].clone());
    assert_eq!(ended.exit_code(), 0, "{}", ended.0);
}
