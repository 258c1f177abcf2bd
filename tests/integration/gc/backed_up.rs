//! A workspace is removed after a real backup, and restored from it.

use casemate::config::AwsVariables;
use casemate::ops::backup::{Backups, Store};
use casemate::ops::gc::last_backup;
use tokio_util::sync::CancellationToken;

use super::*;

/// A clean-up that makes a backup in `target` before it removes a workspace.
fn gc_into(here: &Here, target: &Directory) -> Gc {
    let to = target.text().parse().expect("a target");
    let store = Store::open(&to, &AwsVariables::default()).expect("a store");
    let backups = Backups::new(store, &here.manager, CancellationToken::new());
    here.gc(last_backup(backups, here.manager.clone()))
}

/// Runs the clean-up, which backs up and removes `ada`'s workspace, the only one.
async fn remove_ada(gc: &mut Gc, instance: &Instance) {
    planned(gc, &["ada"]).await;
    let items = gc.run(Scope::All).await.expect("it runs");
    assert_eq!(disposition(&items, "ada"), &Disposition::Removed);
    assert_eq!(instance.volumes(), Vec::<String>::new());
}

/// Restores `ada`'s workspace from the newest backup.
fn restore(instance: &Instance, image: &docker::Image, target: &Directory) {
    let args = ["restore", "ada", "--from", target.text()];
    let mut restore = instance.command(&args);
    let restored = restore.env("CASEMATE_IMAGE", image.name()).output();
    let restored = restored.expect("it runs");
    assert!(restored.status.success(), "{}", text(&restored.stderr));
}

async fn read(instance: &Instance, image: &docker::Image) -> String {
    let server = TestServer::on(instance).user("ada").image(image.name());
    let server = server.env("CASEMATE_IDLE_TIMEOUT", "1s").start().await;
    let content = server.read("file").await.text().to_owned();
    assert!(server.end().await.success());
    eventually("it ends", SOON, async || instance.containers().is_empty()).await;
    content
}

#[tokio::test]
async fn an_unused_workspace_comes_back_from_the_backup_that_it_went_after() {
    let image = docker::Image::from_tools("true", &[]);
    let (instance, target) = (Instance::new(), Directory::new(0));
    unused(&instance, &image, &["ada"]).await;
    let here = Here::new(&instance, &image);
    remove_ada(&mut gc_into(&here, &target), &instance).await;
    let counted = here.engine.meter().text().expect("text");
    for line in [
        r#"casemate_backups_total{result="ok"} 1"#,
        r#"casemate_collected_total{kind="volume"} 1"#,
    ] {
        assert!(counted.lines().any(|one| one == line), "{line}\n{counted}");
    }
    here.manager.close().await;

    restore(&instance, &image, &target);
    assert_eq!(read(&instance, &image).await, "a");
}

/// A path that the kernel does not accept at once: a workspace that is removed after its backup
/// must be restorable from it.
#[tokio::test]
async fn a_workspace_with_a_path_of_5000_bytes_is_restored_after_its_removal() {
    let image = docker::Image::from_tools("true", &[]);
    let (instance, target) = (Instance::new(), Directory::new(0));
    let exec = |command: &str| {
        let mut exec = instance.command(&["exec", "ada", "--create", "--", command]);
        let exec = exec.env("CASEMATE_IMAGE", image.name());
        let output = exec.env("CASEMATE_IDLE_TIMEOUT", "1s").output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    exec(
        r#"name=$(printf 'n%.0s' $(seq 250))
        for i in $(seq 20); do mkdir "$name" && cd -P "$name" || exit 1; done
        echo deep > file"#,
    );
    eventually("it ends", SOON, async || instance.containers().is_empty()).await;
    let here = Here::new(&instance, &image);
    remove_ada(&mut gc_into(&here, &target), &instance).await;
    here.manager.close().await;

    restore(&instance, &image, &target);
    let read = exec(
        r#"name=$(printf 'n%.0s' $(seq 250))
        for i in $(seq 20); do cd -P "$name" || exit 1; done; cat file"#,
    );
    assert_eq!(read, "deep\n");
}

#[tokio::test]
async fn a_restored_workspace_goes_too_and_not_while_another_is_being_restored() {
    let image = docker::Image::from_tools("true", &[]);
    let (instance, target) = (Instance::new(), Directory::new(0));
    unused(&instance, &image, &["ada"]).await;
    let backup = instance
        .command(&["backup", "ada", "--to", target.text()])
        .env("CASEMATE_IMAGE", image.name())
        .output();
    assert!(backup.expect("it runs").status.success());
    restore(&instance, &image, &target);
    let restored = instance.volumes();
    assert!(
        matches!(&restored[..], [one] if one.contains("-g1-")),
        "{restored:?}"
    );

    // A restore in progress, as seen from outside: a mark, and a volume that is being filled.
    let label = |name: &str, value: &str| format!("--label=io.casemate.{name}={value}");
    let create = |volume: &str, own: String| {
        let whose = [
            ("instance", instance.name()),
            ("user", "ada"),
            ("issuer", "local"),
        ];
        let labels = whose.map(|(name, value)| label(name, value));
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        docker::output(&[&["volume", "create"], &labels[..], &[&own, volume]].concat());
    };
    let next = restored[0].replace("-g1-", "-g2-");
    let mark = format!("{next}-pending");
    create(&mark, label("pending", &next));
    create(&next, label("generation", "2"));
    let mount = format!("--volume={next}:/next");
    let args = [
        "create",
        "--network=none",
        &mount,
        crate::harness::TOOLS_IMAGE,
        "true",
    ];
    let fills = docker::Container(docker::output(&args));

    let here = Here::new(&instance, &image);
    let mut gc = gc_into(&here, &target);
    planned(&mut gc, &["ada"]).await;
    let items = gc.run(Scope::All).await.expect("it runs");
    let kept = Disposition::Kept("a restore is running, or was interrupted".to_owned());
    assert_eq!(disposition(&items, "ada"), &kept);
    assert!(instance.volumes().contains(&restored[0]));

    drop(fills);
    docker::output(&["volume", "rm", &next, &mark]);
    remove_ada(&mut gc, &instance).await;
    here.manager.close().await;
}
