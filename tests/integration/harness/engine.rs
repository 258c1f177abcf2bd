//! A separate Engine, which a test may stop, kill and start again.
//!
//! Its dockerd, containerd and containers live in network, mount and process
//! namespaces separate from the machine's, so it cannot touch the machine's Engine, and the end of
//! the namespaces' first process is the end of them all. That one ends when its input
//! does: also when the test is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::{TOOLS_IMAGE, docker, eventually};

/// How long a dockerd may take to answer. It starts in a second; one that finds
/// containers running first asks them to end, for 10 s.
const UP: Duration = Duration::from_secs(60);

/// How long an Engine may take to be gone. One that is asked to end gives its
/// containers 10 s, and then waits for them.
const GONE: Duration = Duration::from_secs(60);

/// The programs that the Engine's image has.
const PROGRAMS: &str = "bash sh cat date echo env df find grep head id ls mkdir pgrep rm seq sleep \
    sort stat tail touch tr uniq wc";

/// Makes the namespaces, and removes what is left when they are gone. When a test is
/// killed while its Engine is stopped, the kernel sends a SIGHUP (setpgid(2)).
const GUARD: &str = r#"
trap : HUP
directory=$1 name=$2 host=$3; shift 3
unshare --net --mount --pid --fork --kill-child --mount-proc bash -c "$host" host "$@"
rm -rf "$directory"
for cgroup in /sys/fs/cgroup/"$name" /sys/fs/cgroup/*/"$name"; do
    [ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} \;
done
"#;

/// The first process inside: a shell that runs commands and answers with their output and exit
/// code. It has a private /run because shims keep sockets there.
const HOST: &str = r#"
mount -t tmpfs tmpfs /run
while read -r order; do
    eval "$order" </dev/null 2>&1
    echo "= $?"
done
"#;

/// One Engine. Dropping it ends it and all it runs.
#[derive(Debug)]
pub struct Engine {
    guard: Child,
    shell: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
    directory: PathBuf,
}

impl Engine {
    /// An Engine that answers and has a small tools image under the usual name.
    pub async fn start() -> Self {
        let engine = Self::down();
        engine.run(false);
        engine.up().await;
        engine.import();
        engine
    }

    /// An Engine that does not run yet and has no image.
    pub fn down() -> Self {
        // Short: containerd's sockets are below it, and a socket's path has at most 107 bytes.
        let random = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("casemate-test-{}", &random[..12]);
        let directory = std::env::temp_dir().join(&name);
        std::fs::create_dir(&directory).expect("a directory");
        std::fs::write(directory.join("config"), "{}").expect("a file");
        let place = |part: &str| directory.join(part).to_string_lossy().into_owned();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &place(""), &name, HOST])
            .args(["--config-file", &place("config")])
            .args(["--data-root", &place("data")])
            .args(["--exec-root", &place("exec")])
            .args(["--pidfile", &place("pid")])
            .args(["--host", &format!("unix://{}", place("socket"))])
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
            .arg(format!("--cgroup-parent=/{name}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A terminal's interrupt is for the test; the guard cleans up after it.
            .process_group(0)
            .spawn()
            .expect("sh");
        let input = guard.stdin.take().expect("stdin");
        let output = BufReader::new(guard.stdout.take().expect("stdout"));
        let engine = Self {
            guard,
            shell: Mutex::new(Some((input, output))),
            directory,
        };
        let found = engine.host("type -P dockerd containerd");
        assert_eq!(found.lines().count(), 2, "dockerd is installed: {found}");
        engine
    }

    /// Starts its dockerd. With `live_restore` running containers live on; otherwise it ends them
    /// before it answers.
    pub fn run(&self, live_restore: bool) {
        let log = self.place("log");
        self.host(&format!(
            "dockerd \"$@\" --live-restore={live_restore} >>{log} 2>&1 &"
        ));
    }

    /// Waits until it answers.
    pub async fn up(&self) {
        eventually("the Engine answers", UP, async || {
            !docker::lines(&["--host", &self.uri(), "version"]).is_empty()
                && self.try_docker(&["ps"]).is_some()
        })
        .await;
    }

    /// Kills its dockerd, and with it containerd; containers run on.
    pub async fn kill(&self) {
        let pids = self.pids();
        self.host(&format!("kill -KILL {}", pids[0]));
        self.until_gone(&pids).await;
    }

    /// Ends it as a restart of its service does: it ends its containers first.
    pub async fn end(&self) {
        let pids = self.pids();
        self.host(&format!("kill -TERM {}", pids[0]));
        self.until_gone(&pids).await;
    }

    /// Kills its containerd alone; dockerd starts another.
    pub async fn kill_containerd(&self) {
        let [_, containerd] = self.pids();
        self.host(&format!("kill -KILL {containerd}"));
        self.until_gone(&[containerd]).await;
    }

    async fn until_gone(&self, pids: &[String]) {
        eventually("the Engine is gone", GONE, async || {
            let alive = pids.iter().map(|pid| format!("[ -d /proc/{pid} ]"));
            let alive = alive.collect::<Vec<_>>().join(" || ");
            self.host(&format!("{alive} || echo gone"))
                .ends_with("gone")
        })
        .await;
    }

    /// Stops it, so that it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        let pids = self.pids();
        self.host(&format!("kill -STOP {} {}", pids[0], pids[1]));
    }

    /// The end of [`Self::freeze`]: containerd first, or dockerd treats it as dead.
    pub fn thaw(&self) {
        let pids = self.pids();
        self.host(&format!("kill -CONT {} {}", pids[1], pids[0]));
    }

    /// Imports its image again.
    pub fn import(&self) {
        let mut import = Command::new("docker")
            .args(["--host", &self.uri(), "import"])
            .args(["-", TOOLS_IMAGE])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the docker command can be run");
        let mut input = import.stdin.take().expect("stdin");
        input.write_all(archive()).expect("docker import reads");
        drop(input);
        assert!(import.wait().expect("an exit status").success());
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("unix://{}", self.place("socket"))
    }

    /// What a docker command on it prints. Panics when it fails.
    pub fn docker(&self, args: &[&str]) -> String {
        docker::output(&[&["--host", &self.uri()], args].concat())
    }

    /// What a docker command on it prints, if it succeeds in two seconds.
    pub fn try_docker(&self, args: &[&str]) -> Option<String> {
        let output = Command::new("timeout")
            .args(["2", "docker", "--host", &self.uri()])
            .args(args)
            .output()
            .expect("the docker command can be run");
        let text = String::from_utf8_lossy(&output.stdout);
        output.status.success().then(|| text.trim_end().to_owned())
    }

    /// Id of its only container.
    pub fn container(&self) -> String {
        let ids = self.docker(&["ps", "--all", "--quiet", "--no-trunc"]);
        assert_eq!(ids.lines().count(), 1, "containers of the Engine: {ids}");
        ids
    }

    /// What a shell on the Engine's host prints. It sees the Engine's processes and
    /// those of its containers, and no others. Panics when it fails.
    pub fn host(&self, order: &str) -> String {
        let mut shell = self.shell.lock().expect("lock");
        let (input, output) = shell.as_mut().expect("it runs");
        writeln!(input, "{order}").expect("the guard runs: it needs Linux and root");
        let mut printed = String::new();
        loop {
            let before = printed.len();
            output.read_line(&mut printed).expect("UTF-8");
            let line = printed[before..].to_owned();
            assert!(!line.is_empty(), "the guard ended: it needs Linux and root");
            if let Some(code) = line.strip_prefix("= ") {
                printed.truncate(before);
                assert_eq!(code.trim_end(), "0", "{order}: {printed}");
                return printed.trim_end().to_owned();
            }
        }
    }

    /// Resident memory of its dockerd.
    pub fn resident_kib(&self) -> u64 {
        let [dockerd, _] = self.pids();
        let line = self.host(&format!("grep VmRSS /proc/{dockerd}/status"));
        let number = line.split_ascii_whitespace().nth(1);
        number.and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Of dockerd and containerd, in their own namespace.
    fn pids(&self) -> [String; 2] {
        ["pid", "exec/containerd/containerd.pid"].map(|file| {
            let pid = std::fs::read_to_string(self.directory.join(file)).expect("it runs");
            pid.trim_end().to_owned()
        })
    }

    /// The directory of its data.
    pub fn data(&self) -> String {
        self.place("data")
    }

    pub(super) fn place(&self, part: &str) -> String {
        self.directory.join(part).to_string_lossy().into_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The end of its input is the end of the guard.
        drop(self.shell.get_mut().map(Option::take));
        let _ = self.guard.wait();
    }
}

/// A root file system with bash and the programs that tests use, from the tools image. Importing
/// the whole image would take ten seconds.
fn archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let script = format!(
            "programs=$(for name in {PROGRAMS}; do type -P $name; done)
             libraries=$(ldd $programs | grep -o '/lib[^ ]*' | sort -u)
             tar --create --dereference --hard-dereference --absolute-names $programs $libraries"
        );
        let run = ["run", "--rm", "--network", "none", TOOLS_IMAGE];
        let output = Command::new("docker")
            .args(run)
            .args(["bash", "-c", &script])
            .output()
            .expect("the docker command can be run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        output.stdout
    })
}
