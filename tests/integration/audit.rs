//! What is recorded of calls, by a server that is killed, whose disk is full, and whose
//! files somebody changes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use casemate::audit::{Audit, Options, RemovalRecord};
use casemate::meter::Meter;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Directory, Instance, TestServer, docker, eventually};

const SOON: Duration = Duration::from_secs(10);

fn audited(instance: &Instance, directory: &Directory) -> TestServer {
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

fn lines(directory: &Directory) -> Vec<Value> {
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

#[tokio::test]
async fn every_call_has_one_line_that_says_whose_it_was_and_not_what_was_in_it() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).user("ada").start().await;
    let arguments = json!({ "command": "echo secret-$((40+2))" });
    server.call("shell_exec", arguments.clone()).await;
    server.read("none").await;
    server.call("shell_exec", json!({ "command": 7 })).await;
    let container = instance.container();
    assert!(server.end().await.success());
    let calls = calls(&directory);
    let said = calls.iter().map(|line| (&line["tool"], &line["outcome"]));
    assert_eq!(
        json!(said.collect::<Vec<_>>()),
        json!([
            ["shell_exec", "exited"],
            ["read_file", "not_found"],
            ["shell_exec", "invalid_argument"],
        ])
    );
    let first = &calls[0];
    assert_eq!(
        first["user"],
        json!({ "issuer": "local", "subject": "ada" })
    );
    assert_eq!(first["arguments_sha256"], sha256(arguments.to_string()));
    assert_eq!(first["container"], container.as_str());
    assert_eq!(first["server"]["instance"], instance.name());
    assert!(first["duration_ms"].as_u64() > Some(0), "{first}");
    // What was refused before it came to one.
    assert_eq!(calls[2]["container"], Value::Null);
    let all = lines(&directory);
    let kinds = all.iter().map(|line| &line["kind"]);
    assert_eq!(
        json!(kinds.collect::<Vec<_>>()),
        json!([
            "started", "begun", "call", "call", "begun", "call", "stopped"
        ])
    );
    assert!(!json!(all).to_string().contains("secret"));
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("7 lines in 1 files"), "{said}");
}

#[tokio::test]
async fn contents_are_recorded_where_that_is_asked_for_and_up_to_a_bound() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).env("CASEMATE_AUDIT_CONTENT", "on");
    let server = server.start().await;
    server.shell("echo out-$((40+2))").await;
    server.write("long", &"a".repeat(100_000)).await;
    assert!(server.end().await.success());
    let calls = calls(&directory);
    let text = |line: &Value, field: &str| line[field].as_str().expect(field).to_owned();
    assert!(
        text(&calls[0], "arguments").contains("echo out-"),
        "{calls:?}"
    );
    assert!(text(&calls[0], "result").contains("out-42"));
    let long = text(&calls[1], "arguments");
    assert!((65_536..66_000).contains(&long.len()) && long.contains("bytes in all"));
    assert_eq!(verify(directory.text()).0.status.code(), Some(0));
}

#[tokio::test]
async fn files_over_http_are_recorded_with_the_hash_of_what_went_in_and_out() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).start_http().await;
    let content = vec![7u8; 3 << 20];
    let put = server.request("PUT", "/files/content/a");
    assert_eq!(server.send(put, content.clone()).await.status(), 201);
    let (status, text) = server.get("/files/download/a").await;
    assert_eq!((status.as_u16(), text.len()), (200, content.len()));
    let (_, listing) = server.get("/files/list").await;
    let head = server.request("HEAD", "/files/content/a");
    assert_eq!(server.send(head, "").await.status(), 200);
    let (status, _) = server.get("/files/download/none").await;
    assert_eq!(status, 404);
    assert_eq!(server.get("/files/download/").await.0, 200, "an archive");
    let delete = server.request("DELETE", "/files/content/a");
    assert!(server.send(delete, "").await.status().is_success());
    let calls = calls(&directory);
    let said = calls.iter().map(|line| (&line["tool"], &line["outcome"]));
    assert_eq!(
        json!(said.collect::<Vec<_>>()),
        json!([
            ["http_upload", "ok"],
            ["http_download", "ok"],
            ["http_list", "ok"],
            ["http_stat", "ok"],
            ["http_download", "not_found"],
            ["http_download", "ok"],
            ["http_delete", "ok"],
        ])
    );
    assert_eq!(calls[0]["content_sha256"], sha256(&content));
    assert_eq!(calls[0]["arguments_sha256"], sha256("/files/content/a"));
    assert_eq!(calls[1]["result_sha256"], sha256(&content));
    assert_eq!(calls[1].get("content_sha256"), None);
    assert_eq!(calls[2]["result_sha256"], sha256(listing));
    let container = instance.container();
    assert!(
        calls
            .iter()
            .all(|line| line["container"] == container.as_str()),
        "{calls:?}"
    );
    assert!(calls.iter().all(|line| line["user"]["subject"] == "tester"));
}

#[tokio::test]
async fn a_download_that_its_client_leaves_is_recorded_as_broken_off() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).start_http().await;
    server.shell("truncate -s 200M big").await;
    let answer = server
        .send(server.request("GET", "/files/download/big"), "")
        .await;
    assert_eq!(answer.status(), 200);
    drop(answer);
    eventually("its line is there", SOON, async || {
        calls(&directory)
            .iter()
            .any(|line| line["outcome"] == "broken_off")
    })
    .await;
}

#[tokio::test]
async fn a_killed_server_loses_no_line_and_the_next_seals_what_it_left() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let mut server = audited(&instance, &directory).start().await;
    for _ in 0..20 {
        server.list(".").await;
    }
    server.child.kill().await.expect("killed");
    assert_eq!(calls(&directory).len(), 20);
    // As a kill in the middle of a line would leave it.
    let file = files(&directory).remove(0);
    let text = fs::read_to_string(&file).expect("text");
    fs::write(&file, text.clone() + r#"{"seq":22,"pre"#).expect("written");
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(":22: is not finished"), "{said}");

    let next = audited(&instance, &directory).start().await;
    next.list(".").await;
    // Also while it runs.
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(":22: was not finished when its server was killed"),
        "{said}"
    );
    assert!(next.end().await.success());

    // What is no tear is told from one, by file and line.
    let sealed = fs::read_to_string(&file).expect("text");
    fs::write(&file, sealed.replacen("list_files", "read_file!", 1)).expect("written");
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(2), "{said}");
    let place = format!("{}:2: was changed", file.display());
    assert!(said.contains(&place), "{said}");
    // Back to before the seal: the later server saw more.
    fs::write(&file, text).expect("written");
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("was there when a later server started"),
        "{said}"
    );
}

#[tokio::test]
async fn a_command_that_outlives_its_server_has_left_a_line() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let mut server = audited(&instance, &directory).user("ada").start().await;
    let arguments = json!({ "command": "touch runs; sleep 1000" });
    let params = json!({ "name": "shell_exec", "arguments": arguments });
    let (_, _call) = server.rpc.start("tools/call", params).await;
    eventually("it runs", SOON, async || {
        let running = docker::lines(&["ps", "--quiet", "--filter", &instance.label()]);
        let runs = |id: &String| docker::exec(id, "ls /workspace").contains("runs");
        running.first().is_some_and(runs)
    })
    .await;
    server.child.kill().await.expect("killed");
    let all = lines(&directory);
    let begun = all.last().expect("a line");
    assert_eq!(begun["kind"], "begun", "{all:?}");
    assert_eq!(begun["user"]["subject"], "ada");
    assert_eq!(begun["arguments_sha256"], sha256(arguments.to_string()));
    assert_eq!(calls(&directory), [Value::Null; 0]);
}

#[tokio::test]
async fn two_servers_of_one_directory_have_a_file_each() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let (one, two) = tokio::join!(
        audited(&instance, &directory).user("a").start(),
        audited(&instance, &directory).user("b").start(),
    );
    tokio::join!(
        async {
            for _ in 0..20 {
                one.list(".").await;
            }
        },
        async {
            for _ in 0..20 {
                two.list(".").await;
            }
        },
    );
    assert!(one.end().await.success() && two.end().await.success());
    assert_eq!((files(&directory).len(), calls(&directory).len()), (2, 40));
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("note"), "{said}");
}

/// A file system of 256 KiB at the directory.
struct Mounted<'a>(&'a Directory);

impl<'a> Mounted<'a> {
    /// `None` where this machine mounts none.
    #[expect(clippy::print_stderr, reason = "a test that does not run says why")]
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
        eprintln!("skipped: {}", String::from_utf8_lossy(&mount.stderr).trim());
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
    // All that is left: writing ends with an error.
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
async fn a_disk_that_is_full_behind_the_first_line_of_a_file_leaves_no_gap_in_the_chain() {
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
    // One page is free then: room for the first line, and not for all of the next.
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

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_ends_the_start_with_its_name() {
    let directory = Directory::new(0);
    let file = format!("{}/file", directory.text());
    fs::write(&file, "").expect("written");
    let server = TestServer::new().env("CASEMATE_AUDIT", &file);
    let ended = server.command().stdin(Stdio::null()).output().await;
    let ended = ended.expect("it runs");
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains(&file) && said.contains("audit"), "{said}");
}
