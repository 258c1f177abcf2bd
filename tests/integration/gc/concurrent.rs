//! Changes between the plan and the removal count, and a look leaves no trace.

use casemate::identity::SandboxName;
use tokio_util::sync::CancellationToken;

use super::*;

fn user(name: &str) -> User {
    User {
        issuer: "local".parse().expect("an issuer"),
        subject: name.parse().expect("a subject"),
    }
}

/// While the backups are made, `ada` is put on hold and the workspace of `bob` is removed.
fn during_backups(instance: &Instance, bob: &str) -> Backup {
    let (instance, bob) = (instance.clone(), bob.to_owned());
    Arc::new(move |workspace: WorkspaceId| {
        if workspace.user.subject.as_str() == "ada" {
            let held = instance
                .command(&["hold", "ada", "--issuer", "local"])
                .output();
            assert!(held.expect("it runs").status.success());
        } else {
            docker::output(&["volume", "rm", &bob]);
        }
        Box::pin(async { Ok("a backup".to_owned()) })
    })
}

#[tokio::test]
async fn a_hold_or_removal_during_the_clean_up_counts_and_a_look_does_not() {
    let image = docker::Image::from_tools("true", &[]);
    let instance = Instance::new();
    unused(&instance, &image, &["ada", "bob"]).await;
    let volumes = instance.volumes();
    let bob = volumes.iter().find(|name| name.contains("-bob-"));
    let bob = bob.expect("a volume").clone();
    let here = Here::new(&instance, &image);
    let mut gc = here.gc(during_backups(&instance, &bob));
    planned(&mut gc, &["ada", "bob"]).await;
    let items = gc.run(Scope::All).await.expect("it runs");
    assert_eq!(
        disposition(&items, "ada"),
        &Disposition::Kept("it is held".to_owned())
    );
    assert_eq!(
        disposition(&items, "bob"),
        &Disposition::Kept("it is gone".to_owned())
    );
    let counted = here.engine.meter().text().expect("text");
    assert!(
        !counted.contains("casemate_sandbox_starts_total{"),
        "{counted}"
    );

    // A stopped clean-up checks no further workspace.
    let stop = CancellationToken::new();
    stop.cancel();
    let mut stopped = here.gc(during_backups(&instance, &bob)).stopping(stop);
    let items = stopped.run(Scope::All).await.expect("it runs");
    assert!(
        items.iter().all(|item| item.what != ResourceKind::Volume),
        "{items:?}"
    );

    // The Engine creates a missing volume that a container names: it would be bob's workspace.
    let looked = here.manager.snapshots(&user("bob").into()).last_use().await;
    assert!(looked.is_err(), "{looked:?}");
    let all = docker::lines(&["volume", "ls", "--quiet"]);
    assert!(!all.contains(&bob), "{all:?}");
    assert_eq!(instance.containers(), [""; 0]);
    here.manager.close().await;
}

#[tokio::test]
async fn a_workspace_that_does_not_say_when_it_was_used_stays_and_the_look_ends() {
    let image = docker::Image::from_tools("true", &[]);
    let instance = Instance::new();
    let server = TestServer::on(&instance).user("eve").image(image.name());
    let server = server.env("CASEMATE_IDLE_TIMEOUT", "1s").start().await;
    let hostile = "rm -rf .casemate && touch .casemate";
    assert!(!server.shell(hostile).await.is_error());
    assert!(server.end().await.success());
    eventually("it ends", SOON, async || instance.containers().is_empty()).await;
    // A younger workspace would not be checked.
    tokio::time::sleep(RETENTION).await;

    let (here, made) = (Here::new(&instance, &image), Arc::default());
    let mut gc = here.gc(backup(&made, Ok("a backup".to_owned())));
    let items = gc.run(Scope::All).await.expect("it runs");
    let unknown = Disposition::Kept("its last use is not known".to_owned());
    assert_eq!(disposition(&items, "eve"), &unknown);
    assert_eq!(instance.containers(), [""; 0]);
    here.manager.close().await;
}

#[tokio::test]
async fn a_row_whose_server_starts_it_after_all_is_not_removed() {
    let create = [
        "create",
        "--network=none",
        crate::harness::TOOLS_IMAGE,
        "sleep",
        "60",
    ];
    let container = docker::Container(docker::output(&create));
    let engine = engine();
    docker::output(&["start", &container.0]);
    assert!(
        !engine
            .remove_stopped(&container.0)
            .await
            .expect("an answer")
    );
    let running = docker::lines(&["ps", "--quiet", "--no-trunc"]);
    assert!(running.contains(&container.0));
    docker::output(&["kill", &container.0]);
    assert!(
        engine
            .remove_stopped(&container.0)
            .await
            .expect("an answer")
    );
    assert!(!is_there(&container));
}

#[tokio::test]
async fn a_hold_whose_name_is_taken_is_refused_and_not_reported_as_placed() {
    let instance = Instance::new();
    let name = SandboxName::new(
        &instance.name().parse().expect("a name"),
        &user("ada").into(),
    );
    let taken = docker::Volume(format!("{}.hold", name.as_str()));
    docker::output(&["volume", "create", &taken.0]);
    let hold = || {
        instance
            .command(&["hold", "ada", "--issuer", "local"])
            .output()
            .expect("it runs")
    };
    let refused = hold();
    let said = text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("does not belong to this user"),
        "{said}"
    );
    docker::output(&["volume", "rm", &taken.0]);
    // A second hold changes nothing.
    assert!(hold().status.success() && hold().status.success());
}

#[tokio::test]
async fn a_workspace_whose_top_is_locked_is_looked_into_as_any_other() {
    let image = docker::Image::from_tools("true", &[]);
    let instance = Instance::new();
    let users = [("ada", "0"), ("bob", "0600"), ("eve", "0300")];
    for (user, mode) in users {
        let server = TestServer::on(&instance).user(user).image(image.name());
        let server = server.env("CASEMATE_IDLE_TIMEOUT", "1s").start().await;
        let locked = server.shell(&format!("chmod {mode} .")).await;
        assert_eq!(locked.exit_code(), 0, "{}", locked.0);
        assert!(server.end().await.success());
    }
    eventually("they end", SOON, async || instance.containers().is_empty()).await;
    let (here, made) = (Here::new(&instance, &image), Arc::default());
    let mut gc = here.gc(backup(&made, Ok("a backup".to_owned())));
    planned(&mut gc, &users.map(|(user, _)| user)).await;
    let items = gc.run(Scope::All).await.expect("it runs");
    for (user, mode) in users {
        assert_eq!(disposition(&items, user), &Disposition::Removed, "{mode}");
    }
    here.manager.close().await;
}
