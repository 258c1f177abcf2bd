//! How uids are assigned: to many users at once, over several servers, when none is free, and
//! after a server was killed in the middle.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;

use super::{labels, output};
use crate::harness::{Application, Instance, TestServer, docker, eventually};

/// Uids that no other test uses. Their claims and the images of their owners are removed with this,
/// also those that killed servers left.
pub struct OwnUids {
    pub base: u32,
}

impl OwnUids {
    pub fn new() -> Self {
        let random = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        let other = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        // Above those of other tests, and in one image.
        let base = (1 << 20) + random * 65_536 + other * 256;
        Self { base }
    }
}

impl Drop for OwnUids {
    fn drop(&mut self) {
        for claim in claims(self.base) {
            docker::quietly(&["volume", "rm", &claim]);
        }
        docker::quietly(&["rmi", &format!("casemate-owner:{}", self.base)]);
        // Of two servers that import at once, one image has no name; the next import would remove it.
        let mut unnamed = vec!["image", "ls", "--quiet", "--filter", "dangling=true"];
        unnamed.extend(["--filter", "label=io.casemate.owner=yes"]);
        for image in docker::lines(&unnamed) {
            docker::quietly(&["rmi", &image]);
        }
    }
}

pub fn with_uids(server: TestServer, base: u32, count: u32) -> TestServer {
    server
        .env("CASEMATE_UID_BASE", &base.to_string())
        .env("CASEMATE_UID_COUNT", &count.to_string())
}

fn claims(base: u32) -> Vec<String> {
    let all = docker::lines(&[
        "volume",
        "ls",
        "--quiet",
        "--filter",
        "label=io.casemate.uid.claim",
    ]);
    let own = |name: &String| {
        let number = name
            .strip_prefix("casemate-uid-")
            .and_then(|uid| uid.parse::<u32>().ok());
        number.is_some_and(|uid| (base..base + 256).contains(&uid))
    };
    all.into_iter().filter(own).collect()
}

#[tokio::test]
async fn fifty_first_calls_at_once_to_two_servers_get_fifty_uids() {
    let (own, instance) = (OwnUids::new(), Instance::new());
    let base = own.base;
    let server = || with_uids(TestServer::on(&instance), base, 50).env("CASEMATE_WARM", "off");
    let (one, other) = (
        Application::start(server()).await,
        Application::start(server()).await,
    );
    let calls = (0..50).map(async |number| {
        let app = if number % 2 == 0 { &one } else { &other };
        let result = app.shell(&format!("user-{number}"), "id -u").await;
        assert_eq!(result.exit_code(), 0, "{}", result.0);
        result.stdout().trim_end().parse::<u32>().expect("a uid")
    });
    let uids: BTreeSet<u32> = join_all(calls).await.into_iter().collect();
    // No uid is skipped either.
    assert_eq!(uids, (base..base + 50).collect());
    eventually("no claim is left", Duration::from_secs(20), async || {
        claims(base).is_empty()
    })
    .await;

    let late = one.shell("late", "id -u").await;
    assert!(late.is_error(), "{}", late.0);
    assert_eq!(late.code(), "sandbox_unavailable", "{}", late.text());
    assert!(
        late.text().contains("CASEMATE_UID_COUNT"),
        "{}",
        late.text()
    );
    assert_eq!(instance.volumes().len(), 50);
    // A uid that is free again is assigned again.
    let removed = instance
        .command(&["rm", "user-7", "--issuer", "app", "--volume", "--force"])
        .output()
        .expect("it runs");
    assert!(removed.status.success(), "{removed:?}");
    let late = one.shell("late", "id -u").await;
    assert_eq!(late.exit_code(), 0, "{}", late.0);
    assert_eq!(instance.volumes().len(), 50);
}

#[tokio::test]
async fn a_uid_claimed_by_a_killed_server_is_skipped_until_the_claim_is_old() {
    let own = OwnUids::new();
    let base = own.base;
    let claim = format!("casemate-uid-{base}");
    let labels_of = [
        format!("--label=io.casemate.uid={base}"),
        "--label=io.casemate.uid.claim=of-a-killed-server".to_owned(),
    ];
    let create = ["volume", "create", &labels_of[0], &labels_of[1], &claim];
    let _guard = docker::Volume(docker::output(&create));
    let server = with_uids(TestServer::new(), base, 2).start().await;
    assert_eq!(output(&server, "id -u").await, (base + 1).to_string());
    assert_eq!(claims(base), [claim]);
}

#[tokio::test]
async fn a_foreign_volume_with_the_name_of_a_claim_is_skipped_and_not_touched() {
    let own = OwnUids::new();
    let base = own.base;
    let name = format!("casemate-uid-{base}");
    let _guard = docker::Volume(docker::output(&["volume", "create", &name]));
    let server = with_uids(TestServer::new(), base, 2).start().await;
    assert_eq!(output(&server, "id -u").await, (base + 1).to_string());
    assert!(docker::lines(&["volume", "ls", "--quiet"]).contains(&name));
}

#[tokio::test]
async fn a_volume_without_its_owner_gets_it_with_the_next_call() {
    let own = OwnUids::new();
    let base = own.base;
    for uid in [Some(base), None] {
        let instance = Instance::new();
        let name = format!("io.casemate.instance={}", instance.name());
        let mut create = vec!["volume".to_owned(), "create".to_owned()];
        create.extend(
            [
                name,
                "io.casemate.user=tester".to_owned(),
                "io.casemate.issuer=local".to_owned(),
            ]
            .map(|label| format!("--label={label}")),
        );
        create.extend(uid.map(|uid| format!("--label=io.casemate.uid={uid}")));
        let parsed = instance.name().parse().expect("an instance");
        let user = casemate::identity::User::local("tester".parse().expect("a subject"));
        create.push(casemate::identity::SandboxName::new(&parsed, &user.into()).to_string());
        docker::output(&create.iter().map(String::as_str).collect::<Vec<_>>());

        let server = with_uids(TestServer::on(&instance), base, 1).start().await;
        let first = server
            .shell("id -u; stat -c '%u %g' .; touch mine; ls")
            .await;
        // Podman gives the owner of the image's directory to a volume that names none, at each start
        // until it holds a file. No server makes such a volume there.
        if docker::is_podman() && uid.is_some() {
            assert_eq!(first.code(), "workspace_unusable", "{}", first.0);
            continue;
        }
        let wanted = uid.unwrap_or(1000);
        assert_eq!(
            first.stdout(),
            format!("{wanted}\n{wanted} {wanted}\nmine\n"),
            "{}",
            first.0
        );
    }
}

#[tokio::test]
async fn a_server_killed_at_any_moment_of_a_first_call_blocks_no_later_call() {
    let (own, instance) = (OwnUids::new(), Instance::new());
    let base = own.base;
    // The image with these accounts is made first: a kill in the middle of that would leave things
    // that stay for ten minutes.
    let server = with_uids(TestServer::on(&instance).user("first"), base, 100);
    let server = server.start().await;
    output(&server, "true").await;
    server.end().await;
    for number in 0..8_u64 {
        let user = format!("user-{number}");
        let server = with_uids(TestServer::on(&instance).user(&user), base, 100);
        let mut server = server.env("CASEMATE_WARM", "off").start().await;
        let (_, call) = server
            .start_call("shell_exec", serde_json::json!({ "command": "id -u" }))
            .await;
        // From before the first claim to the container's start.
        tokio::time::sleep(Duration::from_millis(20 + 25 * number)).await;
        server.signal("KILL");
        server.wait().await;
        drop(call);
    }
    let mut uids = BTreeSet::new();
    for number in 0..8 {
        let user = format!("user-{number}");
        let server = with_uids(TestServer::on(&instance).user(&user), base, 100)
            .start()
            .await;
        let seen = server.shell("id -u; stat -c %u .; touch mine && ls").await;
        assert_eq!(seen.exit_code(), 0, "{}", seen.0);
        let lines: Vec<&str> = seen.stdout().lines().collect();
        assert_eq!((lines[0], lines[2]), (lines[1], "mine"), "{}", seen.0);
        uids.insert(lines[0].to_owned());
    }
    assert_eq!(uids.len(), 8, "{uids:?}");
    let said = instance
        .volumes()
        .iter()
        .map(|volume| labels(volume)["io.casemate.uid"].clone())
        .collect::<Vec<_>>();
    assert_eq!(said.len(), 9, "{said:?}");
}

/// When a container names a lost volume, the Engine makes a new one: without an owner, and with a
/// uid that another user may have now.
#[tokio::test]
async fn a_volume_that_the_engine_made_in_place_of_a_lost_one_is_never_used() {
    let own = OwnUids::new();
    let base = own.base;
    let instance = Instance::new();
    let user = casemate::identity::User::local("tester".parse().expect("a subject"));
    let parsed = instance.name().parse().expect("an instance");
    let name = casemate::identity::SandboxName::new(&parsed, &user.into()).to_string();
    let label = |label: &str, value: &str| format!("--label=io.casemate.{label}={value}");
    let all = [
        label("instance", instance.name()),
        label("user", "tester"),
        label("issuer", "local"),
        label("uid", &(base + 1).to_string()),
        label("remade", "yes"),
    ];
    let all = all.each_ref().map(String::as_str);
    docker::output(&[&["volume", "create"], &all[..], &[&name]].concat());
    let server = with_uids(TestServer::on(&instance), base, 2).start().await;
    let seen = output(&server, "id -u; stat -c %u .; touch mine").await;
    assert_eq!(seen, format!("{base}\n{base}"));
    assert!(labels(&name)["io.casemate.remade"].is_null());
}

#[tokio::test]
async fn doctor_tells_of_two_users_with_one_uid() {
    let own = OwnUids::new();
    let base = own.base;
    let server = with_uids(TestServer::new().user("alice"), base, 4)
        .start()
        .await;
    output(&server, "true").await;
    let twin = format!("casemate-{}-twin", server.instance.name());
    let label = |name: &str, value: &str| format!("--label=io.casemate.{name}={value}");
    let all = [
        label("instance", server.instance.name()),
        label("user", "bob"),
        label("issuer", "local"),
        label("uid", &base.to_string()),
    ];
    let all = all.each_ref().map(String::as_str);
    docker::output(&[&["volume", "create"], &all[..], &[&twin]].concat());
    let mut doctor: Command = server.instance.command(&["doctor"]);
    let doctor = doctor
        .env("CASEMATE_UID_BASE", base.to_string())
        .env("CASEMATE_UID_COUNT", "4")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&doctor.stdout);
    let name = server.instance.name();
    let wanted =
        format!("several users have one uid: {base} ({name}/local/alice, {name}/local/bob)");
    assert!(said.contains(&wanted), "{said}");
    assert!(
        said.contains(&format!(
            "1 of the 4 uids for users are taken, from {base} on"
        )),
        "{said}"
    );
}
