//! Settings that end a server at its start: one line names the key, the value and the allowed
//! values, however the setting was given.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::harness::{Directory, TestServer};

/// `casemate serve` with these settings in its environment, nothing to read and no Engine.
fn serve(settings: &[(&str, &str)]) -> Output {
    Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_casemate"), "serve"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the server can be run")
}

/// Asserts that the server ends at once and prints all `parts`.
fn is_refused(settings: &[(&str, &str)], parts: &[&str]) {
    let output = serve(settings);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{settings:?}: {error}");
    assert!(output.stdout.is_empty(), "{settings:?}: {output:?}");
    assert_eq!(error.lines().count(), 1, "{settings:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
}

#[test]
fn invalid_modes_and_values_are_refused_with_their_key() {
    for (key, value, allowed) in [
        (
            "CASEMATE_MODE",
            "persistant",
            "it is one of: persistent, ephemeral, bind",
        ),
        ("CASEMATE_PIDS", "1", "it goes from 16 to 32768"),
        ("CASEMATE_PIDS", "0", "it goes from 16 to 32768"),
        ("CASEMATE_MEMORY", "31m", "it goes from 32m to 1024t"),
        ("CASEMATE_MEMORY", "0", "it goes from 32m to 1024t"),
        ("CASEMATE_CPUS", "0", "it goes from 0.01 to 256"),
        ("CASEMATE_QUOTA", "63m", "it goes from 64m to 1024t"),
        ("CASEMATE_IDLE_TIMEOUT", "0s", "it goes from 1s to 7days"),
        ("CASEMATE_MAX_SANDBOXES", "0", "it goes from 1 to 10000"),
        ("CASEMATE_CALLS_PER_USER", "0", "it goes from 1 to 256"),
        ("CASEMATE_EPHEMERAL_LIVE", "0", "it goes from 1 to 64"),
        ("CASEMATE_MAX_SANDBOXES", "-1", "a whole number is needed"),
    ] {
        let quoted = format!("{value:?}");
        is_refused(
            &[(key, value)],
            &[&format!("variable {key}"), &quoted, allowed],
        );
    }
}

/// A file next to the workspaces.
fn a_file(directory: &Directory) -> PathBuf {
    let file = PathBuf::from(directory.text()).join("file");
    fs::write(&file, "no directory").expect("a file");
    file
}

#[test]
fn a_directory_to_bind_that_is_missing_or_a_file_is_refused_before_serving() {
    let directory = Directory::new(1000);
    let missing = format!("{}/missing", directory.text());
    let file = a_file(&directory).to_string_lossy().into_owned();
    let beneath = format!("{file}/beneath");
    for key in ["CASEMATE_BIND_DIR", "CASEMATE_BIND_ROOT"] {
        for (path, why) in [
            (&missing, "No such file or directory"),
            (&file, "not a directory"),
            (&beneath, "Not a directory"),
        ] {
            let settings = [("CASEMATE_MODE", "bind"), (key, path)];
            let named = format!("variable {key}: {path}: ");
            is_refused(&settings, &[&named, why, "create the directory"]);
        }
    }
}

#[test]
fn settings_of_which_one_excludes_the_other_are_refused_with_both_named() {
    let directory = Directory::new(1000);
    let (bind, dir) = (("CASEMATE_MODE", "bind"), directory.text());
    let (root, exactly) = (("CASEMATE_BIND_ROOT", dir), ("CASEMATE_BIND_DIR", dir));
    is_refused(
        &[bind],
        &["variable CASEMATE_MODE", "bind_root or bind_dir"],
    );
    is_refused(
        &[exactly],
        &["variable CASEMATE_BIND_DIR", "no user is in mode bind"],
    );
    is_refused(
        &[bind, root, exactly],
        &["variable CASEMATE_BIND_DIR", "variable CASEMATE_BIND_ROOT"],
    );
}

#[tokio::test]
async fn a_directory_that_vanishes_is_an_error_of_the_call_until_it_is_back() {
    let directory = Directory::new(1000);
    let path = PathBuf::from(directory.text()).join("work");
    let make = || {
        fs::create_dir(&path).expect("a directory");
        std::os::unix::fs::chown(&path, Some(1000), Some(1000)).expect("root");
    };
    make();
    let server = TestServer::new()
        .env("CASEMATE_MODE", "bind")
        .env("CASEMATE_BIND_DIR", path.to_str().expect("UTF-8"))
        .env("CASEMATE_WARM", "off")
        .start()
        .await;
    fs::remove_dir(&path).expect("it is empty");
    for _ in 0..2 {
        let refused = server.shell("true").await;
        assert_eq!(refused.code(), "workspace_unusable", "{}", refused.0);
        let text = refused.text();
        assert!(text.contains(path.to_str().expect("UTF-8")), "{text}");
    }
    make();
    let result = server.shell("echo there > file; cat file").await;
    assert_eq!(result.stdout(), "there\n", "{}", result.0);
}
