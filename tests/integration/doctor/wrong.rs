//! Problems are found, with a suggested fix, and independent checks still run.

use super::{Report, doctor, nothing_is_left};
use crate::harness::{Directory, Instance, docker};

#[test]
fn without_an_engine_it_says_all_it_can_and_what_to_do() {
    let instance = Instance::new();
    let nowhere = ("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let report = Report::of(
        &instance,
        &[
            nowhere,
            ("CASEMATE_MODE", "bind"),
            ("CASEMATE_BIND_DIR", "/nonexistent"),
        ],
    );
    report.says(
        "engine",
        "error",
        "/nonexistent/docker.sock",
        "start Docker",
    );
    report.says("bind", "error", "/nonexistent", "make the directory");
    assert_eq!(report.level("settings"), "ok");
    assert!(!report.has("sandbox"), "{}", report.0);
    assert_eq!(
        report.0["settings"].as_array().map(Vec::is_empty),
        Some(false)
    );
    assert_eq!(report.1, Some(2));

    let report = Report::of(&instance, &[("DOCKER_HOST", "ssh://host")]);
    report.says("engine", "error", "ssh", "DOCKER_HOST");
    assert_eq!(report.1, Some(2));
}

#[test]
fn a_wrong_setting_is_named_and_the_engine_is_looked_at_all_the_same() {
    let instance = Instance::new();
    for (name, value, said) in [
        ("CASEMATE_MEMROY", "1g", "CASEMATE_MEMORY"),
        ("CASEMATE_PIDS", "many", "CASEMATE_PIDS"),
    ] {
        let report = Report::of(&instance, &[(name, value)]);
        report.says("settings", "error", said, "--help");
        assert_eq!(report.level("engine"), "ok");
        assert!(!report.has("sandbox"));
        assert_eq!(report.1, Some(2));
    }
    let tokens = [
        ("CASEMATE_AUTH", "tokens"),
        ("CASEMATE_TOKENS_FILE", "/nonexistent/tokens.toml"),
    ];
    let report = Report::of(&instance, &tokens);
    report.says(
        "tokens",
        "error",
        "/nonexistent/tokens.toml",
        "casemate token",
    );
    nothing_is_left(&instance);
}

/// The same problem ends a server at its start.
#[test]
fn files_that_no_server_could_start_with_are_named() {
    let instance = Instance::new();
    let directory = Directory::new(0);
    let broken = format!("{}/broken", directory.text());
    std::fs::write(&broken, "tokens = [").expect("a file");
    let nowhere = ("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    for file in [directory.text(), &broken] {
        let tokens = [
            nowhere,
            ("CASEMATE_AUTH", "tokens"),
            ("CASEMATE_TOKENS_FILE", file),
        ];
        Report::of(&instance, &tokens).says("tokens", "error", file, "casemate token");
        let jwt = [
            nowhere,
            ("CASEMATE_AUTH", "jwt"),
            ("CASEMATE_JWT_ISSUER", "https://issuer.example.com"),
            ("CASEMATE_JWT_AUDIENCE", "casemate"),
            ("CASEMATE_JWT_JWKS", file),
        ];
        Report::of(&instance, &jwt).says("jwt", "error", file, "issuer's keys");
    }
    // No Engine listens on this port.
    let bucket = [
        nowhere,
        ("CASEMATE_BACKUP_TARGET", "s3://bucket/prefix"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ];
    Report::of(&instance, &bucket).says("backup", "error", "s3://bucket/prefix", "AWS_");
}

#[test]
fn a_report_that_cannot_be_printed_is_no_warning() {
    let instance = Instance::new();
    let nowhere = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let full = std::fs::File::create("/dev/full").expect("it is there");
    let output = doctor(&instance, &nowhere, &["--json"])
        .stdout(full)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn without_the_image_or_the_room_it_says_so_and_makes_nothing() {
    let instance = Instance::new();
    let absent = "casemate-test-absent:latest";
    let report = Report::of(&instance, &[("CASEMATE_IMAGE", absent)]);
    report.says("image", "warning", absent, &format!("docker pull {absent}"));
    assert_eq!(report.level("sandbox"), "note");
    report.exit_code_is_right();

    // With mapped ids the Engine's data is in a directory that this machine may not have.
    let data = docker::output(&["info", "--format", "{{.DockerRootDir}}"]);
    if !std::path::Path::new(&data).exists() {
        return nothing_is_left(&instance);
    }
    let report = Report::of(&instance, &[("CASEMATE_MIN_FREE_DISK", "1024t")]);
    report.says(
        "disk",
        "error",
        "CASEMATE_MIN_FREE_DISK",
        "docker system df",
    );
    report.says(
        "sandbox",
        "error",
        "must stay free",
        "see the findings above",
    );
    assert_eq!(report.1, Some(2));
    nothing_is_left(&instance);
}
