//! The filters hold with any profile of the Engine. The tests read the kernel's count of them
//! (`Seccomp_filters` in proc(5)), and check that a bridge is served.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use casemate_protocol::exit;

use super::attack;
use crate::harness::{Server, TestServer, docker};

/// The expected filters: for EPERM, ENOSYS, and each errno of the rules.
const OURS: u32 = 9;

/// How many filters a process has, as it reads itself.
fn filters(status: &str) -> u32 {
    let line = status
        .lines()
        .find_map(|it| it.strip_prefix("Seccomp_filters:"));
    line.and_then(|it| it.trim().parse().ok()).expect(status)
}

fn status_of(container: &str, program: &str) -> String {
    // The casemate-init process of the container with this role.
    let look = format!(
        "for it in /proc/[0-9]*; do tr '\\0' ' ' < $it/cmdline | grep -q '^/casemate-init {program}' \
         && cat $it/status && break; done"
    );
    docker::beside(container, &look)
}

async fn sandbox() -> (Server, String) {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    (server, container)
}

#[tokio::test]
async fn pid_1_commands_and_bridges_are_under_the_engines_filter_and_ours() {
    let (server, container) = sandbox().await;
    let own = server.shell("cat /proc/self/status").await;
    assert_eq!(filters(own.stdout()), OURS + 1, "{}", own.0);
    for role in ["pid1", "bridge"] {
        assert_eq!(filters(&status_of(&container, role)), OURS + 1, "{role}");
    }
    // A second server, and so a second bridge and a command over it.
    let second = TestServer::on(&server.instance).start().await;
    let over = second.shell("cat /proc/self/status").await;
    assert_eq!(filters(over.stdout()), OURS + 1, "{}", over.0);
    let netlink = "print(json.dumps(errno_of(lambda: socket.socket(socket.AF_NETLINK, 3, 0))))";
    assert_eq!(attack(&second, netlink).await, 22);
}

/// A bridge that the test started. Dropping it kills it.
struct Bridge(Child);

impl Bridge {
    fn start(container: &str) -> Self {
        let bridge = Command::new("docker")
            .args([
                "exec",
                "-i",
                "--user",
                "65534",
                container,
                "/casemate-init",
                "bridge",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(bridge.expect("the docker command can be run"))
    }

    /// Sends the preface of HTTP/2; returns whether PID 1 answers with its own settings.
    fn is_served(&mut self) -> bool {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let stdin = self.0.stdin.as_mut().expect("stdin");
        if stdin
            .write_all(preface)
            .and_then(|()| stdin.flush())
            .is_err()
        {
            return false;
        }
        let mut head = [0; 9];
        let stdout = self.0.stdout.as_mut().expect("stdout");
        // The type of a frame is its fourth byte; 4: settings (RFC 9113, section 4.1).
        stdout.read_exact(&mut head).is_ok() && head[3] == 4
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the prepared image as uid 1000 without capabilities, under another profile.
fn by_hand(image: &str, profile: Option<&str>, runs: &[&str]) -> docker::Container {
    let name = format!("casemate-test-{}", uuid::Uuid::new_v4().simple());
    let mut run = vec!["run", "--detach", "--name", &name, "--network", "none"];
    // An anonymous volume gets the owner of the image's directory.
    let options = "--user 1000 --cap-drop ALL --volume /workspace";
    run.extend(options.split(' '));
    if let Some(profile) = profile {
        run.extend(["--security-opt", profile]);
    }
    run.extend(["--entrypoint", "/casemate-init", image]);
    run.extend(runs);
    let container = docker::Container(name.clone());
    docker::output(&run);
    container
}

#[tokio::test]
async fn pid_1_serves_under_its_filters_with_no_profile_and_with_dockers() {
    let (_server, container) = sandbox().await;
    let image = docker::inspect("container", &container)["Image"].clone();
    let image = image.as_str().expect("an id");
    let pid1 = [
        "pid1",
        "--idle-timeout-ms=60000",
        "--background-ttl-ms=1000",
        "--spec=x",
    ];
    for (profile, outside) in [(Some("seccomp=unconfined"), 0), (None, 1)] {
        let by_hand = by_hand(image, profile, &pid1);
        let mut bridge = Bridge::start(&by_hand.0);
        assert!(bridge.is_served(), "{profile:?}");
        for role in ["pid1", "bridge"] {
            let status = status_of(&by_hand.0, role);
            assert_eq!(filters(&status), OURS + outside, "{role} under {profile:?}");
            assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        }
    }
}

/// Where `seccomp(2)` is refused PID 1 serves no one: the exit code tells the server why.
#[tokio::test]
async fn pid_1_that_cannot_install_its_filters_ends_with_code_72() {
    let (server, container) = sandbox().await;
    // Under our own filters there is no seccomp(2).
    let arguments = "--idle-timeout-ms=1 --background-ttl-ms=1 --spec=mine";
    for role in [format!("pid1 {arguments}"), "bridge".to_owned()] {
        let result = server.shell(&format!("/casemate-init {role}")).await;
        assert_eq!(result.exit_code(), exit::UNFILTERED, "{}", result.0);
        assert!(result.stderr().contains("seccomp filters"), "{}", result.0);
    }

    // Podman's API takes a profile only as the name of a file on its host.
    if docker::is_podman() {
        return;
    }
    // As PID 1, under a profile without it.
    let image = docker::inspect("container", &container)["Image"].clone();
    let folder = std::env::temp_dir().join(format!("casemate-{}.json", uuid::Uuid::new_v4()));
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["seccomp"],"action":"SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&folder, profile).expect("a profile");
    let option = format!("seccomp={}", folder.display());
    let by_hand = by_hand(
        image.as_str().expect("an id"),
        Some(&option),
        &["pid1", "--spec=x"],
    );
    std::fs::remove_file(&folder).expect("it is there");
    let end = Instant::now() + Duration::from_secs(20);
    let state = loop {
        let state = docker::inspect("container", &by_hand.0)["State"].clone();
        if state["Running"] == false || Instant::now() > end {
            break state;
        }
    };
    assert_eq!(state["ExitCode"], exit::UNFILTERED, "{state}");
}
