//! The files of `packaging/`, read by the tools that they are for, where these are installed.

mod beside;
mod bundle;
mod release;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;
use serde_json::Value;

use crate::harness::{Directory, not_run_but_in_ci};

const CASEMATE: &str = env!("CARGO_BIN_EXE_casemate");
const VERSION: &str = env!("CARGO_PKG_VERSION");

const UNIT: &str = "packaging/systemd/casemate@.service";

/// The exposure that `systemd-analyze security` may find, of 10. It is 1.0 with systemd 252: the
/// Engine's socket, HTTP and the host's network are needed. Versions weigh a little differently.
const EXPOSURE: f64 = 1.2;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).expect(path)
}

fn json(path: &str) -> Value {
    serde_json::from_str(&text(path)).expect(path)
}

/// The output of a command, which must succeed. `None` if the command is not installed.
fn run(command: &mut Command) -> Option<String> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.expect("it starts"),
    };
    Some(succeeded(command, &output))
}

fn succeeded(command: &Command, output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn the_systemd_unit_is_valid_and_keeps_its_exposure() {
    let directory = Directory::new(0);
    let unit = Path::new(directory.text()).join("casemate@8080.service");
    // `systemd-analyze` checks that the program exists.
    let service = text(UNIT).replace("/usr/bin/casemate", CASEMATE);
    assert!(service.contains(CASEMATE));
    std::fs::write(&unit, service).expect("a file");
    let analyze = |args: &[&str]| run(Command::new("systemd-analyze").args(args).arg(&unit));
    let Some(said) = analyze(&["verify", "--man=no"]) else {
        return not_run_but_in_ci("there is no systemd-analyze");
    };
    assert_eq!(said, "", "of casemate@8080.service");
    let said = analyze(&["security", "--offline=yes", "--no-pager"]).expect("as before");
    let (_, exposure) = said
        .split_once("Overall exposure level for casemate@8080.service: ")
        .expect("a level");
    let exposure: f64 = exposure
        .split(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a number");
    assert!(exposure <= EXPOSURE, "{said}");
    let users = top().join("packaging/systemd/casemate.sysusers.conf");
    match run(Command::new("systemd-sysusers").arg("--dry-run").arg(users)) {
        Some(said) => assert!(!said.contains("ignoring"), "{said}"),
        None => not_run_but_in_ci("there is no systemd-sysusers"),
    }
}

#[test]
fn the_settings_file_is_valid() {
    let output = Command::new(CASEMATE)
        .args(["doctor", "--json", "--config", "packaging/casemate.toml"])
        .current_dir(top())
        .env("DOCKER_HOST", "unix:///nonexistent")
        .output()
        .expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let level = |check: &str| {
        let findings = report["findings"].as_array().expect("findings").iter();
        let of = |it: &&Value| it["check"] == check;
        findings.clone().find(of).map(|it| it["level"].clone())
    };
    assert_eq!(level("settings"), Some("ok".into()), "{report}");
    // The operator makes the files that it names.
    assert_eq!(level("tokens"), Some("error".into()), "{report}");
    let settings = report["settings"].as_array().expect("settings").iter();
    let from = settings.filter_map(|it| it["from"].as_str());
    assert_eq!(
        from.filter(|it| it.contains("casemate.toml")).count(),
        7,
        "{report}"
    );
}

#[test]
fn every_version_is_the_crates() {
    assert_eq!(json("packaging/server.json")["version"], VERSION);
    assert_eq!(json("packaging/mcpb/manifest.json")["version"], VERSION);
    for path in [
        "packaging/docker/Dockerfile",
        "packaging/docker/compose.yaml",
    ] {
        assert!(
            text(path).contains(&format!("casemate:{VERSION}")),
            "{path}"
        );
    }
    let rust = format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(
        text("packaging/docker/Dockerfile").contains(&rust),
        "{rust}"
    );
    let changelog = text("CHANGELOG.md");
    assert!(
        changelog.contains("## [Unreleased]") || changelog.contains(&format!("## [{VERSION}]"))
    );
}

/// Only reads the files. `server_image` builds and runs both.
#[test]
fn the_image_copies_what_is_there_and_compose_runs_as_nobody() {
    let dockerfile = text("packaging/docker/Dockerfile");
    let instruction = |name: &str| {
        let lines = dockerfile
            .lines()
            .filter_map(|line| line.strip_prefix(name));
        lines.map(str::trim).collect::<Vec<_>>()
    };
    assert_eq!(instruction("FROM ").len(), 2);
    assert!(
        instruction("FROM ")
            .iter()
            .all(|image| *image == "scratch" || image.contains(':') && !image.contains("latest"))
    );
    let last = dockerfile.rsplit("FROM ").next().expect("a stage");
    let stray = last
        .lines()
        .filter(|line| line.starts_with("RUN ") || line.starts_with("ADD "));
    assert_eq!(stray.count(), 0, "the last stage installs nothing");
    for kept in [
        "src",
        "crates",
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
        "benches",
        "README.md",
        "scripts",
        "images",
    ] {
        let ignored = text("packaging/docker/Dockerfile.dockerignore");
        assert!(
            !ignored.lines().any(|line| line == kept),
            "the build reads {kept}"
        );
    }
    compose_is_hardened();
}

/// Reads the compose file. `server_image::compose` runs it.
fn compose_is_hardened() {
    let compose = text("packaging/docker/compose.yaml");
    for line in [
        "read_only: true",
        "cap_drop: [\"ALL\"]",
        "no-new-privileges:true",
        "\"127.0.0.1:${CASEMATE_PORT:-8080}:8080\"",
        "user: \"65532:65532\"",
        "./etc:/etc/casemate:ro",
    ] {
        assert!(compose.contains(line), "{line}");
    }
    // A mount of a file would keep the old file after a replacement, with its revoked tokens.
    assert!(!compose.contains(".toml:/"), "{compose}");
}

#[test]
fn completions_and_manual_pages_know_every_verb() {
    let command = casemate::cli::Cli::command();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let verbs: Vec<_> = verbs.map(|verb| verb.get_name()).collect();
    for known in ["serve", "restore", "stop", "users", "man", "completions"] {
        assert!(verbs.contains(&known), "{known}: {verbs:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = run(Command::new(CASEMATE).args(["completions", shell])).expect("it is there");
        for word in verbs.iter().chain(&["idle-timeout"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let directory = Directory::new(0);
    run(Command::new(CASEMATE).args(["man", directory.text()]));
    let page = |name: &str| std::fs::read_to_string(Path::new(directory.text()).join(name));
    for verb in verbs {
        let page = page(&format!("casemate-{verb}.1")).expect(verb);
        for section in ["SYNOPSIS", "OPTIONS", "EXAMPLES"] {
            assert!(page.contains(&format!(".SH {section}")), "{verb}: {page}");
        }
    }
    let main = page("casemate.1").expect("casemate.1");
    for verb in ["doctor", "completions", "stop"] {
        assert!(
            main.contains(&format!("casemate\\-{verb}")),
            "{verb}: {main}"
        );
    }
    assert!(page("casemate-backup-list.1").is_ok());
}
