//! The text of `casemate doctor` on each Engine, with masks for numbers that vary: each has a file in
//! tests/golden/doctor. UPDATE=1 writes the file of the Engine at hand.

use std::path::Path;

use super::{doctor, nothing_is_left};
use crate::harness::{Instance, docker};

/// Checks whose findings depend on this machine too: its packages, disks, memory and boot options.
/// They are compared in CI, whose machines are alike.
const OF_THE_MACHINE: [&str; 6] = ["versions", "storage", "quota", "swap", "lsm", "sockets"];

/// Checks whose findings depend on what other tests do at the time.
const OF_THE_MOMENT: [&str; 3] = ["disk", "terminals", "clock"];

/// The file for the Engine at hand: `docker-28.5-userns`.
fn name() -> String {
    let ask = |format: &str| docker::output(&["info", "--format", format]);
    let version = docker::output(&["version", "--format", "{{json .Server}}"]);
    let server: serde_json::Value = serde_json::from_str(&version).expect("JSON");
    let version = server["Version"].as_str().expect("a version");
    let (major, rest) = version.split_once('.').expect("two numbers");
    let mut name = match docker::is_podman() {
        true => format!("podman-{major}"),
        false => format!("docker-{major}.{}", rest.split('.').next().expect("a part")),
    };
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("proc");
    if ask("{{.Name}}") != here.trim() {
        name += "-forwarded";
    } else if ask("{{.CgroupVersion}}") == "2" {
        name += "-cgroup2";
    }
    for option in ["userns", "rootless"] {
        if docker::has_security_option(option) {
            name = format!("{name}-{option}");
        }
    }
    if docker::on_gvisor() {
        name += "-gvisor";
    }
    name
}

/// A word; a number, with what belongs to it, and a name that varies are masked.
fn mask(word: &str) -> String {
    let core = word.trim_start_matches(['(', '`', '\'']);
    let core = core.trim_end_matches([',', ';', ':', ')', '`', '\'', '.']);
    let shown = match core {
        _ if core.starts_with(|c: char| c.is_ascii_digit()) => "N",
        _ if core.starts_with("unix://") || core.starts_with("tcp://") => "ADDRESS",
        _ if core.starts_with("casemate-prepared:") => "casemate-prepared:HASH",
        _ => return word.to_owned(),
    };
    word.replacen(core, shown, 1)
}

/// A line of the report without what varies from run to run and from machine to machine.
fn masked(line: &str) -> String {
    let how = line.split_once("(found by: ");
    let how = how.and_then(|(_, rest)| rest.split_once(')'));
    let line = match how {
        Some((how, _)) => line.replacen(how, "WHAT", 1),
        None => line.to_owned(),
    };
    let words: Vec<_> = line.split(' ').map(mask).collect();
    words.join(" ")
}

/// Without the findings of these checks. A fix follows its finding.
fn without(checks: &[&str], text: &str) -> String {
    let mut is_kept = true;
    let kept = text.lines().filter(|line| {
        if !line.starts_with(' ') {
            let check = line.split_whitespace().nth(1).unwrap_or_default();
            is_kept = !checks.contains(&check);
        }
        is_kept
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// Holds for every Engine, also one that has no file.
fn is_plain(line: &str) {
    let odd = ["Some(", "None", "Ok(", "Err(", "{}", "  }", "\\", "\t"];
    assert!(!odd.iter().any(|it| line.contains(it)), "{line}");
    let is_fix = line.starts_with(' ');
    let (level, _) = line.trim_start().split_once(' ').expect("words");
    let levels = ["ok", "note", "WARNING", "ERROR"];
    assert!(is_fix || levels.contains(&level), "{line}");
    assert_eq!(is_fix, level == "->", "{line}");
}

/// A switch for the developer, not a setting.
#[expect(clippy::disallowed_methods, reason = "see above")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

#[test]
fn it_says_of_each_engine_what_a_person_has_read_and_found_true() {
    let instance = Instance::new();
    let report = || {
        let output = doctor(&instance, &[], &[]).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // The first one may prepare the image.
    report();
    let report = report();
    let (findings, _) = report
        .split_once("\nSettings in force")
        .expect("the settings come last");
    findings.lines().for_each(is_plain);
    let said: String = findings.lines().map(|line| masked(line) + "\n").collect();

    let file = format!("tests/golden/doctor/{}.txt", name());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
    if is_set("UPDATE") {
        std::fs::write(&path, &said).expect("write golden file");
    }
    if let Ok(golden) = std::fs::read_to_string(&path) {
        let mut left_out = OF_THE_MOMENT.to_vec();
        if !is_set("CI") {
            left_out.extend(OF_THE_MACHINE);
        }
        assert!(
            without(&left_out, &golden) == without(&left_out, &said),
            "{file}: doctor says something else now; read it, then UPDATE=1 cargo test\n{said}"
        );
    }
    nothing_is_left(&instance);
}

#[test]
fn what_varies_is_masked_and_nothing_else() {
    for (line, shown) in [
        (
            "ok  engine  Docker Engine 20.10.24+dfsg1 with API 1.41 at unix:///run/docker.sock (found by: the usual socket), kernel 6.1.0-18-amd64",
            "ok  engine  Docker Engine N with API N at ADDRESS (found by: WHAT), kernel N",
        ),
        (
            "CVE-2026-41567 (`docker cp` runs; fixed in 1.2.8, 1.4.0-rc.3)",
            "CVE-2026-41567 (`docker cp` runs; fixed in N, N)",
        ),
        (
            "38g of the disk, in /var/lib/docker/100000.100000, on cgroup v1 in 9 ms",
            "N of the disk, in /var/lib/docker/100000.100000, on cgroup v1 in N ms",
        ),
        (
            "prepared as casemate-prepared:9177651dda0c",
            "prepared as casemate-prepared:HASH",
        ),
    ] {
        assert_eq!(masked(line), shown);
    }
}
