//! Bind mode: a directory of the host is the workspace.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{Instance, Server, TestServer, allowed, docker, eventually, host};

/// A directory of the host that belongs to the sandbox's default uid, next to a canary.
struct Host(PathBuf);

impl Host {
    fn new() -> Self {
        let name = format!("casemate-test-{}", uuid::Uuid::new_v4().simple());
        let base = fs::canonicalize(std::env::temp_dir()).expect("a real path");
        let host = Self(base.join(name));
        fs::create_dir(&host.0).expect("a directory");
        host.directory("work", 1000);
        fs::write(host.at("canary"), "secret of the host").expect("a file");
        host
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn directory(&self, name: &str, owner: u32) -> PathBuf {
        let path = self.at(name);
        fs::create_dir(&path).expect("a directory");
        chown(&path, Some(owner), Some(owner)).expect("the tests run as root");
        path
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A directory and those above it, of which the missing ones are made, and removed again.
struct MadeDirectories(Vec<PathBuf>);

impl MadeDirectories {
    fn new(path: &Path) -> Self {
        let missing = path.ancestors().take_while(|part| !part.exists());
        let missing = missing.map(Path::to_owned).collect();
        fs::create_dir_all(path).expect("the tests run as root");
        Self(missing)
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_dir(path);
        }
    }
}

fn on(instance: &Instance, setting: &str, path: &Path) -> TestServer {
    TestServer::on(instance)
        .env("CASEMATE_MODE", "bind")
        .env(setting, path.to_str().expect("text"))
}

async fn start(instance: &Instance, directory: &Path) -> Server {
    on(instance, "CASEMATE_BIND_DIR", directory).start().await
}

#[tokio::test]
async fn the_directory_is_the_workspace_and_its_owner_is_who_runs() {
    let (host, instance) = (Host::new(), Instance::new());
    let work = host.directory("owned", 4321);
    fs::write(work.join("from-host"), "hello\n").expect("a file");
    let server = start(&instance, &work).await;
    let shell = server.shell("cat from-host; id -u; echo made > made").await;
    assert_eq!(shell.stdout(), "hello\n4321\n", "{}", shell.0);
    assert_eq!(server.read("made").await.text(), "made\n");
    server.write("written", "by the tool").await;
    for name in ["made", "written"] {
        let metadata = fs::metadata(work.join(name)).expect("on the host");
        assert_eq!(metadata.uid(), 4321, "{name}");
    }
    assert!(instance.volumes().is_empty());
}

#[tokio::test]
async fn a_link_that_leads_out_ends_in_the_container_and_the_host_stays_unread() {
    let (host, instance) = (Host::new(), Instance::new());
    let work = host.at("work");
    symlink(host.at("canary"), work.join("absolute")).expect("a link");
    symlink("../canary", work.join("relative")).expect("a link");
    symlink("..", work.join("up")).expect("a link");
    symlink("/etc/hostname", work.join("hostname")).expect("a link");
    let server = start(&instance, &work).await;
    for path in ["absolute", "relative", "up/canary"] {
        let read = server.read(path).await;
        assert!(
            read.is_error() && !read.text().contains("secret"),
            "{}",
            read.0
        );
        let write = server.write(path, "changed").await;
        assert!(write.is_error(), "{path}: {}", write.0);
    }
    // A shell follows the link, inside the container.
    let shell = server
        .shell("cat absolute relative up/canary 2>&1; cat hostname; echo x > relative")
        .await;
    assert!(!shell.stdout().contains("secret"), "{}", shell.0);
    assert!(shell.stdout().ends_with("casemate\n"), "{}", shell.0);
    let canary = fs::read_to_string(host.at("canary")).expect("the canary");
    assert_eq!(canary, "secret of the host");
}

#[tokio::test]
async fn mounts_of_the_host_below_the_directory_are_not_in_the_workspace() {
    let (host, instance) = (Host::new(), Instance::new());
    let work = host.at("work");
    fs::create_dir(work.join("mounted")).expect("a directory");
    let mounted = work.join("mounted");
    let mount = |args: &[&str]| {
        let status = host::command(args[0]).args(&args[1..]).status();
        assert!(status.expect("it runs").success(), "{args:?}");
    };
    let text = mounted.to_str().expect("text").to_owned();
    mount(&["mount", "-t", "tmpfs", "tmpfs", &text]);
    struct Unmount(String);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = host::command("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _unmount = Unmount(text);
    fs::write(host::path(&mounted.join("secret")), "secret").expect("a file");
    let server = start(&instance, &work).await;
    let shell = server.shell("ls -A mounted; stat -c %U mounted").await;
    assert!(!shell.stdout().contains("secret"), "{}", shell.0);
}

#[tokio::test]
async fn home_root_and_system_directories_are_refused_and_nothing_is_made() {
    let (host, instance) = (Host::new(), Instance::new());
    let link = host.at("link");
    symlink(host.at("work"), &link).expect("a link");
    let roots = host.directory("roots", 0);
    let bridges = host.directory("bridges", 65534);
    // On this machine too: bind mode refuses it by its path, and a missing one for another reason.
    let engine = docker::output(&["info", "--format", "{{.DockerRootDir}}"]);
    let _made = MadeDirectories::new(Path::new(&engine));
    for (directory, said) in [
        (link.as_path(), "real path"),
        (&roots, "chown"),
        (&bridges, "chown"),
        (Path::new("/proc"), "kernel"),
        (Path::new("/root"), "home"),
        (Path::new(&engine), "Engine"),
        (Path::new("/var"), "Set a directory"),
    ] {
        let server = start(&instance, directory).await;
        let refused = server.shell("true").await;
        assert_eq!(refused.code(), "workspace_unusable", "{}", refused.0);
        assert!(refused.text().contains(said), "{}", refused.0);
    }
    assert!(instance.containers().is_empty());
}

#[tokio::test]
async fn each_user_has_a_directory_in_the_root_and_sees_no_others() {
    let (host, instance) = (Host::new(), Instance::new());
    let root = host.directory("root", 0);
    for user in ["alice", "bob"] {
        let server = on(&instance, "CASEMATE_BIND_ROOT", &root).user(user);
        let server = server.start().await;
        let shell = server
            .shell("echo $PWD; ls -A ..| grep -c alice; echo a > mine")
            .await;
        assert_eq!(shell.outcome(), "exited", "{}", shell.0);
    }
    let mut names: Vec<_> = fs::read_dir(&root)
        .expect("the root")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(
        names[0].starts_with("alice-") && names[1].starts_with("bob-"),
        "{names:?}"
    );
    for name in names {
        let metadata = fs::metadata(root.join(&name)).expect("a directory");
        assert_eq!(
            (metadata.uid(), metadata.permissions().mode() & 0o777),
            (1000, 0o700)
        );
        assert!(root.join(name).join("mine").exists());
    }
}

#[tokio::test]
async fn two_directories_of_one_user_are_two_sandboxes() {
    let (host, instance) = (Host::new(), Instance::new());
    let other = host.directory("other", 1000);
    let first = start(&instance, &host.at("work")).await;
    first.write("name", "first").await;
    let second = start(&instance, &other).await;
    second.write("name", "second").await;
    assert_eq!(first.read("name").await.text(), "first");
    assert_eq!(second.read("name").await.text(), "second");
    assert_eq!(instance.containers().len(), 2);
    // A third on the first directory finds its container.
    let third = start(&instance, &host.at("work")).await;
    assert_eq!(third.read("name").await.text(), "first");
    assert_eq!(instance.containers().len(), 2);
}

#[tokio::test]
async fn a_huge_sparse_file_from_the_host_is_read_within_a_second() {
    let (host, instance) = (Host::new(), Instance::new());
    let huge = fs::File::create(host.at("work").join("huge")).expect("a file");
    huge.set_len(1 << 40).expect("sparse");
    let server = start(&instance, &host.at("work")).await;
    server.shell("true").await;
    let start = std::time::Instant::now();
    let read = server.read("huge").await;
    assert!(
        start.elapsed() < allowed(Duration::from_secs(1)),
        "{:?}",
        start.elapsed()
    );
    assert!(read.text().len() < 100_000);
}

#[tokio::test]
async fn a_container_of_bind_mode_ends_itself_and_the_files_stay() {
    let (host, instance) = (Host::new(), Instance::new());
    let idle = format!("{}s", allowed(Duration::from_secs(1)).as_secs());
    let server = on(&instance, "CASEMATE_BIND_DIR", &host.at("work"))
        .env("CASEMATE_IDLE_TIMEOUT", &idle)
        .start()
        .await;
    server.write("file", "kept").await;
    eventually("it ends", Duration::from_secs(10), async || {
        instance.containers().is_empty()
    })
    .await;
    assert_eq!(server.read("file").await.text(), "kept");
}
