//! The audit of calls: of a server that is killed, with a full disk, and with files that
//! somebody changes.

mod full_disk;
mod records;
mod servers;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::{Directory, Instance, TestServer};

const SOON: Duration = Duration::from_secs(10);

pub fn audited(instance: &Instance, directory: &Directory) -> TestServer {
    TestServer::on(instance)
        .env("CASEMATE_AUDIT", directory.text())
        .env("CASEMATE_WARM", "off")
}

fn files(directory: &Directory) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.text()).expect("a directory");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("one").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    files
}

pub fn lines(directory: &Directory) -> Vec<Value> {
    let files = files(directory).into_iter();
    let texts = files.map(|file| fs::read_to_string(file).expect("text"));
    let lines = texts.collect::<String>();
    let json = |line: &str| serde_json::from_str(line).expect("JSON");
    lines.lines().map(json).collect()
}

fn calls(directory: &Directory) -> Vec<Value> {
    let mut lines = lines(directory);
    lines.retain(|line| line["kind"] == "call");
    lines
}

fn verify(path: &str) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_casemate"))
        .args(["audit", "verify", path])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(bytes.as_ref());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
