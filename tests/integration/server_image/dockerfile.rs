//! packaging/docker/Dockerfile, built on this Engine. No registry is asked: Rust's image is replaced
//! by one whose cargo hands over the program that these tests were built with. Everything else is
//! real.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{CASEMATE, Containers, SOCKET, files, top};
use crate::harness::docker::{self, Container, Image};
use crate::harness::{Directory, TOOLS_IMAGE};

/// `cargo build … --target TARGET … --target-dir DIRECTORY`.
const CARGO: &str = r#"#!/bin/bash
while [ $# -gt 0 ]; do
    case $1 in
    --target) target=$2 ;;
    --target-dir) directory=$2 ;;
    esac
    shift
done
mkdir -p "$directory/$target/release"
cp /usr/local/bin/built "$directory/$target/release/casemate"
"#;

/// `rustc --print target-libdir --target TARGET`: glibc's target alone is there.
const RUSTC: &str = "#!/bin/sh\ncase $4 in *-gnu) echo /usr/lib ;; *) echo /nowhere ;; esac\n";

/// The replacement for Rust's image.
fn toolchain() -> Image {
    let directory = Directory::new(0);
    let container = Container(docker::output(&["create", "--user", "0", TOOLS_IMAGE]));
    for (name, script) in [("cargo", CARGO), ("rustc", RUSTC)] {
        let path = Path::new(directory.text()).join(name);
        std::fs::write(&path, script).expect("a file");
        run(Command::new("chmod").arg("755").arg(&path));
        let there = format!("{}:/usr/local/bin/{name}", container.0);
        docker::output(&["cp", &path.to_string_lossy(), &there]);
    }
    docker::output(&[
        "cp",
        CASEMATE,
        &format!("{}:/usr/local/bin/built", container.0),
    ]);
    let image = Image(format!(
        "casemate-test-{}:latest",
        uuid::Uuid::new_v4().simple()
    ));
    docker::output(&["commit", &container.0, image.name()]);
    image
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be run");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All files of the repository, with the replacement for Rust's image in the Dockerfile.
fn context(archive: &Path, toolchain: &Image) {
    let mut context = tar::Builder::new(File::create(archive).expect("a file"));
    let listed = run(Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(top()));
    for path in listed
        .split_terminator('\0')
        .filter(|path| top().join(path).is_file())
    {
        context
            .append_path_with_name(top().join(path), path)
            .expect(path);
    }
    let dockerfile = include_str!("../../../packaging/docker/Dockerfile");
    let (first, rest) = dockerfile.split_once("FROM rust:").expect("Rust's image");
    let (_, rest) = rest.split_once(' ').expect("a stage");
    let dockerfile = format!("{first}FROM {} {rest}", toolchain.name());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    let added = context.append_data(
        &mut header,
        "packaging/docker/Dockerfile",
        dockerfile.as_bytes(),
    );
    added.expect("append");
    context.finish().expect("finish");
}

/// Layers of the first stage: they have no name, and would stay.
struct Layers(Vec<String>);

impl Layers {
    /// Those that a build prints.
    fn note(&mut self, said: &[u8]) {
        let said = String::from_utf8_lossy(said);
        let layers = said.lines().filter_map(|line| line.strip_prefix(" ---> "));
        let layers = layers.filter(|id| id.len() == 12);
        self.0.extend(layers.map(str::to_owned));
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        for layer in self.0.iter().rev() {
            let ours = docker::lines(&["image", "inspect", "--format", "{{.RepoTags}}", layer]);
            if ours == ["[]"] {
                docker::quietly(&["rmi", layer]);
            }
        }
    }
}

/// What the program includes must be in the context of BuildKit, which reads the ignore file. The
/// classic builder does not, and the build above replaces the compiler.
#[test]
fn no_file_that_the_program_includes_is_left_out_of_the_context() {
    let ignored = std::fs::read_to_string(top().join("packaging/docker/Dockerfile.dockerignore"));
    let ignored = ignored.expect("it is there");
    let excluded = |path: &str| {
        let mut excluded = false;
        for line in ignored.lines().filter(|line| !line.starts_with('#')) {
            let (again, pattern) = line
                .strip_prefix('!')
                .map_or((false, line), |pattern| (true, pattern));
            let directory = pattern.trim_end_matches("/*");
            let covers = path == pattern
                || path
                    .strip_prefix(directory)
                    .is_some_and(|rest| rest.starts_with('/'));
            if !pattern.is_empty() && covers {
                excluded = !again;
            }
        }
        excluded
    };
    assert!(excluded("docs/http.md") && excluded("tests/integration/main.rs"));
    // Included by unit tests alone.
    let of_tests = ["README.md", "docs/settings.md", "docs/errors.md"];
    let included = included(&top().join("src"));
    assert!(included.contains("docs/openapi.json"), "{included:?}");
    for path in included {
        assert!(!excluded(&path) || of_tests.contains(&&*path), "{path}");
    }
}

/// The files outside of `src` that sources below a directory include.
fn included(directory: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(included(&path));
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap_or_default();
        let names = source.split("include_str!(\"../").skip(1);
        let names = names.filter_map(|rest| rest.split('"').next());
        all.extend(names.map(|name| name.trim_start_matches("../").to_owned()));
    }
    all
}

#[tokio::test]
async fn the_dockerfile_makes_an_image_that_serves() {
    let directory = Directory::new(0);
    // Removed after the images that are made of them.
    let mut layers = Layers(Vec::new());
    let toolchain = toolchain();
    let archive = Path::new(directory.text()).join("context.tar");
    context(&archive, &toolchain);
    let image = Image(format!(
        "casemate-test-{}:latest",
        uuid::Uuid::new_v4().simple()
    ));
    let mut build = Command::new("timeout");
    build
        .args(["300", "docker"])
        .args([
            "build",
            "--force-rm",
            "--file",
            "packaging/docker/Dockerfile",
        ])
        .args(["--tag", image.name(), "-"])
        .stdin(Stdio::from(File::open(&archive).expect("it is there")));
    let buildx = Command::new("docker").args(["buildx", "version"]).output();
    if !buildx.is_ok_and(|output| output.status.success()) {
        build.env("DOCKER_BUILDKIT", "0");
    }
    let output = build.output().expect("it starts");
    layers.note(&output.stdout);
    assert!(output.status.success(), "{output:?}");

    let files = files(&image);
    assert!(!files.iter().any(|file| file.contains("bin/")), "{files:?}");
    let mount = format!("{SOCKET}:{SOCKET}");
    let containers = Containers::new();
    let server = containers.start(&image, &["--volume", &mount]).await;
    assert_eq!(server.shell("echo served").await.stdout(), "served\n");
}
