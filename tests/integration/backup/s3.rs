//! Backups to S3 over HTTP, and back. It is a mock: moto's server, which scripts/setup-tests
//! installs, keeps buckets in its memory and speaks the REST API of S3 (multipart
//! uploads included), but checks no signature and proves nothing about another S3.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{CALL_TIMEOUT, exec, text};
use crate::harness::{Directory, Instance, eventually, not_run_but_in_ci};

/// A server that answers, with the bucket `backups`. Dropping it ends it.
struct Moto {
    child: Child,
    port: u16,
    /// Its log: one line per request.
    log: Directory,
}

impl Moto {
    /// `None` if it is not installed. In CI that panics.
    async fn start() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
        if !program.exists() {
            not_run_but_in_ci("no moto; scripts/setup-tests gets it, or says why not");
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let log = Directory::new(0);
        let child = Command::new(program)
            .args(["-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(File::create(log_of(&log)).expect("a log"))
            .spawn()
            .expect("it starts");
        let moto = Self { child, port, log };
        eventually("moto answers", CALL_TIMEOUT, async || {
            moto.request("PUT", "/backups").contains("200 OK")
        })
        .await;
        Some(moto)
    }

    /// How many requests for an object of this name it answered with this status; 206 is a part.
    fn answered(&self, method: &str, name: &str, status: u16) -> usize {
        let log = std::fs::read_to_string(log_of(&self.log)).expect("a log");
        let parts = [
            format!("{method} /backups/"),
            format!("/{name} HTTP/"),
            format!("\" {status} "),
        ];
        let of = |line: &&str| parts.iter().all(|part| line.contains(part));
        log.lines().filter(of).count()
    }

    /// Starts a backup of 300 MB, and waits until both its uploads are under way.
    async fn begin_backup(&self, instance: &Instance) -> Child {
        exec(instance, "head -c 300M /dev/urandom > random");
        let mut command = self.command(instance, &["backup", "alice"]);
        let running = command.stderr(Stdio::null()).spawn().expect("it starts");
        eventually("it says what it uploads", CALL_TIMEOUT, async || {
            self.has_said_all()
        })
        .await;
        running
    }

    /// Whether the heartbeat of a backup names its uploads.
    fn has_said_all(&self) -> bool {
        self.answered("PUT", "started.json", 200) >= 3
    }

    /// The whole answer; empty without one.
    fn request(&self, method: &str, path: &str) -> String {
        let answer = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            let host = "Host: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n";
            write!(stream, "{method} {path} HTTP/1.1\r\n{host}\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        answer().unwrap_or_default()
    }

    /// Keys of the bucket.
    fn keys(&self) -> Vec<String> {
        let listed = self.request("GET", "/backups?list-type=2");
        let keys = listed.split("<Key>").skip(1);
        keys.filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()))
            .collect()
    }

    /// Uploads that are neither complete nor aborted.
    fn uploads(&self) -> usize {
        self.request("GET", "/backups?uploads")
            .matches("<UploadId>")
            .count()
    }

    fn command(&self, instance: &Instance, args: &[&str]) -> Command {
        let mut command = instance.command(args);
        command
            .env("CASEMATE_BACKUP_TARGET", "s3://backups/some/where")
            .env(
                "AWS_ENDPOINT_URL",
                format!("http://127.0.0.1:{}", self.port),
            )
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1");
        command
    }

    fn run(&self, instance: &Instance, args: &[&str]) -> Output {
        self.command(instance, args).output().expect("it runs")
    }

    fn done(&self, instance: &Instance, args: &[&str]) {
        let output = self.run(instance, args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
}

fn log_of(directory: &Directory) -> PathBuf {
    Path::new(directory.text()).join("log")
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_workspace_goes_into_a_bucket_in_parts_and_comes_back() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let instance = Instance::new();
    // More than two parts.
    exec(
        &instance,
        "echo old > file; head -c 40M /dev/urandom > random; sha256sum random > sum",
    );
    moto.done(&instance, &["backup", "alice"]);
    let keys = moto.keys();
    assert_eq!(keys.len(), 3, "{keys:?}");
    let place = format!("some/where/{}/alice-", instance.name());
    assert!(keys.iter().all(|key| key.starts_with(&place)), "{keys:?}");
    assert_eq!(moto.uploads(), 0);
    moto.done(&instance, &["backup", "verify", "alice"]);
    // It was read twice, in pieces of 8 of its 40 MiB: each piece has a separate request and deadline.
    let (pieces, wholes) = (
        moto.answered("GET", "workspace.tar.zst", 206),
        moto.answered("GET", "workspace.tar.zst", 200),
    );
    assert!(
        (10..=12).contains(&pieces) && wholes == 0,
        "{pieces}, {wholes}"
    );
    exec(&instance, "echo new > file; rm random");
    moto.done(&instance, &["restore", "alice"]);
    assert_eq!(
        exec(&instance, "cat file; sha256sum --check sum"),
        "old\nrandom: OK\n"
    );
}

#[tokio::test]
async fn after_the_next_backup_a_killed_one_has_left_no_keys_or_upload_parts() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let instance = Instance::new();
    let mut running = moto.begin_backup(&instance).await;
    running.kill().expect("killed");
    running.wait().expect("a status");
    assert_eq!(moto.uploads(), 2);
    assert!(!moto.run(&instance, &["restore", "alice"]).status.success());
    exec(&instance, "truncate -s 1M random");
    moto.done(&instance, &["backup", "alice"]);
    assert_eq!(moto.keys().len(), 3, "{:?}", moto.keys());
    assert_eq!(moto.uploads(), 0);
}

#[tokio::test]
async fn a_backup_that_is_told_to_end_leaves_neither_keys_nor_parts_of_uploads() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let instance = Instance::new();
    let mut running = moto.begin_backup(&instance).await;
    let pid = i32::try_from(running.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a pid"), Signal::TERM).expect("told");
    assert!(!running.wait().expect("a status").success());
    assert_eq!(moto.keys(), Vec::<String>::new());
    assert_eq!(moto.uploads(), 0);
}

#[test]
fn a_bucket_that_cannot_be_reached_is_named_within_its_deadline() {
    let instance = Instance::new();
    exec(&instance, "true");
    let mut command = instance.command(&["backup", "alice", "--to", "s3://backups"]);
    command
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "not-to-be-shown")
        .env("AWS_REGION", "us-east-1");
    let output = command.output().expect("it runs");
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("in the backup target"), "{said}");
    assert!(!said.contains("not-to-be-shown"), "{said}");
}
