//! Backups and restores by the command line and on a schedule, to a directory and to S3.

mod clock;
mod drill;
mod first_layout;
mod killed;
mod large;
mod limits;
mod moment;
mod refused;
mod s3;
mod works;

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use crate::harness::{Directory, Instance};

/// Deadline of a wait, on a busy machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a verb.
fn casemate(instance: &Instance, args: &[&str]) -> Output {
    instance.command(args).output().expect("it runs")
}

/// The output of a verb. Panics if it fails.
fn done(instance: &Instance, args: &[&str]) -> String {
    let output = casemate(instance, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The errors of a verb. Panics if it succeeds.
fn refused(instance: &Instance, args: &[&str]) -> String {
    let output = casemate(instance, args);
    assert!(
        !output.status.success(),
        "{args:?}: {}",
        text(&output.stdout)
    );
    text(&output.stderr)
}

/// The output of a command in the sandbox of `alice`.
fn exec(instance: &Instance, command: &str) -> String {
    done(
        instance,
        &[
            "exec",
            "alice",
            "--create",
            "--timeout",
            "300",
            "--",
            command,
        ],
    )
}

/// A directory for backups.
fn target() -> Directory {
    Directory::new(0)
}

/// The directories of all backups below a target, complete or not, oldest first.
fn backups(target: &Directory) -> Vec<PathBuf> {
    let mut level = vec![PathBuf::from(target.text())];
    for _ in 0..3 {
        let below = |path: PathBuf| {
            let entries = std::fs::read_dir(path).into_iter().flatten();
            entries.map(|entry| entry.expect("an entry").path())
        };
        level = level.into_iter().flat_map(below).collect();
    }
    level.sort();
    level
}

/// Names of the objects of one backup, sorted.
fn objects(backup: &PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(backup).expect("a directory");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// The objects of a complete backup.
const COMPLETE: [&str; 3] = ["entries.jsonl.zst", "manifest.json", "workspace.tar.zst"];
