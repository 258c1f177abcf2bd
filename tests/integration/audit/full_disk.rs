//! A full disk.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use casemate::audit::{Audit, Options, RemovalRecord};
use casemate::meter::Meter;
use serde_json::json;

use super::{audited, calls, files, lines, verify};
use crate::harness::{Directory, Instance, not_run};

/// A file system of 256 KiB at the directory.
struct Mounted<'a>(&'a Directory);

impl<'a> Mounted<'a> {
    /// `None` if this machine cannot mount it.
    fn new(directory: &'a Directory) -> Option<Self> {
        let mount = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                "size=256k,mode=700",
                "tmpfs",
                directory.text(),
            ])
            .output()
            .expect("mount");
        if mount.status.success() {
            return Some(Self(directory));
        }
        not_run(String::from_utf8_lossy(&mount.stderr).trim());
        None
    }

    fn filler(&self) -> PathBuf {
        PathBuf::from(self.0.text()).join("filler")
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["--lazy", self.0.text()])
            .status();
    }
}

#[tokio::test]
async fn with_a_full_disk_calls_are_refused_until_a_line_can_be_written_again() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let Some(mounted) = Mounted::new(&directory) else {
        return;
    };
    let server = audited(&instance, &directory).env("CASEMATE_ADMIN", "0");
    let mut server = server.start_http().await;
    server.shell("echo a > file").await;
    // Fills the rest of the disk: the write ends with an error.
    let _ = fs::write(mounted.filler(), vec![0; 1 << 20]);
    let mut done = 0;
    let withheld = loop {
        let result = server.call("list_files", json!({})).await;
        if result.is_error() {
            break result;
        }
        done += 1;
        assert!(done < 100, "a page of memory holds no more lines");
    };
    assert_eq!(withheld.code(), "unrecorded", "{}", withheld.text());
    for _ in 0..3 {
        let refused = server.shell("echo b > file").await;
        assert_eq!(refused.code(), "audit_unavailable", "{}", refused.text());
    }
    let (status, text) = server.get("/files/download/file").await;
    assert!(
        status == 503 && text.contains("audit_unavailable"),
        "{text}"
    );
    assert_eq!(calls(&directory).len(), 1 + done, "no line is torn");

    fs::remove_file(mounted.filler()).expect("removed");
    let (status, text) = server.get("/files/download/file").await;
    assert_eq!(
        (status.as_u16(), text.as_str()),
        (200, "a\n"),
        "nothing was done"
    );
    let resumed = lines(&directory)
        .into_iter()
        .find(|line| line["kind"] == "resumed");
    assert_eq!(resumed.expect("a line")["refused"], 4);
    let address = server.admin.expect("an admin address");
    let request = hyper::Request::builder().uri("/metrics");
    let request = request.header("host", address.to_string());
    let metrics = server.send_to(address, request, "").await.text().await;
    assert!(
        metrics.contains("casemate_audit_failures_total 1\n"),
        "{metrics}"
    );
    server.signal("TERM");
    assert!(server.wait().await.success());
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("note"), "{said}");
}

#[tokio::test]
async fn a_disk_that_fills_up_in_a_new_file_leaves_no_gap_in_the_chain() {
    let directory = Directory::new(0);
    let Some(mounted) = Mounted::new(&directory) else {
        return;
    };
    let name = || "a".to_owned();
    let options = Options::new(directory.text().into(), false, name(), name());
    // A file for each line.
    let options = Options {
        part_bytes: 1,
        ..options
    };
    let audit = Audit::open(options, Meter::new()).expect("an audit");
    let removal = |reason: &str| RemovalRecord {
        what: "volume",
        name: name(),
        user: None,
        reason: reason.to_owned(),
        outcome: "begun".to_owned(),
    };
    audit.removal(removal("fits")).await.expect("written");
    // One page is free then: enough for the first line, but not for all of the next.
    let _ = fs::write(mounted.filler(), vec![0; 1 << 20]);
    let filler = fs::OpenOptions::new().write(true).open(mounted.filler());
    let filler = filler.expect("there");
    let length = filler.metadata().expect("there").len();
    filler.set_len(length - 4096).expect("shorter");
    drop(filler);
    let before = files(&directory).len();
    let refused = audit.removal(removal(&"does not fit ".repeat(1_000))).await;
    refused.expect_err("no room");
    assert_eq!(files(&directory).len(), before + 1, "the next was begun");

    fs::remove_file(mounted.filler()).expect("removed");
    audit.removal(removal("fits again")).await.expect("written");
    audit.close().await;
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
}
