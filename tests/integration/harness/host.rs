//! The host of the Engine under test, where that is not this machine's own: the Engine
//! of `scripts/engine-lab` has its own process ids and mounts.
//!
//! The kernel says which process listens on the Engine's socket, by the id that it has
//! here; all else follows from it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::net::sockopt::socket_peercred;

/// Where an Engine listens unless `DOCKER_HOST` names another place.
const SOCKET: &str = "/var/run/docker.sock";

/// An environment variable for developers: what the tests know about the Engine.
#[expect(clippy::disallowed_methods, reason = "see above")]
fn named_engine() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_default()
}

/// The Engine's socket; none where it listens elsewhere.
pub fn socket() -> Option<String> {
    let named = named_engine();
    match named.strip_prefix("unix://") {
        Some(path) => Some(path.to_owned()),
        None => named.is_empty().then(|| SOCKET.to_owned()),
    }
}

/// The process that listens on the Engine's socket, when its host is not this machine's
/// own; none also when it cannot be looked into.
fn listener() -> Option<&'static str> {
    static LISTENER: OnceLock<Option<String>> = OnceLock::new();
    LISTENER
        .get_or_init(|| {
            let stream = UnixStream::connect(socket()?).ok()?;
            let listener = socket_peercred(&stream).ok()?.pid.as_raw_nonzero();
            let elsewhere =
                pid_namespace(&format!("/proc/{listener}"))? != pid_namespace("/proc/self")?;
            elsewhere.then(|| listener.to_string())
        })
        .as_deref()
}

/// Where this machine finds a file of the Engine's host.
pub fn path(there: &Path) -> PathBuf {
    match listener() {
        Some(listener) => {
            let relative = there.strip_prefix("/").expect("an absolute path");
            Path::new("/proc")
                .join(listener)
                .join("root")
                .join(relative)
        }
        None => there.to_owned(),
    }
}

/// Memory that a process holds, in KiB.
pub fn resident_kib(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let amount = line.expect("VmRSS").trim().trim_end_matches(" kB");
    amount.parse().expect("a number")
}

/// A command that sees and changes the mounts of the Engine's host.
pub fn command(program: &str) -> Command {
    let Some(listener) = listener() else {
        return Command::new(program);
    };
    let mut command = Command::new("nsenter");
    // Its /proc shows only who is in its process namespace; umount asks that.
    command.args(["--target", listener, "--mount", "--pid", program]);
    command
}

/// A command that reaches the ports that the Engine's containers publish on its host.
pub fn networked(program: &str) -> Command {
    let Some(listener) = listener() else {
        return Command::new(program);
    };
    let mut command = Command::new("nsenter");
    command.args(["--target", listener, "--net", program]);
    command
}

/// The process namespace of a process that /proc shows.
fn pid_namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("{process}/ns/pid")).ok()
}

/// The id that this machine has for a process of the Engine's host. None when it has
/// ended: an id of another's must never be killed.
pub fn pid(there: &str) -> Option<String> {
    if listener().is_none() {
        return Some(there.to_owned());
    }
    let namespace = pid_namespace(path(&Path::new("/proc").join(there)).to_str()?)?;
    let entries = fs::read_dir("/proc").expect("proc").flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.find(|pid| {
        id_one_level_down(pid).as_deref() == Some(there)
            && pid_namespace(&format!("/proc/{pid}")).as_ref() == Some(&namespace)
    })
}

/// All processes of this process's own process namespace, with their command lines.
pub fn processes_beside(pid: &str) -> Vec<(String, String)> {
    let Some(namespace) = pid_namespace(&format!("/proc/{pid}")) else {
        return Vec::new();
    };
    let entries = fs::read_dir("/proc").expect("proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let ours =
        pids.filter(|pid| pid_namespace(&format!("/proc/{pid}")).as_ref() == Some(&namespace));
    let process = |pid: String| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let args = String::from_utf8_lossy(&words).replace('\0', " ");
        Some((pid, args.trim().to_owned()))
    };
    ours.filter_map(process).collect()
}

/// A process's id in the outermost process namespace below this one (proc(5)).
fn id_one_level_down(pid: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_ascii_whitespace().nth(1).map(str::to_owned)
}
