//! A command has no capability and no other uid, and cannot get one.

use std::collections::BTreeMap;

use super::output;
use crate::harness::{TestServer, docker};

#[tokio::test]
async fn a_command_has_no_privileges_and_gets_none_from_setuid_programs() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let uid = server.instance.uid();
    assert!(
        uid.parse::<u32>()
            .is_ok_and(|uid| uid >= docker::first_uid()),
        "{uid}"
    );
    // On gVisor PID 1 and a supervisor are of another user, as `gvisor` tests.
    let same_user: &[&str] = match docker::on_gvisor() {
        true => &["self"],
        false => &["self", "1", "$PPID"],
    };
    for process in same_user {
        let status = output(&server, &format!("cat /proc/{process}/status")).await;
        let status: BTreeMap<&str, &str> = status
            .lines()
            .filter_map(|line| {
                line.split_once(':')
                    .map(|(name, value)| (name, value.trim()))
            })
            .collect();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{set} of {process}");
        }
        assert_eq!(status["NoNewPrivs"], "1", "{process}");
        assert_eq!(status["Seccomp"], "2", "{process}");
        for ids in ["Uid", "Gid"] {
            assert_eq!(status[ids], [&*uid; 4].join("\t"), "{ids} of {process}");
        }
        assert!(
            ["", &uid].contains(&status["Groups"]),
            "groups of {process}: {}",
            status["Groups"]
        );
    }

    // Root makes what user code cannot: setuid shells that belong to root, one on a file system with
    // nosuid and one on a file system without.
    let container = server.instance.container();
    for (directory, as_root) in [
        ("/tmp", docker::exec as fn(&str, &str) -> String),
        ("/workspace", docker::beside),
    ] {
        let shell = format!("{directory}/root-shell");
        as_root(
            &container,
            &format!("cp /bin/bash {shell} && chmod 6755 {shell}"),
        );
        assert_eq!(
            output(&server, &format!("stat -c '%u %g %a' {shell}")).await,
            "0 0 6755"
        );
        let ids = output(
            &server,
            &format!("{shell} -p -c 'id -u; id -g; grep CapEff /proc/self/status'"),
        )
        .await;
        assert_eq!(
            ids,
            format!("{uid}\n{uid}\nCapEff:\t0000000000000000"),
            "{shell}"
        );
    }
    let own = "cp /bin/bash own && chmod 6755 own && ./own -p -c 'id -u; id -g'";
    assert_eq!(output(&server, own).await, format!("{uid}\n{uid}"));
}
