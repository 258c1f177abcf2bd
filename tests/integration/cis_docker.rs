//! Section 5 of the CIS Docker Benchmark, for a running sandbox: each check that
//! docs/cis-docker-benchmark.md marks as readable is read as the benchmark reads it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{TOOLS_IMAGE, TestServer, docker, host};

const ANSWERS: &str = include_str!("../../docs/cis-docker-benchmark.md");

/// The checks of the section (1.6.0 to 1.8.0).
const CHECKS: std::ops::RangeInclusive<u32> = 1..=32;

/// The rows of the table: for each check, whether this test reads it.
fn answers() -> BTreeMap<u32, bool> {
    let rows = ANSWERS.lines().filter_map(|line| {
        let cells: Vec<_> = line
            .strip_prefix("| 5.")?
            .split('|')
            .map(str::trim)
            .collect();
        Some((cells[0].parse().expect("a number"), cells[3] == "yes"))
    });
    let rows: Vec<_> = rows.collect();
    let answers: BTreeMap<_, _> = rows.iter().copied().collect();
    assert_eq!(rows.len(), answers.len(), "a check is answered twice");
    answers
}

/// Whether a container runs as a uid that the settings give to users, and as its group.
fn is_a_users(user: &Value) -> bool {
    let ids = user.as_str().and_then(|user| user.split_once(':'));
    ids.is_some_and(|(uid, gid)| {
        uid == gid
            && uid.parse::<u32>().is_ok_and(|uid| {
                let first = docker::first_uid();
                (first..first + 4_096).contains(&uid)
            })
    })
}

/// Whether a field of the Engine's answer is absent or empty.
fn has_none(value: &Value) -> bool {
    value.is_null() || value == &json!([]) || value == &json!({})
}

fn positive(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| number > 0)
}

/// What Podman stores otherwise and means the same, in Docker's words: docs/engines.md has the table.
/// Where it stores nothing, the kernel says it of PID 1.
fn in_dockers_words(mut inspected: Value) -> Value {
    let status = status_of_pid_1(&inspected["State"]["Pid"]);
    let has = |line: &str| status.lines().any(|it| it == line);
    let named = inspected["Config"]["Image"].as_str().unwrap_or_default();
    // The tag is a hash of the content.
    if named.starts_with("localhost/casemate-prepared:") {
        inspected["Config"]["Image"] = inspected["Image"].clone();
    }
    let host = &mut inspected["HostConfig"];
    for mode in ["PidMode", "UTSMode"] {
        if host[mode] == "private" {
            host[mode] = json!("");
        }
    }
    if has("CapBnd:\t0000000000000000") {
        host["CapDrop"] = json!(["ALL"]);
    }
    let options = host["SecurityOpt"].as_array_mut().expect("options");
    for option in options.iter_mut().filter(|it| *it == "no-new-privileges") {
        *option = json!("no-new-privileges:true");
    }
    if has("Seccomp:\t2") {
        options.push(json!("seccomp=SCMP_ACT_ERRNO"));
    }
    // Its own limit of processes, by uid.
    let ulimits = host["Ulimits"].as_array_mut().expect("limits");
    ulimits.retain(|limit| limit["Name"] != "RLIMIT_NPROC");
    let volumes = inspected["Mounts"].as_array().expect("mounts").clone();
    let binds = inspected["HostConfig"]["Binds"].as_array_mut();
    binds.expect("mounts").retain(|bind| {
        let source = bind.as_str().and_then(|it| it.split(':').next());
        !volumes
            .iter()
            .any(|volume| volume["Name"].as_str() == source)
    });
    inspected
}

/// What the kernel says of the process; nothing of a container that does not run.
fn status_of_pid_1(pid: &Value) -> String {
    let pid = pid.to_string();
    let status = Path::new("/proc").join(&pid).join("status");
    match pid.as_str() {
        "0" => String::new(),
        _ => std::fs::read_to_string(host::path(&status)).expect("it runs"),
    }
}

/// The checks that `HostConfig` answers.
fn read_host_config(host: &Value) -> BTreeMap<u32, bool> {
    let options = host["SecurityOpt"].as_array().expect("options");
    let option = |name: &str| {
        options
            .iter()
            .filter_map(Value::as_str)
            .find(|it| it.starts_with(name))
    };
    BTreeMap::from([
        (
            4,
            has_none(&host["CapAdd"]) && host["CapDrop"] == json!(["ALL"]),
        ),
        (5, host["Privileged"] == false),
        (10, host["NetworkMode"] == "none"),
        (
            11,
            positive(&host["Memory"]) && host["Memory"] == host["MemorySwap"],
        ),
        (12, positive(&host["NanoCpus"])),
        (13, host["ReadonlyRootfs"] == true),
        (
            15,
            ["no", ""]
                .map(Value::from)
                .contains(&host["RestartPolicy"]["Name"]),
        ),
        (16, host["PidMode"] == ""),
        (17, host["IpcMode"] == "private"),
        (
            18,
            // Podman lists none of a privileged container, which has them all.
            host["Privileged"] == false
                && has_none(&host["Devices"])
                && has_none(&host["DeviceRequests"]),
        ),
        (
            19,
            host["Ulimits"]
                .as_array()
                .is_some_and(|limits| limits.len() == 4),
        ),
        (21, host["UTSMode"] == ""),
        (
            22,
            option("seccomp=").is_some_and(|it| it.contains("SCMP_ACT_ERRNO")),
        ),
        (25, host["CgroupParent"] == ""),
        (
            26,
            option("no-new-privileges").is_some_and(|it| it.ends_with("true")),
        ),
        (29, positive(&host["PidsLimit"])),
    ])
}

/// For each check that can be read, whether the container passes it.
fn read(container: &str) -> BTreeMap<u32, bool> {
    let mut inspected = docker::inspect("container", container);
    if docker::is_podman() {
        inspected = in_dockers_words(inspected);
    }
    let host = &inspected["HostConfig"];
    let network = &inspected["NetworkSettings"];
    let mounts = inspected["Mounts"].as_array().expect("mounts");
    let apparmor =
        docker::output(&["info", "--format", "{{.SecurityOptions}}"]).contains("apparmor");
    let profile = if apparmor { "docker-default" } else { "" };
    let programs = docker::top(container);
    let ours = |args: &String| args.starts_with("/casemate-init ");
    let no_port = has_none(&network["Ports"])
        && has_none(&host["PortBindings"])
        && host["PublishAllPorts"] == false;
    let alone = mounts.len() == 1
        && mounts[0]["Destination"] == "/workspace"
        && mounts[0]["Type"] == "volume";
    let mut checks = read_host_config(host);
    checks.extend([
        (2, inspected["AppArmorProfile"] == profile),
        (6, alone && has_none(&host["Binds"])),
        (7, programs.iter().all(|(_, args)| ours(args))),
        (8, no_port),
        (9, no_port),
        (14, no_port),
        (
            20,
            mounts.iter().all(|it| {
                ["", "rprivate", "private"]
                    .map(Value::from)
                    .contains(&it["Propagation"])
            }),
        ),
        (
            28,
            inspected["Config"]["Image"]
                .as_str()
                .is_some_and(|it| it.starts_with("sha256:")),
        ),
        (
            30,
            network["Networks"]
                .as_object()
                .is_some_and(|it| it.keys().eq(["none"])),
        ),
        (
            31,
            host["UsernsMode"] == "" && is_a_users(&inspected["Config"]["User"]),
        ),
        (32, !inspected.to_string().contains("docker.sock")),
    ]);
    checks
}

#[tokio::test]
async fn a_sandbox_passes_what_can_be_read_of_it() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let read = read(&server.instance.container());
    let failed: Vec<_> = read.iter().filter(|(_, passes)| !**passes).collect();
    assert!(failed.is_empty(), "5.x fails: {failed:?}");
    let answered: Vec<_> = answers()
        .into_iter()
        .filter(|(_, read)| *read)
        .map(|(check, _)| check)
        .collect();
    assert!(
        read.keys().eq(&answered),
        "read: {:?}, said to be read: {answered:?}",
        read.keys()
    );
}

#[test]
fn every_check_of_the_section_has_an_answer() {
    assert!(answers().into_keys().eq(CHECKS), "{:?}", answers());
}

/// A container that was created and not started: the checks read what the Engine stored.
#[test]
fn a_container_that_keeps_nothing_back_fails_nearly_all_of_them() {
    let container = docker::Container(format!("casemate-test-{}", uuid::Uuid::new_v4().simple()));
    let flags = "--privileged --network host --pid host --ipc host --uts host --userns host --restart always \
        --device /dev/null --security-opt label=disable \
        --volume /var/run/docker.sock:/var/run/docker.sock";
    let mut create = vec!["create", "--name", &container.0];
    create.extend(flags.split_whitespace());
    create.extend([TOOLS_IMAGE, "true"]);
    docker::output(&create);
    let passed: Vec<_> = read(&container.0)
        .into_iter()
        .filter_map(|(check, passes)| passes.then_some(check))
        .collect();
    // Checks that take more than a flag to fail: ports, the parent's cgroup, AppArmor on a host
    // without it; and a container that does not run has no processes.
    for check in [
        4, 5, 6, 10, 11, 12, 13, 15, 16, 17, 18, 19, 21, 22, 26, 28, 29, 30, 31, 32,
    ] {
        assert!(!passed.contains(&check), "5.{check} passes: {passed:?}");
    }
}
