//! Clean-up: what goes, what stays, and what a kill in the middle leaves.

mod backed_up;
mod meanwhile;
mod recorded;

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use casemate::audit::{Audit, Options, verify};
use casemate::config::{
    Config, Environment as _, MapEnvironment, ProcessEnvironment, SettingsArgs,
};
use casemate::engine::{Engine, locate};
use casemate::identity::User;
use casemate::ops::gc::{Backup, Disposition, Gc, PlanItem, ResourceKind, Scope};
use casemate::sandbox::Manager;
use serde_json::{Value, json};

use crate::harness::{Directory, Instance, TestServer, Withholding, docker, eventually};

/// Such a container is abandoned when it is this old, with what the clock of the Engine
/// leaves out: it tells whole seconds.
const ABANDONED: Duration = Duration::from_secs(62);

/// How long a workspace is kept here. No setting allows so little.
const RETENTION: Duration = Duration::from_secs(2);

const SOON: Duration = Duration::from_secs(20);

fn command(instance: &Instance, audit: &Directory, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command
        .args(args)
        .env("CASEMATE_INSTANCE", instance.name())
        .env("CASEMATE_AUDIT", audit.text())
        // No image that another test uses is then one that was replaced.
        .env("CASEMATE_IMAGE", format!("none-{}", instance.name()))
        .stdin(Stdio::null());
    command
}

fn gc(instance: &Instance, audit: &Directory, args: &[&str]) -> Output {
    let output = command(instance, audit, &[&["gc"], args].concat()).output();
    output.expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The records of removals: name and outcome.
fn removals(audit: &Directory) -> Vec<(String, String)> {
    let files = std::fs::read_dir(audit.text()).expect("a directory");
    let files = files.map(|file| std::fs::read_to_string(file.expect("one").path()));
    let lines = files.map(|text| text.expect("text")).collect::<String>();
    let lines = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let removals = lines.filter(|line: &Value| line["kind"] == "removal");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    removals
        .map(|line| (text(&line["name"]), text(&line["outcome"])))
        .collect()
}

fn never_started(labels: &[(&str, &str)]) -> docker::Container {
    let label = |(name, value): &(&str, &str)| format!("--label=io.casemate.{name}={value}");
    let labels: Vec<String> = labels.iter().map(label).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let create = ["create", "--network=none"];
    let image = [crate::harness::TOOLS_IMAGE, "true"];
    docker::Container(docker::output(&[&create[..], &labels, &image].concat()))
}

fn is_there(container: &docker::Container) -> bool {
    let all = docker::lines(&["ps", "--all", "--quiet", "--no-trunc"]);
    all.contains(&container.0)
}

#[tokio::test]
async fn gc_says_what_it_would_remove_removes_that_and_completes_what_a_kill_left() {
    let (instance, other, audit) = (Instance::new(), Instance::new(), Directory::new(0));
    let ours = |of: &str| never_started(&[("instance", of), ("user", "gone"), ("issuer", "local")]);
    let abandoned: Vec<_> = (0..12).map(|_| ours(instance.name())).collect();
    let foreign = [
        ours(other.name()),
        never_started(&[("instance", instance.name())]),
        never_started(&[("user", "gone"), ("issuer", "local")]),
        never_started(&[]),
    ];
    // Only time makes them old.
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
    // Of the fourth it is known that it was to go.
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

/// A clean-up in this process, of workspaces unused for [`RETENTION`].
struct Here {
    manager: Manager,
    engine: Engine,
    audit: Directory,
}

impl Here {
    fn new(instance: &Instance, image: &docker::Image) -> Self {
        let mut environment = MapEnvironment {
            os_user: "gc".to_owned(),
            ..MapEnvironment::default()
        };
        environment.variables.extend([
            ("CASEMATE_INSTANCE".into(), instance.name().into()),
            ("CASEMATE_IMAGE".into(), image.name().into()),
        ]);
        let config = Config::load(SettingsArgs::default(), &environment);
        let mut config = config.expect("settings");
        config.volume_retention = Some(RETENTION);
        let engine = engine();
        let audit = Directory::new(0);
        let instance = instance.name().to_owned();
        let options = Options::new(audit.text().into(), false, "node".to_owned(), instance);
        let opened = Audit::open(options, engine.meter().clone()).expect("an audit");
        Self {
            manager: Manager::new(config, engine.clone()).recorded_in(opened),
            engine,
            audit,
        }
    }

    fn gc(&self, backup: Backup) -> Gc {
        Gc::new(self.manager.clone(), self.engine.clone(), Some(backup))
    }
}

/// The Engine of all tests.
fn engine() -> Engine {
    let variable = |name: &str| ProcessEnvironment.variable(name)?.into_string().ok();
    Engine::new(locate(&variable).expect("an engine")).expect("an address")
}

/// What becomes of the volume of `user`.
fn disposition<'a>(items: &'a [PlanItem], user: &str) -> &'a Disposition {
    let mut volumes = items
        .iter()
        .filter(|item| item.what == ResourceKind::Volume);
    let found = volumes.find(|item| item.user.as_deref() == Some(user));
    &found
        .unwrap_or_else(|| panic!("none of {user}: {items:?}"))
        .disposition
}

fn backup(made: &Arc<AtomicUsize>, result: Result<String, String>) -> Backup {
    let made = made.clone();
    Arc::new(move |_: User| {
        made.fetch_add(1, Ordering::Relaxed);
        let result = result.clone();
        Box::pin(async move { result })
    })
}

/// Users with a file each, whose containers have ended.
async fn unused(instance: &Instance, image: &docker::Image, users: &[&str]) {
    for user in users {
        let server = TestServer::on(instance).user(user).image(image.name());
        let server = server.env("CASEMATE_IDLE_TIMEOUT", "1s").start().await;
        let written = server.write("file", "a").await;
        assert!(!written.is_error(), "{}", written.text());
        assert!(server.end().await.success());
    }
    eventually("they end", SOON, async || instance.containers().is_empty()).await;
}

/// Until the volumes of `users` are old enough to go. Looking does not make them younger.
async fn planned(gc: &mut Gc, users: &[&str]) {
    for _ in 0..40 {
        let items = gc.plan(Scope::All).await.expect("a plan");
        if users
            .iter()
            .all(|user| *disposition(&items, user) == Disposition::Remove)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("they never get old");
}

#[tokio::test]
async fn an_unused_workspace_goes_after_its_backup_and_what_is_held_used_or_foreign_stays() {
    // Its own: no image that another test uses is then one that was replaced.
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
    let label = |name: &str, value: &str| format!("--label=io.casemate.{name}={value}");
    // Our labels, and a name of somebody's; our prefix, and no labels of a user.
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

    let (here, made) = (Here::new(&instance, &image), Arc::default());
    let mut gc = here.gc(backup(&made, Ok("a backup".to_owned())));
    planned(&mut gc, &["ada", "bob"]).await;
    // Who comes back is no candidate any more.
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
    // Of bob, of the one that is held, its hold, and the two that are none of ours.
    assert_eq!(volumes.len(), 5, "{volumes:?}");
    assert!(volumes.contains(&foreign) && volumes.contains(&lacking));
    let mut removed = removals(&here.audit);
    // Images of tests that ran before may go too.
    removed.retain(|(name, _)| name.contains(instance.name()));
    let outcomes: Vec<_> = removed
        .iter()
        .map(|(_, outcome)| outcome.as_str())
        .collect();
    assert_eq!(json!(outcomes), json!(["begun", "done"]));

    let rm = Command::new(env!("CARGO_BIN_EXE_casemate"))
        .args(["rm", "held", "--volume"])
        .env("CASEMATE_INSTANCE", instance.name())
        .output()
        .expect("it runs");
    assert!(!rm.status.success() && text(&rm.stderr).contains("is held"));
    let nowhere = Directory::new(0);
    let restore = instance
        .command(&["restore", "held", "--from", nowhere.text()])
        .output()
        .expect("it runs");
    assert!(!restore.status.success() && text(&restore.stderr).contains("is held"));
    assert!(hold(&["--release"]).status.success());
    assert!(!hold(&["--release"]).status.success());
    here.manager.close().await;
}

#[tokio::test]
async fn without_its_backup_or_when_it_was_used_meanwhile_a_workspace_stays() {
    // Its own: no image that another test uses is then one that was replaced.
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
    let used: Backup = Arc::new(move |user| {
        let sandbox = manager.sandbox(&user);
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
