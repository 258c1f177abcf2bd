//! `casemate doctor`: with a working Engine, without one, with problems to find; and that it leaves
//! nothing.

mod ending;
mod golden;
mod wrong;

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::docker::{self, Image};
use crate::harness::{Directory, Instance, not_run};

/// The checks that read a sandbox from inside.
const INSIDE: [&str; 8] = [
    "capabilities",
    "privileges",
    "filter",
    "uid",
    "network",
    "limits",
    "root",
    "workspace",
];

fn doctor(instance: &Instance, variables: &[(&str, &str)], flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command
        .arg("doctor")
        .args(flags)
        .env("CASEMATE_INSTANCE", instance.name())
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

/// The report as JSON, and the exit code.
struct Report(Value, Option<i32>);

impl Report {
    fn of(instance: &Instance, variables: &[(&str, &str)]) -> Self {
        let output = doctor(instance, variables, &["--json"]).output();
        Self::read(&output.expect("it runs"))
    }

    fn read(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {said}"));
        Self(report, output.status.code())
    }

    fn findings(&self) -> &[Value] {
        self.0["findings"].as_array().expect("findings")
    }

    /// The worst finding of a check.
    fn level(&self, check: &str) -> &str {
        self.finding(check)["level"].as_str().expect("a level")
    }

    /// The one finding of a check.
    fn finding(&self, check: &str) -> &Value {
        let found: Vec<_> = self
            .findings()
            .iter()
            .filter(|it| it["check"] == check)
            .collect();
        assert_eq!(found.len(), 1, "{check}: {}", self.0);
        found[0]
    }

    fn has(&self, check: &str) -> bool {
        self.findings().iter().any(|it| it["check"] == check)
    }

    /// Asserts the level, text and fix of a finding.
    fn says(&self, check: &str, level: &str, found: &str, mend: &str) {
        let finding = self.finding(check);
        let has =
            |field: &str, text: &str| finding[field].as_str().is_some_and(|it| it.contains(text));
        assert_eq!(finding["level"], level, "{finding}");
        assert!(has("found", found), "{finding}");
        assert!(mend.is_empty() || has("mend", mend), "{finding}");
    }

    /// The exit code is the worst level's.
    fn exit_code_is_right(&self) {
        let levels: Vec<_> = self
            .findings()
            .iter()
            .map(|it| it["level"].as_str())
            .collect();
        let code = match () {
            () if levels.contains(&Some("error")) => 2,
            () if levels.contains(&Some("warning")) => 1,
            () => 0,
        };
        assert_eq!(self.1, Some(code), "{}", self.0);
    }
}

fn nothing_is_left(instance: &Instance) {
    assert_eq!(instance.containers(), Vec::<String>::new());
    assert_eq!(instance.volumes(), Vec::<String>::new());
}

/// Checks of the Engine and its host, whose results depend on the machine.
const OF_THE_HOST: [&str; 11] = [
    "storage",
    "cgroups",
    "swap",
    "lsm",
    "users",
    "runtime",
    "quota",
    "clock",
    "disk",
    "sockets",
    "terminals",
];

#[test]
fn it_tries_a_sandbox_reads_it_from_inside_and_leaves_nothing() {
    let instance = Instance::new();
    let limits = [
        ("CASEMATE_MEMORY", "300m"),
        ("CASEMATE_CPUS", "0.5"),
        ("CASEMATE_PIDS", "77"),
    ];
    let report = Report::of(&instance, &limits);
    for check in ["settings", "engine", "seccomp", "image", "sandbox"]
        .iter()
        .chain(&INSIDE)
    {
        assert!(
            ["ok", "note"].contains(&report.level(check)),
            "{}",
            report.finding(check)
        );
    }
    report.says(
        "limits",
        "ok",
        match docker::on_gvisor() {
            true => "314572800 bytes of memory, 77 processes by PID 1, 0.50 CPUs",
            false => "314572800 bytes of memory, 77 processes, 0.50 CPUs",
        },
        "",
    );
    // gVisor has sockets and terminals of its own.
    let gvisors: &[&str] = match docker::on_gvisor() {
        true => &["sockets", "terminals"],
        false => &[],
    };
    for check in OF_THE_HOST.iter().filter(|it| !gvisors.contains(it)) {
        assert!(report.has(check), "{check}: {}", report.0);
    }
    let versions = report
        .findings()
        .iter()
        .filter(|it| it["check"] == "versions");
    // Docker Engine, containerd and runc; or Podman and crun.
    let parts = if docker::is_podman() { 2 } else { 3 };
    assert!(versions.count() >= parts, "{}", report.0);
    report.exit_code_is_right();
    nothing_is_left(&instance);

    let setting = |name: &str| {
        let settings = report.0["settings"].as_array().expect("settings").iter();
        settings
            .clone()
            .find(|it| it["name"] == name)
            .cloned()
            .unwrap_or_else(|| panic!("{name}"))
    };
    let memory = setting("CASEMATE_MEMORY");
    assert_eq!(
        (&memory["value"], &memory["from"]),
        (&"300m".into(), &"variable CASEMATE_MEMORY".into())
    );
    assert_eq!(setting("CASEMATE_IDLE_TIMEOUT")["from"], "default");
}

/// Where the Engine shares this machine's kernel and network; the unit tests have all other cases.
#[test]
fn memory_shared_with_the_host_is_compared_with_the_limits() {
    let Ok(pages) = std::fs::read_to_string("/proc/sys/net/ipv4/udp_mem") else {
        return;
    };
    if docker::on_gvisor() {
        return not_run("gVisor has sockets and terminals of its own");
    }
    let instance = Instance::new();
    let limits = [("CASEMATE_MEMORY", "64m"), ("CASEMATE_MAX_SANDBOXES", "10")];
    // Open until the report is there.
    let terminals: Vec<_> = (0..40)
        .map(|_| std::fs::File::open("/dev/ptmx").expect("a terminal"))
        .collect();
    let report = Report::of(&instance, &limits);
    let count = report.finding("terminals")["found"].as_str().expect("text");
    let count = count.split(' ').next().and_then(|it| it.parse().ok());
    assert!(count.is_some_and(|count: usize| count >= terminals.len()));
    let pages: u64 = pages
        .split_whitespace()
        .last()
        .expect("three")
        .parse()
        .expect("a number");
    let is_large = pages * 4096 > 128 << 20;
    match docker::output(&["info", "--format", "{{.CgroupVersion}}"]).as_str() {
        "1" if is_large => {
            let said = "in addition to the 640m that the limits allow all sandboxes";
            report.says("sockets", "warning", said, "sysctl -w net.ipv4.tcp_mem='");
        }
        "1" => report.says("sockets", "note", "cgroup v1 charges", ""),
        _ => report.says("sockets", "note", "a sandbox's part is within its 64m", ""),
    }
}

#[test]
fn people_get_a_line_for_each_finding_and_the_settings() {
    let instance = Instance::new();
    let output = doctor(&instance, &[], &["--memory", "200m"])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let engine = match docker::is_podman() {
        true => "ok       engine        Podman ",
        false => "ok       engine        Docker Engine ",
    };
    for line in [engine, "ok       capabilities  no capabilities"] {
        assert!(
            text.lines().any(|it| it.starts_with(line)),
            "{line}: {text}"
        );
    }
    assert!(text.contains("Settings in force, and why:"), "{text}");
    let memory = text.lines().find(|line| line.contains("CASEMATE_MEMORY"));
    assert!(
        memory.is_some_and(|line| line.ends_with("flag --memory")),
        "{text}"
    );
    assert!(text.trim_end().ends_with(['g', 's']), "the count: {text}");
    nothing_is_left(&instance);
}

#[test]
fn an_image_without_a_shell_is_fine_and_is_not_read_from_inside() {
    let instance = Instance::new();
    let image = Image::build("FROM scratch\nENV A=b\n");
    let report = Report::of(&instance, &[("CASEMATE_IMAGE", image.name())]);
    report.says("sandbox", "note", "has no shell", "");
    assert_eq!(report.level("image"), "note");
    assert_eq!(
        Report::of(&instance, &[("CASEMATE_IMAGE", image.name())]).level("image"),
        "ok"
    );
    nothing_is_left(&instance);
}

#[test]
fn the_directory_of_bind_mode_is_not_touched() {
    let instance = Instance::new();
    let directory = Directory::new(1000);
    let report = Report::of(
        &instance,
        &[
            ("CASEMATE_MODE", "bind"),
            ("CASEMATE_BIND_DIR", directory.text()),
        ],
    );
    assert_eq!(report.level("sandbox"), "ok");
    assert_eq!(report.level("workspace"), "ok");
    assert_eq!(
        std::fs::read_dir(directory.text())
            .expect("a directory")
            .count(),
        0
    );
    nothing_is_left(&instance);
}
