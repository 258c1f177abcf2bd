//! Workspaces that change their uid: restored for another user, or from older versions.

use std::process::Output;
use std::time::Duration;

use super::taken::{OwnUids, with_uids};
use super::{BASE, output, top};
use crate::harness::{Directory, Instance, Server, TestServer, docker, eventually};

/// Entries of all kinds: modes, times, links, private files, and unusual names.
const MAKE: &str = "mkdir -p deep/er && echo one > deep/er/one && chmod 640 deep/er/one && \
    printf '#!/bin/sh\\n' > run && chmod 755 run && echo secret > mine && chmod 600 mine && \
    ln -s deep/er/one link && ln -s /nowhere dangling && ln deep/er/one twin && mkdir shut && \
    echo in > shut/in && chmod 700 shut && touch -d '2001-02-03 04:05:06.789' run deep && \
    truncate -s 5M hole && mkfifo pipe && touch \"$(printf 'caf\\351')\" .hidden && chmod 500 deep/er";

/// Prints path, kind, mode, time, target, and a file's size for each.
const SEEN: &str = "find . -path ./.casemate -prune -o -path ./.home -prune -o \
    -printf '%P %y %m %T@ %l ' \\( -type f -printf '%s\\n' -o -printf '\\n' \\) | sort | grep -av '^pipe' | \
    sed 's/nnnn*/N/g' && \
    cat run twin mine shut/in";

/// A path of 5,000 bytes, and attributes, one of them an ACL for another group.
const MAKE_MORE: &str = r#"python3 - <<'END'
import os, struct
open('tagged', 'w').close()
os.setxattr('tagged', 'user.why', b'any \xff bytes\n')
entries = [(1, 6, -1), (4, 4, -1), (8, 6, 4242), (16, 6, -1), (32, 0, -1)]
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *one) for one in entries)
os.setxattr('tagged', 'system.posix_acl_access', acl)
for number in range(20):
    os.mkdir('n' * 250); os.chdir('n' * 250)
open('bottom', 'w').write('deep')
END"#;

const SEE_MORE: &str = r#"python3 - <<'END'
import os
print(oct(os.stat('tagged').st_mode))
print([(name, os.getxattr('tagged', name)) for name in sorted(os.listxattr('tagged'))])
for number in range(20):
    os.chdir('n' * 250)
print(open('bottom').read())
END"#;

/// Entries with another owner than the user.
const FOREIGN: &str = "find . ! -uid $(id -u) -o ! -gid $(id -g)";

fn casemate(instance: &Instance, args: &[&str]) -> Output {
    instance.command(args).output().expect("it runs")
}

fn done(instance: &Instance, args: &[&str]) -> String {
    let output = casemate(instance, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A server whose user has a volume from an older version, without a uid.
async fn old(instance: &Instance) -> Server {
    let server = TestServer::on(instance).env("CASEMATE_UID_COUNT", "0");
    let server = server.user("alice").start().await;
    assert_eq!(output(&server, "id -u").await, "1000");
    server
}

async fn new(instance: &Instance) -> Server {
    TestServer::on(instance).user("alice").start().await
}

async fn uid(server: &Server) -> u32 {
    output(server, "id -u").await.parse().expect("a number")
}

#[tokio::test]
async fn a_restore_gives_all_files_to_the_uid_that_its_target_has() {
    let (own, instance, target) = (OwnUids::new(), Instance::new(), Directory::new(0));
    let base = own.base;
    let verb = |args: &[&str]| {
        let mut command = instance.command(args);
        let output = command.env("CASEMATE_UID_BASE", base.to_string()).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{args:?}: {output:?}");
    };
    let start = async |user: &str| {
        let server = with_uids(TestServer::on(&instance).user(user), base, 4);
        server.start().await
    };
    let server = start("alice").await;
    output(&server, MAKE).await;
    assert_eq!(uid(&server).await, base);
    let seen = output(&server, SEEN).await;
    verb(&["backup", "alice", "--to", target.text()]);
    // The same user keeps the uid.
    output(&server, "rm -rf run").await;
    verb(&["restore", "alice", "--from", target.text(), "--force"]);
    assert_eq!(
        (uid(&server).await, output(&server, SEEN).await),
        (base, seen.clone())
    );
    assert_eq!(output(&server, FOREIGN).await, "");

    // If another user has it now, the user gets a new one.
    verb(&["rm", "alice", "--volume", "--force"]);
    let bob = start("bob").await;
    assert_eq!(uid(&bob).await, base);
    verb(&["restore", "alice", "--from", target.text()]);
    assert_eq!(uid(&server).await, base + 1);
    assert_eq!(output(&server, SEEN).await, seen);
    assert_eq!(output(&server, FOREIGN).await, "");
    let container = docker::lines(&[
        "ps",
        "--quiet",
        "--filter",
        &instance.label(),
        "--filter",
        "label=io.casemate.user=alice",
    ]);
    assert_eq!(top(&container[0]), format!("{0} {0} 755", base + 1));
}

#[tokio::test]
async fn an_old_workspace_keeps_uid_1000_until_its_migration_moves_everything() {
    let instance = Instance::new();
    let server = old(&instance).await;
    output(&server, MAKE).await;
    output(&server, MAKE_MORE).await;
    let seen = output(&server, SEEN).await;
    let more = output(&server, SEE_MORE).await;
    for expected in ["user.why", "posix_acl_access", "deep"] {
        assert!(more.contains(expected), "{more}");
    }
    server.end().await;
    let server = new(&instance).await;
    assert_eq!(uid(&server).await, 1000);
    let told = done(&instance, &["migrate", "--all"]);
    assert!(told.starts_with("alice: moved to uid "), "{told}");
    let moved = uid(&server).await;
    assert!((BASE..BASE + 1024).contains(&moved), "{moved}");
    assert!(told.contains(&format!("uid {moved}: ")), "{told}");
    let left_out = "; left out: 1 sockets, FIFOs and devices; pipe";
    assert!(told.contains(left_out), "{told}");
    assert_eq!(output(&server, SEE_MORE).await, more);
    assert_eq!(output(&server, SEEN).await, seen);
    assert_eq!(output(&server, FOREIGN).await, "");
    assert_eq!(top(&instance.container()), format!("{moved} {moved} 755"));
    // The old volume is gone, and there is nothing more to do.
    eventually("one volume", Duration::from_secs(20), async || {
        instance.volumes().len() == 1
    })
    .await;
    assert_eq!(instance.uid(), moved.to_string());
    assert_eq!(
        done(&instance, &["migrate", "alice"]),
        "alice: nothing to do\n"
    );
    assert_eq!(uid(&server).await, moved);
}

#[tokio::test]
async fn a_busy_or_held_user_is_not_migrated_and_nothing_is_left() {
    let instance = Instance::new();
    let server = old(&instance).await;
    let (_, call) = server
        .start_call(
            "shell_exec",
            serde_json::json!({ "command": "echo a > file; sleep 20" }),
        )
        .await;
    eventually("it runs", Duration::from_secs(20), async || {
        !server.shell("cat file").await.is_error()
    })
    .await;
    let refused = casemate(&instance, &["migrate", "alice"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("busy"), "{said}");
    assert_eq!(instance.volumes().len(), 1);
    drop(call);
    done(&instance, &["hold", "alice"]);
    let refused = casemate(&instance, &["migrate", "alice", "--force"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("held"), "{said}");
    done(&instance, &["hold", "alice", "--release"]);
    done(&instance, &["migrate", "alice", "--force"]);
    let server = new(&instance).await;
    assert_ne!(uid(&server).await, 1000);
    assert_eq!(output(&server, "cat file").await, "a");
}

#[tokio::test]
async fn a_migration_killed_at_any_moment_leaves_one_whole_workspace() {
    let (own, instance) = (OwnUids::new(), Instance::new());
    let base = own.base;
    let new = async || {
        let server = with_uids(TestServer::on(&instance).user("alice"), base, 100);
        server.start().await
    };
    // The image with these accounts is made first: a kill in the middle of that would leave things
    // that stay for ten minutes.
    let first = with_uids(TestServer::on(&instance).user("first"), base, 100);
    let first = first.start().await;
    output(&first, "true").await;
    first.end().await;
    let migrate = || {
        let mut command = instance.command(&["migrate", "alice"]);
        command.env("CASEMATE_UID_BASE", base.to_string());
        command.env("CASEMATE_UID_COUNT", "100");
        command
    };
    let server = old(&instance).await;
    output(&server, MAKE).await;
    // Enough that it takes a second.
    let fill = "mkdir many && cd many && head -c 30000000 /dev/urandom | split -a 3 -b 20000";
    output(&server, fill).await;
    // The whole list is longer than a result shows.
    let seen_whole = format!("( {SEEN} && cat many/* ) | sha256sum");
    let seen = output(&server, &seen_whole).await;
    let (mut old_ones, mut new_ones) = (0, 0);
    for number in 0..12_u64 {
        for container in instance.containers() {
            docker::quietly(&["rm", "--force", &container]);
        }
        let mut migration = migrate();
        let migration = migration
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut migration = migration.spawn().expect("it runs");
        tokio::time::sleep(Duration::from_millis(100 + 400 * number)).await;
        // The error names the volume, and what it cannot clean up.
        migration.kill().expect("it is killed");
        let status = migration.wait().expect("an end");
        let server = new().await;
        match uid(&server).await {
            1000 => old_ones += 1,
            _ => new_ones += 1,
        }
        assert_eq!(output(&server, &seen_whole).await, seen, "{status:?}");
        assert_eq!(output(&server, FOREIGN).await, "");
        server.end().await;
        if new_ones > 0 {
            break;
        }
    }
    eprintln!("{old_ones} times the old one, {new_ones} times the new one");
    assert!(old_ones > 0, "none was killed early enough");
    for container in instance.containers() {
        docker::quietly(&["rm", "--force", &container]);
    }
    let migrated = migrate().output().expect("it runs");
    assert!(migrated.status.success(), "{migrated:?}");
    let server = new().await;
    assert_ne!(uid(&server).await, 1000);
    assert_eq!(output(&server, &seen_whole).await, seen);
}
