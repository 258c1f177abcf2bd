//! Processes that outlive SIGKILL: the host's freezer makes one, as a dead disk or
//! network file system would. Needs cgroup v1 and root: on version 2 the kernel ends
//! frozen processes, so a test cannot make such a process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::harness::{TestServer, docker, eventually, not_run};

/// Where the kernel's freezer of cgroup v1 is.
const FREEZER: &str = "/sys/fs/cgroup/freezer";

/// A frozen process of this host, which cannot even be killed.
struct Frozen(PathBuf);

impl Frozen {
    fn new(pid: &str) -> Self {
        let group = PathBuf::from(FREEZER).join(format!("casemate-test-{pid}"));
        fs::create_dir(&group).expect("a group");
        let frozen = Self(group);
        fs::write(frozen.0.join("tasks"), pid).expect("the process moves");
        fs::write(frozen.0.join("freezer.state"), "FROZEN").expect("it freezes");
        frozen
    }

    fn thaw(&self) {
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw();
        // Only an empty group can be removed.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// The host's id of the only process whose command line ends like this.
async fn on_host(container: &str, args: &str) -> String {
    let find = || {
        let mut processes = docker::top(container).into_iter();
        processes.find(|(_, found)| found == args)
    };
    eventually("the process runs", Duration::from_secs(10), async || {
        find().is_some()
    })
    .await;
    find().expect("it runs on").0
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_emptied_is_replaced_and_says_so() {
    if !PathBuf::from(FREEZER).join("docker").exists() {
        return not_run("this machine has no freezer of cgroup v1");
    }
    let server = TestServer::new().start().await;
    server.shell("echo kept > kept").await;
    let container = server.instance.container();
    let other = server
        .start_call("shell_exec", json!({ "command": "sleep 1000" }))
        .await
        .1;
    on_host(&container, "sleep 1000").await;
    let arguments = json!({ "command": "sleep 999; true", "timeout_seconds": 2 });
    let stuck = server.start_call("shell_exec", arguments).await.1;
    let frozen = Frozen::new(&on_host(&container, "sleep 999").await);

    let stuck = stuck.result().await;
    assert_eq!(stuck.outcome(), "timed_out", "{}", stuck.0);
    assert_eq!(stuck.field("survivors"), 1, "{}", stuck.0);
    assert!(stuck.field("duration_ms").as_u64() < Some(7_000));
    let other = other.result().await;
    assert_eq!(other.outcome(), "sandbox_lost", "{}", other.0);

    let next = server.shell("cat kept").await;
    assert_eq!(next.stdout(), "kept\n", "{}", next.0);
    let reason = &next.field("sandbox")["restarted"]["reason"];
    let said = reason.as_str().expect("a reason");
    assert!(said.contains("could not be ended"), "{said}");

    frozen.thaw();
    eventually("the old one goes", Duration::from_secs(30), async || {
        !server.instance.containers().contains(&container)
    })
    .await;
}
