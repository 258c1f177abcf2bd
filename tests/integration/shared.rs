//! Data that sandboxes read and do not own.

mod collected;
mod hostile;
mod killed;
mod modes;
mod readable;
mod removed;
mod versions;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Directory, Instance, Server, SettingFile, TestServer, docker, eventually};

/// For what takes the Engine some seconds, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Where the tests' share is in sandboxes.
const AT: &str = "/shared/datasets";

/// Everybody reads it.
const FOR_ALL: &str =
    "shared_data = \"datasets\"\n[[shared]]\nname = \"datasets\"\npath = \"/shared/datasets\"\n";

/// An instance with a settings file, and a directory with data.
struct Lab {
    instance: Instance,
    settings: SettingFile,
    data: Directory,
}

impl Lab {
    fn new(settings: &str) -> Self {
        Self {
            instance: Instance::new(),
            settings: SettingFile::new(settings),
            data: Directory::new(0),
        }
    }

    /// With one version, whose file `value` has this content.
    fn with_value(settings: &str, value: &str) -> Self {
        let lab = Self::new(settings);
        lab.put_value(value);
        lab
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = Path::new(self.data.text()).join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, content).expect("a file");
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.instance.command(args);
        command.env("CASEMATE_CONFIG", self.settings.text());
        command
    }

    /// The output of a verb. Panics if it fails.
    fn done(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("it runs");
        let errors = text(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        text(&output.stdout)
    }

    /// The errors of a verb. Panics if it succeeds.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("it runs");
        let printed = text(&output.stdout);
        assert!(!output.status.success(), "{args:?}: {printed}");
        text(&output.stderr)
    }

    fn json(&self, args: &[&str]) -> Value {
        let printed = self.done(args);
        serde_json::from_str(&printed).expect("JSON")
    }

    /// Puts the directory.
    fn put(&self, more: &[&str]) -> Value {
        let put = ["shared", "put", "datasets", self.data.text(), "--json"];
        self.json(&[&put, more].concat())
    }

    fn put_value(&self, value: &str) -> Value {
        self.file("value", value);
        self.put(&[])
    }

    /// Puts an archive through a pipe.
    fn put_archive(&self, archive: &[u8]) -> Output {
        let mut child = self
            .command(&["shared", "put", "datasets", "-", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut input = child.stdin.take().expect("a pipe");
        // One that is refused early is not read to its end.
        let _ = input.write_all(archive);
        drop(input);
        child.wait_with_output().expect("it ends")
    }

    fn list(&self) -> Vec<Value> {
        let listed = self.json(&["shared", "list", "--json"]);
        listed.as_array().expect("a list").clone()
    }

    /// The newest version.
    fn newest(&self) -> Value {
        let mut rows = self.list().into_iter();
        let newest = rows.find(|row| row["newest"] == true);
        newest.unwrap_or_default()["version"].clone()
    }

    fn server(&self, user: &str) -> TestServer {
        let server = TestServer::on(&self.instance).user(user);
        server.env("CASEMATE_CONFIG", &self.settings.text())
    }

    async fn start(&self, user: &str) -> Server {
        self.server(user).start().await
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value that a sandbox reads.
async fn value(server: &Server) -> String {
    let result = server.shell(&format!("cat {AT}/value")).await;
    assert_eq!(result.stderr(), "", "{}", result.0);
    result.stdout().to_owned()
}

/// Waits until nothing of the instance runs that fills a volume.
async fn helpers_are_gone(instance: &Instance) {
    eventually("helper containers end", SOON, async || {
        let containers = instance.containers();
        let names = containers
            .iter()
            .map(|id| docker::lines(&["inspect", "--format", "{{.Name}}", id]));
        !names.flatten().any(|name| name.contains("-put-"))
    })
    .await;
}
