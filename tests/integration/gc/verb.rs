//! `casemate gc`: the plan, and what it removes.

use super::*;

#[tokio::test]
async fn gc_removes_what_its_plan_lists_and_completes_what_a_kill_left() {
    let (instance, other, audit) = (Instance::new(), Instance::new(), Directory::new(0));
    let ours = |of: &str| never_started(&[("instance", of), ("user", "gone"), ("issuer", "local")]);
    let abandoned: Vec<_> = (0..12).map(|_| ours(instance.name())).collect();
    let foreign = [
        ours(other.name()),
        never_started(&[("instance", instance.name())]),
        never_started(&[("user", "gone"), ("issuer", "local")]),
        never_started(&[]),
    ];
    // They have to age: there is no event to wait for.
    tokio::time::sleep(ABANDONED).await;
    let young = ours(instance.name());
    let left = || abandoned.iter().filter(|one| is_there(one)).count();

    let plan = gc(&instance, &audit, &["--dry-run", "--json"]);
    let items: Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    let items = items.as_array().expect("an array").clone();
    let containers: Vec<_> = items
        .iter()
        .filter(|item| item["what"] == "container")
        .collect();
    assert_eq!(containers.len(), abandoned.len(), "{items:?}");
    assert!(
        containers
            .iter()
            .all(|item| item["fate"] == "remove" && item["user"] == "gone")
    );
    assert_eq!((left(), removals(&audit).len()), (abandoned.len(), 0));

    let (directory, own) = (Directory::new(0), engine());
    let target = own.address().uri.trim_start_matches("unix://").to_owned();
    let socket = format!("{}/engine", directory.text());
    let mut slow = Withholding::new(socket.into(), target, 3);
    let mut killed = command(&instance, &audit, &["gc"])
        .env("DOCKER_HOST", slow.uri())
        .spawn()
        .expect("it runs");
    let withheld = tokio::time::timeout(SOON, slow.until_withheld()).await;
    withheld.expect("it is in the middle");
    killed.kill().expect("killed");
    killed.wait().expect("it ends");
    assert_eq!(left(), abandoned.len() - 3);
    // The fourth has the line `begun`.
    assert_eq!(removals(&audit).len(), 7);

    let rest = gc(&instance, &audit, &[]);
    assert!(rest.status.success(), "{}", text(&rest.stderr));
    assert_eq!(left(), 0, "{}", text(&rest.stdout));
    assert!(is_there(&young), "a young one");
    assert!(foreign.iter().all(is_there));
    let removals = removals(&audit);
    for container in &abandoned {
        let begun = (container.0.clone(), "begun".to_owned());
        assert!(removals.contains(&begun), "{container:?}");
    }
    let report = verify(&[audit.text().into()]).expect("it can be read");
    assert_eq!(report.findings, []);
}

#[tokio::test]
async fn without_a_target_for_backups_no_volume_goes_and_the_plan_says_so() {
    let (instance, audit) = (Instance::new(), Directory::new(0));
    let server = TestServer::on(&instance).user("ada").start().await;
    server.write("file", "kept").await;
    assert!(server.end().await.success());
    let planned = command(&instance, &audit, &["gc", "--dry-run"])
        .env("CASEMATE_VOLUME_RETENTION", "1h")
        .output()
        .expect("it runs");
    let said = text(&planned.stdout);
    let volume = instance.volumes().remove(0);
    assert!(said.contains(&format!("kept volume {volume}: ")), "{said}");
    let refused = command(&instance, &audit, &["gc"])
        .env("CASEMATE_VOLUME_RETENTION", "0s")
        .output()
        .expect("it runs");
    assert!(!refused.status.success());
    assert!(
        text(&refused.stderr).contains("1h at least"),
        "{}",
        text(&refused.stderr)
    );
}
