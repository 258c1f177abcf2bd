//! A path of this machine is never a path of the Engine's: a directory of the same name there is
//! another one.

use std::fs;

use serde_json::Value;

use super::is_remote;
use crate::harness::{Directory, Instance, TOOLS_IMAGE, TestServer, docker};

/// A directory of the Engine's host, at a path that this machine has too.
struct Twin<'a>(&'a Directory);

impl<'a> Twin<'a> {
    fn of(here: &'a Directory) -> Self {
        let twin = Self(here);
        twin.sh("echo theirs > /there/file; chown -R 1000:1000 /there");
        twin
    }

    /// What a shell prints that has the directory as `/there`.
    fn sh(&self, script: &str) -> String {
        let volume = format!("{}:/there", self.0.text());
        let run = [
            "run",
            "--rm",
            "--user=0",
            "--network=none",
            "--volume",
            &volume,
        ];
        docker::output(&[&run[..], &[TOOLS_IMAGE, "sh", "-c", script]].concat())
    }
}

impl Drop for Twin<'_> {
    fn drop(&mut self) {
        self.sh("rm -rf /there/* /there/.[a-z]*");
    }
}

#[tokio::test]
async fn bind_mode_is_refused_and_the_directory_of_that_name_there_stays_as_it_is() {
    if !is_remote() {
        return;
    }
    let (here, instance) = (Directory::new(1000), Instance::new());
    fs::write(format!("{}/file", here.text()), "ours\n").expect("a file");
    let twin = Twin::of(&here);
    let server = TestServer::on(&instance)
        .env("CASEMATE_MODE", "bind")
        .env("CASEMATE_BIND_DIR", here.text());
    let server = server.start().await;
    for result in [server.shell("cat file").await, server.read("file").await] {
        assert_eq!(result.code(), "workspace_unusable", "{}", result.0);
        assert!(result.text().contains("on another machine"), "{}", result.0);
    }
    assert!(instance.containers().is_empty());
    assert_eq!(twin.sh("cd /there; ls -A; cat file"), "file\ntheirs");
    let entries = fs::read_dir(here.text()).expect("a directory");
    assert_eq!(entries.count(), 1, "only the file");
}

/// A mount of anything else would have to be a path.
#[tokio::test]
async fn a_sandbox_has_its_volume_and_no_path_of_either_machine() {
    if !is_remote() {
        return;
    }
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = docker::inspect("container", &server.instance.container());
    let mounts = container["Mounts"].as_array().expect("mounts");
    // Podman has its volumes there too, by name.
    let volume = mounts[0]["Name"].as_str().expect("a volume");
    let mut binds = container["HostConfig"]["Binds"]
        .as_array()
        .into_iter()
        .flatten();
    let is_volume = |bind: &Value| {
        bind.as_str()
            .is_some_and(|it| it.starts_with(&format!("{volume}:")))
    };
    assert!(binds.all(is_volume), "{container}");
    let kinds: Vec<&Value> = mounts.iter().map(|mount| &mount["Type"]).collect();
    assert_eq!(kinds, ["volume"], "{container}");
}

/// It is read here and streamed.
#[tokio::test]
async fn shared_data_is_a_directory_of_this_machine() {
    if !is_remote() {
        return;
    }
    let (here, instance) = (Directory::new(0), Instance::new());
    fs::write(format!("{}/value", here.text()), "ours\n").expect("a file");
    let text = "shared_data = \"datasets\"\n[[shared]]\nname = \"datasets\"\npath = \"/shared/datasets\"\n";
    let settings = crate::harness::SettingFile::new(text);
    let mut put = instance.command(&["shared", "put", "datasets", here.text()]);
    put.env("CASEMATE_CONFIG", settings.text());
    let put = put.output().expect("it runs");
    let errors = String::from_utf8_lossy(&put.stderr);
    assert!(put.status.success(), "{errors}");
    let server = TestServer::on(&instance).env("CASEMATE_CONFIG", &settings.text());
    let server = server.start().await;
    let read = server.shell("cat /shared/datasets/value").await;
    assert_eq!(read.stdout(), "ours\n", "{}", read.0);
}
