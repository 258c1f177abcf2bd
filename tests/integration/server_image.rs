//! The server as an image: what `make server-image` makes, and what packaging/docker makes of it.
//! The image of these tests holds the program that they were built with, which is not static and
//! so brings its libraries.

mod compose;
mod dockerfile;
mod stdio;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, Weak};

use crate::harness::docker::{self, Image};
use crate::harness::{Instance, Rpc, Server};

const CASEMATE: &str = env!("CARGO_BIN_EXE_casemate");

/// Where the Engine listens, on its own host.
const SOCKET: &str = "/var/run/docker.sock";

/// The user that is not root, and no sandbox's.
const NOBODY: &str = "65532:65532";

/// The image, which tests that run at once share. The last one removes it.
static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `scripts/build-server-image` says with these variables set.
fn build(server: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(top().join("scripts/build-server-image"))
        .arg(server)
        .env("ANY_SIZE", "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the script can be run")
}

fn image() -> Arc<Image> {
    let mut shared = SHARED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(image) = shared.upgrade() {
        return image;
    }
    let name = format!("casemate-test-{}:latest", uuid::Uuid::new_v4().simple());
    let built = build(CASEMATE, &[("IMAGE", &name)]);
    assert!(built.status.success(), "{built:?}");
    let image = Arc::new(Image::loaded(name));
    *shared = Arc::downgrade(&image);
    image
}

/// Servers in containers, which a test finds by a label and which go when it is over.
struct Containers(Instance);

impl Containers {
    fn new() -> Self {
        Self(Instance::new())
    }

    fn label(&self) -> String {
        format!("io.casemate.test={}", self.0.name())
    }

    /// What `docker run` gets so that the server is one of these. The socket is root's of the host,
    /// whom `userns-remap` maps to nobody.
    fn options(&self) -> Vec<String> {
        let instance = format!("CASEMATE_INSTANCE={}", self.0.name());
        let mut options = ["--label", &self.label(), "--env", &instance]
            .map(str::to_owned)
            .to_vec();
        if docker::has_security_option("userns") {
            options.extend(["--userns", "host"].map(str::to_owned));
        }
        options
    }

    fn running(&self) -> Vec<String> {
        let filter = format!("label={}", self.label());
        docker::lines(&["ps", "--all", "--quiet", "--filter", &filter])
    }

    /// Starts one with these options of `docker run`, and speaks to it.
    async fn start(&self, image: &Image, options: &[&str]) -> Server {
        let mut child = tokio::process::Command::new("docker")
            .args(["run", "-i", "--rm"])
            .args(self.options())
            .args(options)
            .args([image.name(), "serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the docker command can be run");
        let input = child.stdin.take().expect("stdin");
        let output = child.stdout.take().expect("stdout");
        let server = Server {
            instance: self.0.clone(),
            child,
            rpc: Rpc::new(input, output),
        };
        server.initialize("2025-06-18").await;
        server
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        for container in self.running() {
            docker::quietly(&["rm", "--force", &container]);
        }
    }
}

/// The paths of all files in an image.
fn files(image: &Image) -> Vec<String> {
    let container = docker::Container(docker::output(&["create", image.name()]));
    let export = Command::new("docker")
        .args(["export", &container.0])
        .output()
        .expect("the docker command can be run");
    assert!(
        export.status.success(),
        "{}",
        String::from_utf8_lossy(&export.stderr)
    );
    let mut archive = tar::Archive::new(export.stdout.as_slice());
    let files = archive
        .entries()
        .expect("an archive")
        .map(|entry| entry.expect("an entry"));
    files
        .filter(|entry| entry.header().entry_type().is_file())
        .map(|entry| entry.path().expect("a path").display().to_string())
        .collect()
}

#[test]
fn the_image_has_the_server_and_certificates_and_no_other_program() {
    let image = image();
    let files = files(&image);
    for path in [
        "casemate",
        "etc/ssl/certs/ca-certificates.crt",
        "etc/passwd",
    ] {
        assert!(files.iter().any(|file| file == path), "{path}: {files:?}");
    }
    // Docker adds the first two directories to every container.
    let stray = files.iter().filter(|file| {
        !["dev/", "etc/", "lib/", "lib64/", "usr/lib/"]
            .iter()
            .any(|at| file.starts_with(at))
            && ![".dockerenv", "casemate"].contains(&file.as_str())
    });
    assert_eq!(stray.count(), 0, "{files:?}");
    // The archive for `docker build`: its first entry is the Dockerfile.
    let archive = docker::output(&["run", "--rm", image.name(), "tools-image"]);
    assert!(archive.starts_with("Dockerfile\0"), "{archive:.100}");
    let version = docker::output(&["run", "--rm", image.name(), "--version"]);
    assert_eq!(version, format!("casemate {}", env!("CARGO_PKG_VERSION")));
}

/// Another architecture than this machine's, and Rust's target for it.
const OTHER: (&str, &str) = if cfg!(target_arch = "x86_64") {
    ("arm64", "aarch64-unknown-linux-gnu")
} else {
    ("amd64", "x86_64-unknown-linux-gnu")
};

const NO_SUCH_ARCH: (&str, &str) = ("sparc", "for amd64 and arm64, not for sparc");

#[test]
fn a_machine_that_cannot_build_for_another_architecture_is_told_what_is_missing() {
    for (arch, said) in [OTHER, NO_SUCH_ARCH] {
        let set_up = Command::new(top().join("scripts/setup-cross"))
            .arg(arch)
            // Without rustup, which would install it.
            .env("PATH", "/usr/bin:/bin")
            .output()
            .expect("the script can be run");
        let error = String::from_utf8_lossy(&set_up.stderr);
        assert_eq!(set_up.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{error}");
        assert_eq!(error.lines().count(), 2, "{error}");
    }
}

#[test]
fn a_program_of_another_architecture_is_refused_by_name() {
    let image = "casemate-test-never:latest";
    for (arch, said) in [(OTHER.0, "is no program for"), NO_SUCH_ARCH] {
        let built = build(CASEMATE, &[("IMAGE", image), ("ARCH", arch)]);
        let error = String::from_utf8_lossy(&built.stderr);
        assert_eq!(built.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{error}");
    }
    assert!(docker::lines(&["images", "--quiet", image]).is_empty());
}
