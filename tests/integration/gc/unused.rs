//! Workspaces that were not used for longer than `volume_retention`.

use super::*;

/// Volumes that look like workspaces: one with our labels and a foreign name, and one with our
/// prefix and no labels of a user.
fn foreign_volumes(instance: &Instance) -> [String; 2] {
    let label = |name: &str, value: &str| format!("--label=io.casemate.{name}={value}");
    let foreign = format!("{}-foreign", instance.name());
    let labels = ["instance", "user", "issuer"].map(|name| match name {
        "instance" => label(name, instance.name()),
        "user" => label(name, "ada"),
        _ => label(name, "local"),
    });
    docker::output(&[
        "volume", "create", &labels[0], &labels[1], &labels[2], &foreign,
    ]);
    let lacking = format!("casemate-{}-ada-000000000000", instance.name());
    docker::output(&["volume", "create", &labels[0], &lacking]);
    [foreign, lacking]
}

/// Neither `rm --volume` nor `restore` touches the workspace that is held.
fn held_is_refused(instance: &Instance) {
    let nowhere = Directory::new(0);
    for args in [
        &["rm", "held", "--volume"][..],
        &["restore", "held", "--from", nowhere.text()],
    ] {
        let output = instance.command(args).output().expect("it runs");
        let errors = text(&output.stderr);
        assert!(
            !output.status.success() && errors.contains("is held"),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn an_unused_workspace_is_removed_after_its_backup_unless_held_or_foreign() {
    // A separate image: one of another test would count as replaced.
    let image = docker::Image::from_tools("true", &[]);
    let instance = Instance::new();
    unused(&instance, &image, &["ada", "bob", "held"]).await;
    let hold = |args: &[&str]| {
        let args = [&["hold", "held", "--issuer", "local"], args].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
        let command = command.args(args).env("CASEMATE_INSTANCE", instance.name());
        command.output().expect("it runs")
    };
    assert!(hold(&[]).status.success());
    let [foreign, lacking] = foreign_volumes(&instance);

    let (here, made) = (Here::new(&instance, &image), Arc::default());
    let mut gc = here.gc(backup(&made, Ok("a backup".to_owned())));
    planned(&mut gc, &["ada", "bob"]).await;
    // A user who comes back is no longer a candidate.
    let bob = TestServer::on(&instance).user("bob").image(image.name());
    let bob = bob.start().await;
    assert_eq!(bob.read("file").await.text(), "a");
    let items = gc.run(Scope::All).await.expect("it runs");
    assert_eq!(disposition(&items, "ada"), &Disposition::Removed);
    assert_eq!(
        disposition(&items, "bob"),
        &Disposition::Kept("a container uses it".to_owned())
    );
    assert_eq!(
        disposition(&items, "held"),
        &Disposition::Kept("it is held".to_owned())
    );
    assert_eq!(made.load(Ordering::Relaxed), 1);
    let volumes = instance.volumes();
    // Bob's, the held one, its hold, and the two that are not ours.
    assert_eq!(volumes.len(), 5, "{volumes:?}");
    assert!(volumes.contains(&foreign) && volumes.contains(&lacking));
    let mut removed = removals(&here.audit);
    // Images of earlier tests may be removed too.
    removed.retain(|(name, _)| name.contains(instance.name()));
    let outcomes: Vec<_> = removed
        .iter()
        .map(|(_, outcome)| outcome.as_str())
        .collect();
    assert_eq!(json!(outcomes), json!(["begun", "done"]));

    held_is_refused(&instance);
    assert!(hold(&["--release"]).status.success());
    assert!(!hold(&["--release"]).status.success());
    here.manager.close().await;
}

#[tokio::test]
async fn a_workspace_stays_without_its_backup_or_if_it_was_used_since() {
    // A separate image: one of another test would count as replaced.
    let image = docker::Image::from_tools("true", &[]);
    let instance = Instance::new();
    unused(&instance, &image, &["ada"]).await;
    let (here, made) = (Here::new(&instance, &image), Arc::default());
    let mut gc = here.gc(backup(&made, Err("no space".to_owned())));
    planned(&mut gc, &["ada"]).await;
    let items = gc.run(Scope::All).await.expect("it runs");
    let failed = Disposition::Failed("there is no backup: no space".to_owned());
    assert_eq!(disposition(&items, "ada"), &failed);
    assert_eq!(made.load(Ordering::Relaxed), 1);

    let manager = here.manager.clone();
    let used: Backup = Arc::new(move |workspace| {
        let sandbox = manager.sandbox(&workspace.user.into());
        Box::pin(async move {
            sandbox.stat("file").await.expect("a use");
            Ok("a backup".to_owned())
        })
    });
    let mut gc = here.gc(used);
    planned(&mut gc, &["ada"]).await;
    let items = gc.run(Scope::All).await.expect("it runs");
    assert_eq!(
        disposition(&items, "ada"),
        &Disposition::Kept("it was used since the plan".to_owned())
    );
    assert_eq!(instance.volumes().len(), 1);
    here.manager.close().await;
}
