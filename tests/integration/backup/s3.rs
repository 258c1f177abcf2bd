//! Into an S3 over HTTP, and back. It is a mock: moto's server, which scripts/setup-tests
//! installs, keeps buckets in its memory and speaks the REST API of S3 (multipart
//! uploads among it), but checks no signature and is no proof for any other S3.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::{PATIENCE, exec, text};
use crate::harness::{Instance, eventually};

/// One that answers, with the bucket `backups`. Dropping it ends it.
struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    /// # Errors
    /// Why it cannot be had.
    async fn start() -> Result<Self, &'static str> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
        if !program.exists() {
            return Err("it needs moto's server, which scripts/setup-tests installs from PyPI");
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Command::new(program)
            .args(["-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let moto = Self { child, port };
        eventually("moto answers", PATIENCE, async || {
            moto.request("PUT", "/backups").contains("200 OK")
        })
        .await;
        Ok(moto)
    }

    /// The whole answer; empty when there is none.
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

    /// Bytes of the object with this name, whatever its place.
    fn size_of(&self, name: &str) -> Option<u64> {
        let listed = self.request("GET", "/backups?list-type=2");
        let found = listed
            .split("<Contents>")
            .find(|object| object.contains(&format!("{name}</Key>")))?;
        let (_, size) = found.split_once("<Size>")?;
        size.split_once("</Size>")?.0.parse().ok()
    }

    /// Uploads that are neither complete nor given up.
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

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_workspace_goes_into_a_bucket_in_parts_and_comes_back() {
    let moto = match Moto::start().await {
        Ok(moto) => moto,
        Err(why) => {
            eprintln!("not run: {why}");
            return;
        }
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
    exec(&instance, "echo new > file; rm random");
    moto.done(&instance, &["restore", "alice"]);
    assert_eq!(
        exec(&instance, "cat file; sha256sum --check sum"),
        "old\nrandom: OK\n"
    );
}

#[tokio::test]
async fn a_killed_backup_leaves_neither_keys_nor_parts_of_uploads_behind_the_next_one() {
    let moto = match Moto::start().await {
        Ok(moto) => moto,
        Err(why) => {
            eprintln!("not run: {why}");
            return;
        }
    };
    let instance = Instance::new();
    exec(&instance, "head -c 300M /dev/urandom > random");
    let mut command = moto.command(&instance, &["backup", "alice"]);
    let mut running = command.stderr(Stdio::null()).spawn().expect("it starts");
    // Its sign of life grows by the names of the uploads.
    eventually("it uploads", PATIENCE, async || {
        moto.size_of("/started.json").is_some_and(|size| size > 300)
    })
    .await;
    running.kill().expect("killed");
    running.wait().expect("a status");
    assert_eq!(moto.uploads(), 2);
    assert!(!moto.run(&instance, &["restore", "alice"]).status.success());
    exec(&instance, "truncate -s 1M random");
    moto.done(&instance, &["backup", "alice"]);
    assert_eq!(moto.keys().len(), 3, "{:?}", moto.keys());
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
