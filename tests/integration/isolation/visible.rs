//! A sandbox sees nothing of the server, and only its own names of hosts.

use serde_json::Value;

use super::output;
use crate::harness::{Server, TestServer, docker};

/// The names of hosts that a sandbox knows are its own and loopback.
async fn only_its_own_names(server: &Server) {
    assert_eq!(
        output(server, "hostname; uname -n; cat /etc/hostname").await,
        "casemate\ncasemate\ncasemate"
    );
    assert_eq!(
        output(
            server,
            "hostname -i; python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()))'"
        )
        .await,
        "127.0.0.1\n127.0.0.1"
    );
    let hosts = output(server, "cat /etc/hosts").await;
    for line in hosts.lines() {
        let address = line.split_whitespace().next().unwrap_or_default();
        // The Engine's own lines; from version 28 on it writes "fe00::" for "fe00::0".
        let harmless = [
            "127.0.0.1",
            "::1",
            "fe00::0",
            "fe00::",
            "ff00::0",
            "ff00::",
            "ff02::1",
            "ff02::2",
            "",
        ]
        .contains(&address);
        assert!(harmless || line.starts_with('#'), "hosts: {line}");
    }
}

#[tokio::test]
async fn nothing_of_the_server_is_visible_inside_a_sandbox() {
    const SECRET: &str = "hunter2-of-the-server";
    let server = TestServer::new()
        .env("SECRET_OF_THE_SERVER", SECRET)
        .start()
        .await;
    // The Engine sets HOSTNAME; the shell sets PWD, SHELL, SHLVL and _.
    let known = "CARGO_NET_RETRY CI DEBIAN_FRONTEND GIT_TERMINAL_PROMPT HOME HOSTNAME LANG LOGNAME LSAN_OPTIONS NODE_OPTIONS PAGER PATH \
                 PIP_DISABLE_PIP_VERSION_CHECK PIP_RETRIES PROC_ROOT PWD PYTHONUNBUFFERED SHELL SHLVL TMPDIR USER _ \
                 npm_config_fetch_retries npm_config_fetch_retry_mintimeout npm_config_update_notifier";
    let podmans = docker::is_podman().then_some("container");
    for name in output(&server, "env | cut -d= -f1").await.lines() {
        let mut known = known.split(' ').chain(podmans);
        assert!(known.any(|known| known == name), "{name}");
    }
    let container = server.instance.container();
    // Includes the bridge's and PID 1's, which only root can read.
    let all = docker::beside(
        &container,
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'",
    );
    assert!(all.contains("HOME=/workspace/.home"), "{all}");
    let stored = docker::inspect("container", &container);
    for place in [all, stored.to_string()] {
        assert!(
            !place.contains(SECRET) && !place.contains("SECRET_OF_THE_SERVER"),
            "{place}"
        );
    }

    only_its_own_names(&server).await;

    let host = &stored["HostConfig"];
    assert_eq!(host["LogConfig"]["Type"], "none");
    assert_eq!(host["AutoRemove"], true);
    assert!(
        ["", "no"]
            .map(Value::from)
            .contains(&host["RestartPolicy"]["Name"]),
        "{host}"
    );
    assert_eq!(host["NetworkMode"], "none");
    assert_eq!(host["Privileged"], false);
    assert_eq!(stored["Config"]["Tty"], false);
}
