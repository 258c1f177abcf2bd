//! The Engine as an operator sees it: through the docker command.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;

use super::{allowed, host};

/// Time that a command may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// For timeout(1).
fn deadline() -> String {
    allowed(DEADLINE).as_secs().to_string()
}

fn run(args: &[&str]) -> Output {
    Command::new("timeout")
        .arg(deadline())
        .arg("docker")
        .args(args)
        .output()
        .expect("the docker command can be run")
}

/// The output of a command. Panics if it fails.
pub fn output(args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker {}: {error}",
        args.join(" ")
    );
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// Whether the Engine says so of itself: `userns`, `rootless`, `apparmor`.
pub fn has_security_option(name: &str) -> bool {
    let options = output(&["info", "--format", "{{json .SecurityOptions}}"]);
    let options: Option<Vec<String>> = serde_json::from_str(&options).expect("JSON");
    let name = format!("name={name}");
    let mut options = options.iter().flatten();
    options.any(|option| option.split(',').any(|part| part == name))
}

/// Whether a uid in a container is another one on the Engine's host.
pub fn maps_ids() -> bool {
    ["userns", "rootless"]
        .map(has_security_option)
        .contains(&true)
}

/// The first uid for users, with the default settings.
pub fn first_uid() -> u32 {
    if maps_ids() { 20_000 } else { 65_536 }
}

/// Whether Podman answers. What it does otherwise is in docs/engines.md.
pub fn is_podman() -> bool {
    static PODMAN: LazyLock<bool> = LazyLock::new(|| {
        let components = "{{range .Server.Components}}{{.Name}} {{end}}";
        output(&["version", "--format", components]).contains("Podman Engine")
    });
    *PODMAN
}

/// Whether this run asks for gVisor: `CASEMATE_PROFILE=high` is in its environment, which servers inherit.
#[expect(clippy::disallowed_methods, reason = "the tests' own, and no setting")]
pub fn on_gvisor() -> bool {
    std::env::var("CASEMATE_PROFILE").is_ok_and(|profile| profile == "high")
}

/// The lines that a command prints; none if it fails.
pub fn lines(args: &[&str]) -> Vec<String> {
    let output = run(args);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Runs a command that may fail.
pub fn quietly(args: &[&str]) {
    run(args);
}

/// This machine's process id of a container's PID 1.
pub fn pid(container: &str) -> String {
    let there = output(&["inspect", "--format", "{{.State.Pid}}", container]);
    host::pid(&there).expect("it runs, on this machine")
}

/// The processes of a container, as this machine sees them: id and command line.
/// None when the container is gone.
///
/// On gVisor the host sees no process of the sandbox. There they are read inside, and an id is
/// `CONTAINER:ID`.
pub fn top(container: &str) -> Vec<(String, String)> {
    if on_gvisor() {
        return inside(container);
    }
    // Its `top` knows only the container's own ids.
    if is_podman() {
        let state = lines(&["inspect", "--format", "{{.State.Pid}}", container]);
        let pid1 = state.first().and_then(|there| host::pid(there));
        return pid1
            .map(|pid1| host::processes_beside(&pid1))
            .unwrap_or_default();
    }
    let rows = lines(&["top", container, "-eo", "pid,args"]);
    let rows = rows
        .iter()
        .skip(1)
        .filter_map(|row| row.trim().split_once(' '));
    rows.filter_map(|(pid, args)| Some((host::pid(pid)?, args.trim().to_owned())))
        .collect()
}

/// What `ps` in a container prints, without itself.
fn inside(container: &str) -> Vec<(String, String)> {
    let look = ["exec", "--user", "0", container];
    let rows = lines(&[&look[..], &["ps", "-eo", "pid,args"]].concat());
    let rows = rows.iter().skip(1);
    let rows = rows.filter_map(|row| row.trim().split_once(' '));
    let rows = rows.filter(|(_, args)| *args != "ps -eo pid,args");
    rows.map(|(pid, args)| (format!("{container}:{pid}"), args.trim().to_owned()))
        .collect()
}

/// Kills processes of this host; of those inside of gVisor, bridges alone.
pub fn kill_on_host(pids: &[String]) {
    if let Some((container, pid)) = pids.first().and_then(|pid| pid.split_once(':')) {
        assert_eq!(pids.len(), 1, "one at a time");
        output(&["exec", "--user", "65534", container, "kill", "-KILL", pid]);
        return;
    }
    let status = Command::new("kill").arg("-KILL").args(pids).status();
    assert!(status.expect("kill").success(), "kill {pids:?}");
}

/// Runs a command in a container as root, without Casemate.
pub fn exec(container: &str, command: &str) -> String {
    output(&["exec", "--user", "0", container, "sh", "-c", command])
}

/// Runs a command as root in a second container, which shares the first one's processes and
/// volumes. So it sees what the host's root sees, even if the Engine is on another machine.
pub fn beside(container: &str, command: &str) -> String {
    let pid = format!("container:{container}");
    let look = [
        "--user",
        "0",
        "--cap-add",
        "SYS_PTRACE",
        "--pid",
        &pid,
        "--volumes-from",
        container,
    ];
    let run = ["run", "--rm", "--network", "none"];
    output(&[&run[..], &look, &[super::TOOLS_IMAGE, "sh", "-c", command]].concat())
}

/// What the Engine stores about the `container`, `image` or `volume` of this
/// name. Panics if it does not exist.
pub fn inspect(kind: &str, name: &str) -> Value {
    let answer = output(&["inspect", "--type", kind, name]);
    let mut found: Vec<Value> = serde_json::from_str(&answer).expect("JSON");
    found.remove(0)
}

/// A container that the test made without Casemate. It is removed at the end of the test.
#[derive(Debug)]
pub struct Container(pub String);

impl Drop for Container {
    fn drop(&mut self) {
        quietly(&["rm", "--force", "--volumes", &self.0]);
    }
}

/// A volume that the test made without Casemate. It is removed at the end of the test.
#[derive(Debug)]
pub struct Volume(pub String);

impl Drop for Volume {
    fn drop(&mut self) {
        quietly(&["volume", "rm", "--force", &self.0]);
    }
}

/// An image that is removed at the end of the test.
#[derive(Debug)]
pub struct Image(pub String);

impl Image {
    /// From the tools image, changed by a shell script that runs as root and by
    /// Dockerfile lines.
    pub fn from_tools(script: &str, changes: &[&str]) -> Self {
        let name = format!("casemate-test-{}:latest", uuid::Uuid::new_v4().simple());
        let user = [
            "run",
            "--detach",
            "--user",
            "0",
            "--network",
            "none",
            super::TOOLS_IMAGE,
        ];
        let id = output(&[&user[..], &["sh", "-c", script]].concat());
        output(&["wait", &id]);
        let mut commit = vec!["commit"];
        for change in changes {
            commit.extend(["--change", change]);
        }
        commit.extend([id.as_str(), name.as_str()]);
        let image = Self(name.clone());
        let committed = run(&commit);
        quietly(&["rm", "--force", &id]);
        assert!(
            committed.status.success(),
            "{}",
            String::from_utf8_lossy(&committed.stderr)
        );
        image
    }

    /// The tools image with a directory of this machine's in `place`, readable for all.
    pub fn with_files(directory: &std::path::Path, place: &str) -> Self {
        let name = format!("casemate-test-{}:latest", uuid::Uuid::new_v4().simple());
        let id = output(&["create", "--network", "none", super::TOOLS_IMAGE]);
        let image = Self(name.clone());
        output(&["cp", &directory.to_string_lossy(), &format!("{id}:{place}")]);
        output(&["commit", &id, &name]);
        quietly(&["rm", "--force", &id]);
        image
    }

    /// From a tar archive.
    pub fn import(archive: &std::path::Path) -> Self {
        let name = format!("casemate-test-{}:latest", uuid::Uuid::new_v4().simple());
        output(&["import", &archive.to_string_lossy(), &name]);
        Self(name)
    }

    /// From a Dockerfile, which gets no other files.
    pub fn build(dockerfile: &str) -> Self {
        let image = Self(format!(
            "casemate-test-{}:latest",
            uuid::Uuid::new_v4().simple()
        ));
        let mut build = Command::new("timeout")
            .args([
                deadline().as_str(),
                "docker",
                "build",
                "--quiet",
                "--tag",
                image.name(),
                "-",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the docker command can be run");
        let mut input = build.stdin.take().expect("stdin");
        input
            .write_all(dockerfile.as_bytes())
            .expect("docker build reads its input");
        drop(input);
        let built = build.wait_with_output().expect("an exit status");
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        image
    }

    /// One that `docker load` has made.
    pub fn loaded(name: String) -> Self {
        // Podman calls it localhost/…, and its Docker API looks for docker.io/library/…
        if is_podman() {
            output(&["tag", &format!("localhost/{name}"), &name]);
        }
        Self(name)
    }

    /// Its id: `sha256:…`.
    pub fn id(&self) -> String {
        output(&["image", "inspect", "--format", "{{.Id}}", self.name()])
    }

    /// Ids of the images that Casemate prepared from it.
    pub fn prepared(&self) -> Vec<String> {
        let label = format!("label=io.casemate.prepared={}", self.id());
        lines(&["images", "--quiet", "--no-trunc", "--filter", &label])
    }

    /// Its name, for `CASEMATE_IMAGE`.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Removes the containers in which servers that were killed were preparing the image.
fn remove_preparing(id: &str) {
    let ancestor = format!("ancestor={id}");
    let filters = [
        "--filter",
        "label=io.casemate.preparing=yes",
        "--filter",
        &ancestor,
    ];
    // More than once: the Engine may have been making one.
    for _ in 0..3 {
        for container in lines(&[&["ps", "--all", "--quiet"], &filters[..]].concat()) {
            quietly(&["rm", "--force", "--volumes", &container]);
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let base = lines(&["image", "inspect", "--format", "{{.Id}}", &self.0]);
        for id in base {
            remove_preparing(&id);
            let prepared = format!("label=io.casemate.prepared={id}");
            for image in lines(&["images", "--quiet", "--no-trunc", "--filter", &prepared]) {
                quietly(&["rmi", "--force", &image]);
            }
        }
        quietly(&["rmi", "--force", &self.0]);
        if is_podman() {
            quietly(&["rmi", "--force", &format!("localhost/{}", self.0)]);
        }
    }
}
