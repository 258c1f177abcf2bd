//! A workspace with a size limit: its user cannot fill the space of others.

use super::{fill, is_freed, nothing_is_written, server, the_rest_works};
use crate::harness::{Disk, Engine, Instance, Server, not_run};

/// Of every volume here.
const MIB: u64 = 64;

/// Alice fills hers; bob has another.
async fn a_full_one_is_its_users_alone(engine: &Engine, alice: &Server, bob: &Server) {
    fill(alice).await;
    nothing_is_written(alice).await;
    the_rest_works(alice).await;
    let written = bob.write("file", &super::large()).await;
    assert!(!written.is_error(), "{}", written.0);
    // A new container starts, too.
    for container in engine.docker(&["ps", "--quiet"]).lines() {
        engine.docker(&["rm", "--force", container]);
    }
    the_rest_works(alice).await;
    nothing_is_written(alice).await;
    is_freed(alice).await;
}

/// The kernel's limit for one file, in MiB.
async fn largest_file(server: &Server) -> u64 {
    let limit = server.shell("ulimit -f").await;
    let kib: u64 = limit.stdout().trim_end().parse().expect("a number");
    kib >> 10
}

#[tokio::test]
async fn where_the_engine_has_project_quotas_a_volume_has_the_size_that_is_set() {
    let engine = match Engine::on(Disk::WithQuotas).await {
        Ok(engine) => engine,
        Err(why) => {
            return not_run(&format!(
                "it needs xfsprogs and a kernel with CONFIG_XFS_QUOTA: {why}"
            ));
        }
    };
    let instance = Instance::new();
    let alice = server(&engine, &instance, "alice").await;
    let bob = server(&engine, &instance, "bob").await;
    assert_eq!(largest_file(&alice).await, MIB);
    let volume = engine.docker(&["volume", "ls", "--quiet"]);
    let size = [
        "volume",
        "inspect",
        "--format",
        "{{.Options.size}}",
        &volume,
    ];
    assert_eq!(engine.docker(&size), (MIB << 20).to_string());
    a_full_one_is_its_users_alone(&engine, &alice, &bob).await;
    fill(&alice).await;
    let told = nothing_is_written(&alice).await;
    assert!(told.contains(&format!(" of {MIB} MiB are free")), "{told}");
}

/// A file system in a file, mounted on the Engine's host.
fn mount_workspace(engine: &Engine) -> String {
    let place = format!("{}-workspace", engine.data());
    engine.host(&format!(
        "mkdir {place} && truncate --size={MIB}M {place}.img && mkfs.ext4 -q -F -m 0 {place}.img \
         && mount -o loop {place}.img {place} && mkdir {place}/files"
    ));
    format!("{place}/files")
}

/// Moves the user's volume, which the server has made, to another place.
fn replace_volume(engine: &Engine, place: &str) {
    let container = engine.container();
    let volume = engine.docker(&["volume", "ls", "--quiet"]);
    let labels = "{{range $name, $value := .Labels}}{{$name}}={{$value}}\n{{end}}";
    let labels = engine.docker(&["volume", "inspect", "--format", labels, &volume]);
    engine.docker(&["rm", "--force", &container]);
    engine.docker(&["volume", "rm", &volume]);
    let labels = labels.lines().filter(|line| !line.is_empty());
    let labels: Vec<String> = labels.map(|label| format!("--label={label}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let device = format!("device={place}");
    let options = ["--opt", "type=none", "--opt", "o=bind", "--opt", &device];
    engine.docker(&[&["volume", "create"], &options[..], &labels, &[&volume]].concat());
}

/// An operator can give a workspace a size by hand on an Engine without quotas.
#[tokio::test]
async fn a_workspace_on_a_separate_disk_is_full_for_its_user_alone() {
    let engine = Engine::start().await;
    let instance = Instance::new();
    let alice = server(&engine, &instance, "alice").await;
    assert_eq!(largest_file(&alice).await, 2048);
    replace_volume(&engine, &mount_workspace(&engine));
    let bob = server(&engine, &instance, "bob").await;
    a_full_one_is_its_users_alone(&engine, &alice, &bob).await;
}
