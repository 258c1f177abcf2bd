//! What .github/workflows/release.yml does, run here: each step is a script.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{CASEMATE, VERSION, run, text, top};
use crate::harness::Directory;

/// This machine's architecture, as Docker names it.
const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

fn script(name: &str) -> Command {
    Command::new(top().join("scripts").join(name))
}

/// The commands that `push-image` or `join-images` would run.
fn dry(name: &str, args: &[&str]) -> Vec<String> {
    let said = run(script(name).args(args).env("DRY_RUN", "1")).expect("it is there");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn every_step_of_the_workflow_is_a_script_or_one_command_of_the_host() {
    let workflow = text(".github/workflows/release.yml");
    let steps = workflow
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- run: "));
    let mut scripts = 0;
    for step in steps {
        let Some(name) = step.strip_prefix("scripts/") else {
            let known = ["docker login ", "gh release create "];
            assert!(
                known.iter().any(|command| step.starts_with(command)),
                "{step}"
            );
            continue;
        };
        let name = name.split(' ').next().expect("a name");
        let file = std::fs::metadata(top().join("scripts").join(name)).expect(name);
        assert_eq!(file.permissions().mode() & 0o111, 0o111, "{name}");
        scripts += 1;
    }
    assert_eq!(scripts, 8);
}

#[test]
fn a_tag_must_name_the_version() {
    run(script("check-tag").arg(format!("v{VERSION}"))).expect("it is there");
    for tag in [&[][..], &["v99.0.0"], &[VERSION]] {
        let checked = script("check-tag").args(tag).output().expect("it runs");
        assert_eq!(checked.status.code(), Some(1), "{tag:?}");
    }
}

#[test]
fn a_release_has_an_archive_with_all_that_a_machine_needs_and_right_checksums() {
    let directory = Directory::new(0);
    let mut pack = script("pack-release");
    pack.args([ARCH, "https://example.com/files", CASEMATE])
        .env("OUT", directory.text())
        .env_remove("CI");
    run(&mut pack).expect("it is there");
    run(script("write-checksums").arg(directory.text())).expect("it is there");
    let name = format!("casemate-{VERSION}-linux-{ARCH}");
    let at = |path: &str| Path::new(directory.text()).join(path);
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "SHA256SUMS"]);
    let said = run(check.current_dir(directory.text())).expect("sha256sum");
    assert!(said.contains(&format!("{name}.tar.gz: OK")), "{said}");
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(at(&format!("{name}.tar.gz")));
    run(unpack.current_dir(directory.text())).expect("tar");
    for file in [
        "LICENSE",
        "casemate.toml",
        "completions/casemate.fish",
        "man/casemate-serve.1",
        "mcp.json",
        "systemd/casemate@.service",
    ] {
        let size = std::fs::metadata(at(&format!("{name}/{file}")))
            .expect(file)
            .len();
        assert!(size > 0, "{file}");
    }
    let version = run(Command::new(at(&format!("{name}/casemate"))).arg("--version"));
    assert_eq!(
        version.expect("it is there").trim(),
        format!("casemate {VERSION}")
    );
    // A byte that changed is found.
    std::fs::write(at(&format!("{name}.tar.gz")), "other").expect("a file");
    let changed = Command::new("sha256sum")
        .args(["--check", "SHA256SUMS"])
        .current_dir(directory.text())
        .output();
    assert!(!changed.expect("sha256sum").status.success());
}

#[test]
fn images_of_both_architectures_get_one_name_in_lower_case() {
    let image = "registry.example.com/Someone/Casemate";
    let small = "registry.example.com/someone/casemate";
    let pushed = dry("push-image", &[image, VERSION, "arm64"]);
    assert_eq!(pushed.len(), 2, "{pushed:?}");
    assert!(
        pushed[0].contains("target/static/arm64/casemate"),
        "{pushed:?}"
    );
    assert_eq!(pushed[1], format!("docker push {small}:{VERSION}-arm64"));
    let joined = dry("join-images", &[image, VERSION]);
    for tag in [VERSION, "latest"] {
        let create = format!(
            "docker manifest create {small}:{tag} {small}:{VERSION}-amd64 {small}:{VERSION}-arm64"
        );
        assert!(joined.contains(&create), "{joined:?}");
        assert!(
            joined.contains(&format!("docker manifest push {small}:{tag}")),
            "{joined:?}"
        );
    }
}

/// Of cargo-deb, which is no part of the tests: what its table names is there.
#[test]
fn the_debian_package_is_made_of_files_that_are_there() {
    let manifest: toml::Table = text("Cargo.toml").parse().expect("TOML");
    let deb = &manifest["package"]["metadata"]["deb"];
    assert!(deb["extended-description"].is_str(), "else it is README");
    let scripts = deb["maintainer-scripts"].as_str().expect("a directory");
    let postinst = top().join(scripts).join("postinst");
    assert!(postinst.is_file(), "the unit's user is made");
    let assets = deb["assets"].as_array().expect("assets");
    assert!(assets.len() >= 4);
    for asset in assets {
        let source = asset[0].as_str().expect("a path");
        // The program is what the package is made for.
        let built = source == "target/release/casemate";
        assert!(built || top().join(source).is_file(), "{source}");
    }
}
