//! Clean-up: removals, exceptions from them, and kills in the middle.

mod backed_up;
mod concurrent;
mod recorded;
mod unused;
mod verb;
mod workspaces;

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use casemate::audit::{Audit, Options, verify};
use casemate::config::{
    Config, Environment as _, MapEnvironment, ProcessEnvironment, SettingsArgs,
};
use casemate::engine::{Engine, locate};
use casemate::identity::{User, WorkspaceId};
use casemate::ops::gc::{Backup, Disposition, Gc, PlanItem, ResourceKind, Scope};
use casemate::sandbox::Manager;
use serde_json::{Value, json};

use crate::harness::{Directory, Instance, TestServer, Withholding, docker, eventually};

/// The age of an abandoned container: one minute, and a margin because the Engine reports
/// whole seconds.
const ABANDONED: Duration = Duration::from_secs(62);

/// How long a workspace is kept here: less than any setting allows.
const RETENTION: Duration = Duration::from_secs(2);

const SOON: Duration = Duration::from_secs(20);

fn command(instance: &Instance, audit: &Directory, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command
        .args(args)
        .env("CASEMATE_INSTANCE", instance.name())
        .env("CASEMATE_AUDIT", audit.text())
        // Otherwise images of other tests would count as replaced.
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

/// A clean-up in this process, of workspaces unused for [`RETENTION`].
struct Here {
    manager: Manager,
    engine: Engine,
    audit: Directory,
}

impl Here {
    fn new(instance: &Instance, image: &docker::Image) -> Self {
        Self::with(instance, image, Some(RETENTION), None)
    }

    /// `all` counts for every workspace, `named` for those that have a name.
    fn with(
        instance: &Instance,
        image: &docker::Image,
        all: Option<Duration>,
        named: Option<Duration>,
    ) -> Self {
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
        config.volume_retention = all;
        config.workspace_retention = named;
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
pub fn engine() -> Engine {
    let variable = |name: &str| ProcessEnvironment.variable(name)?.into_string().ok();
    Engine::new(locate(&variable).expect("an engine")).expect("an address")
}

/// What the clean-up does with the volume of `user`.
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
    Arc::new(move |_: WorkspaceId| {
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

/// Waits until the volumes of `users` are old enough. A look does not make them younger.
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
