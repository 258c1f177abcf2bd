//! `workspace_retention`: of workspaces that have a name; a user's own is exempt.

use super::*;

/// A file in this workspace of ada's, whose container has ended.
async fn unused_workspace(instance: &Instance, image: &docker::Image, name: Option<&str>) {
    let server = TestServer::on(instance).user("ada").image(image.name());
    let server = server.env("CASEMATE_IDLE_TIMEOUT", "1s");
    let server = match name {
        Some(name) => server.env("CASEMATE_WORKSPACE", name),
        None => server,
    };
    let server = server.start().await;
    let written = server.write("file", "a").await;
    assert!(!written.is_error(), "{}", written.text());
    assert!(server.end().await.success());
}

/// What the clean-up does with a workspace; `None`: it does not come up.
fn of<'a>(items: &'a [PlanItem], name: Option<&str>) -> Option<&'a Disposition> {
    let mut volumes = items
        .iter()
        .filter(|item| item.what == ResourceKind::Volume);
    let found = volumes.find(|item| item.workspace.as_deref() == name);
    found.map(|item| &item.disposition)
}

#[tokio::test]
async fn an_unused_workspace_with_a_name_goes_after_its_backup_and_the_users_own_never() {
    let image = docker::Image::from_tools("true", &[]);
    let instance = Instance::new();
    for name in [None, Some("old"), Some("held"), Some("back")] {
        unused_workspace(&instance, &image, name).await;
    }
    eventually("they end", SOON, async || instance.containers().is_empty()).await;
    let hold = ["hold", "ada", "--workspace", "held"];
    assert!(instance.command(&hold).status().expect("it runs").success());
    let (here, made) = (
        Here::with(&instance, &image, None, Some(RETENTION)),
        Arc::default(),
    );
    let mut gc = here.gc(backup(&made, Ok("a backup".to_owned())));
    let planned = async |gc: &mut Gc| {
        let items = gc.plan(Scope::All).await.expect("a plan");
        of(&items, Some("old")) == Some(&Disposition::Remove)
            && of(&items, Some("back")) == Some(&Disposition::Remove)
    };
    let end = tokio::time::Instant::now() + SOON;
    while !planned(&mut gc).await {
        assert!(tokio::time::Instant::now() < end, "they never get old");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // A user who comes back keeps it.
    let back = TestServer::on(&instance).user("ada").image(image.name());
    let back = back.env("CASEMATE_WORKSPACE", "back").start().await;
    assert_eq!(back.read("file").await.text(), "a");
    let items = gc.run(Scope::All).await.expect("it runs");
    assert_eq!(of(&items, Some("old")), Some(&Disposition::Removed));
    let kept = |why: &str| Disposition::Kept(why.to_owned());
    assert_eq!(of(&items, Some("held")), Some(&kept("it is held")));
    assert_eq!(of(&items, Some("back")), Some(&kept("a container uses it")));
    assert_eq!(of(&items, None), None, "{items:?}");
    assert_eq!(made.load(Ordering::Relaxed), 1);
    // The own one, the held one with its hold, and the one that was used.
    assert_eq!(instance.volumes().len(), 4, "{:?}", instance.volumes());

    // Without a target for backups nothing goes.
    drop(back);
    let mut gc = Gc::new(here.manager.clone(), here.engine.clone(), None);
    let items = gc.run(Scope::All).await.expect("it runs");
    let disposition = of(&items, Some("back")).expect("it comes up");
    assert!(
        matches!(disposition, Disposition::Kept(_)),
        "{disposition:?}"
    );
}
