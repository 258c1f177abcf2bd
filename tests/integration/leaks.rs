//! Resources that user code tries to make PID 1 keep.

use crate::harness::{TestServer, docker};

/// Keeps every descriptor that it receives.
const COLLECTOR: &str = r"
import os, socket
at = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
at.bind('/tmp/collector')
kept = []
while True:
    kept += socket.recv_fds(at, 1, 1)[1]
";

/// Passes its standard output to the collector.
const HAND_OVER: &str = r"
import socket
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect('/tmp/collector')
socket.send_fds(to, [b'x'], [1])
";

fn descriptors(pid: &str) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    open.expect("root reads it").count()
}

#[tokio::test]
async fn pipes_handed_to_another_process_are_closed_with_the_command() {
    let server = TestServer::new().start().await;
    for (file, program) in [("collector.py", COLLECTOR), ("hand-over.py", HAND_OVER)] {
        server.write(file, program).await;
    }
    let started = server
        .shell("python3 collector.py & until [ -S /tmp/collector ]; do sleep 0.01; done")
        .await;
    assert_eq!(started.outcome(), "exited", "{}", started.0);
    let init = docker::pid(&server.instance.container());
    server.shell("python3 hand-over.py").await;
    let before = descriptors(&init);
    for _ in 0..10 {
        let handed = server.shell("python3 hand-over.py; echo told").await;
        assert_eq!(handed.stdout(), "told\n", "{}", handed.0);
    }
    let after = descriptors(&init);
    assert!(after < before + 5, "{before} descriptors became {after}");
}
