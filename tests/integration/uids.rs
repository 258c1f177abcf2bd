//! A uid for each user, as the kernel, the Engine and programs see it.

mod kept;
mod pools;
mod taken;

use std::process::Command;

use serde_json::Value;

use casemate::config::Mode;

use crate::harness::{EndLog, Server, TestServer, docker};

/// The default first uid.
const BASE: u32 = 65_536;

/// The output of a command. Panics if it fails.
async fn output(server: &Server, command: &str) -> String {
    let result = server.shell(command).await;
    assert_eq!(result.exit_code(), 0, "{command}: {}", result.0);
    result.stdout().trim_end().to_owned()
}

/// The labels of this volume.
fn labels(volume: &str) -> Value {
    docker::inspect("volume", volume)["Labels"].take()
}

/// Owner, group and mode of a sandbox's workspace, as the host's root sees them.
fn top(container: &str) -> String {
    docker::beside(container, "stat -c '%u %g %a' /workspace")
}

#[tokio::test]
async fn programs_find_their_user_by_name_and_no_other_has_it() {
    let server = TestServer::new().user("alice").start().await;
    let who = "id -u; id -g; id -un; id -gn; whoami; echo $USER $LOGNAME $HOME; \
               python3 -c 'import getpass, os, pwd; print(getpass.getuser(), pwd.getpwuid(os.getuid()).pw_dir)'";
    let seen = output(&server, who).await;
    let uid: u32 = server.instance.uid().parse().expect("a number");
    let base = docker::first_uid();
    assert!((base..base + 1024).contains(&uid), "{uid}");
    let name = format!("casemate-{}", uid - base);
    let home = "/workspace/.home";
    assert_eq!(
        seen,
        format!("{uid}\n{uid}\n{name}\n{name}\n{name}\n{name} {name} {home}\n{name} {home}")
    );
    let git = "git init -q repository && cd repository && git -c user.name=a -c user.email=a@example.com \
               commit -q --allow-empty -m first && git log --format=%s";
    assert_eq!(output(&server, git).await, "first");
    assert_eq!(
        top(&server.instance.container()),
        format!("{uid} {uid} 755")
    );
    let owners = output(&server, "stat -c %u . .home .casemate").await;
    assert_eq!(owners, format!("{uid}\n{uid}\n{uid}"));

    let other = TestServer::on(&server.instance).user("bob").start().await;
    let others = output(&other, "id -u").await;
    assert_ne!(others, uid.to_string());
    let volumes = server.instance.volumes();
    let said = volumes.iter().map(|volume| labels(volume));
    let mut said: Vec<_> = said
        .map(|labels| {
            let label = |name| labels[name].as_str().expect("a label").to_owned();
            (label("io.casemate.user"), label("io.casemate.uid"))
        })
        .collect();
    said.sort();
    let wanted = [("alice", uid.to_string()), ("bob", others)];
    assert_eq!(said, wanted.map(|(user, uid)| (user.to_owned(), uid)));
}

#[tokio::test]
async fn a_user_who_deletes_everything_is_not_locked_out() {
    for mode in [Mode::Persistent, Mode::Ephemeral] {
        let (ends, server) = EndLog::of(TestServer::new().mode(mode));
        let server = server.start().await;
        let uid = output(&server, "id -u").await;
        for permissions in ["755", "700"] {
            let empty = format!(
                "chmod {permissions} /workspace && cd / && find /workspace -mindepth 1 -delete && ls -A /workspace"
            );
            assert_eq!(output(&server, &empty).await, "", "{mode:?}");
            let containers = server.instance.containers();
            for container in &containers {
                docker::quietly(&["rm", "--force", container]);
            }
            ends.until_known(&containers).await;
            // The Engine reads the volume whenever it creates a container.
            let next = output(&server, "stat -c '%u %g %a' /workspace; touch new; ls").await;
            assert_eq!(next, format!("{uid} {uid} {permissions}\nnew"), "{mode:?}");
        }
        assert_eq!(server.instance.uid(), uid);
    }
}

#[tokio::test]
async fn without_uids_for_users_all_share_uid_1000_and_its_name() {
    let server = TestServer::new()
        .env("CASEMATE_UID_COUNT", "0")
        .start()
        .await;
    let seen = output(&server, "id -u; id -un; echo $USER; stat -c %u /workspace").await;
    assert_eq!(seen, "1000\ncasemate\ncasemate\n1000");
    let volumes = server.instance.volumes();
    assert!(labels(&volumes[0])["io.casemate.uid"].is_null());
    // The label decides, or its absence, and not the setting of the next server.
    let next = TestServer::on(&server.instance).start().await;
    assert_eq!(output(&next, "id -u").await, "1000");
}

#[tokio::test]
async fn an_old_volume_stays_its_users_and_a_strangers_is_refused_untouched() {
    let server = TestServer::new().start().await;
    let uid = output(&server, "touch file; id -u").await;
    let container = server.instance.container();
    docker::beside(&container, "chown 0:0 /workspace");
    docker::output(&["rm", "--force", &container]);
    let refused = server.shell("true").await;
    assert!(refused.is_error(), "{}", refused.0);
    assert_eq!(refused.code(), "workspace_unusable", "{}", refused.text());
    assert!(
        refused.text().contains("docs/operations.md"),
        "{}",
        refused.text()
    );
    assert_eq!(server.instance.containers(), [""; 0]);
    // As docs/operations.md says.
    let volume = &server.instance.volumes()[0];
    let mount = format!("{volume}:/workspace");
    let give = format!("chown {uid}:{uid} /workspace");
    let run = [
        "run",
        "--rm",
        "--network=none",
        "--user=0",
        "--volume",
        &mount,
    ];
    docker::output(&[&run[..], &[crate::harness::TOOLS_IMAGE, "sh", "-c", &give]].concat());
    assert_eq!(output(&server, "ls").await, "file");
}

/// The text of a settings error.
fn refused(settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    let output = command.arg("serve").envs(settings.iter().copied()).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn uids_that_no_sandbox_may_have_are_refused_by_name() {
    let (base, count) = ("CASEMATE_UID_BASE", "CASEMATE_UID_COUNT");
    for value in ["0", "1000", "64511", "65534", "65535", "4294967295", "many"] {
        let said = refused(&[(base, value)]);
        assert!(said.contains(base), "{value}: {said}");
    }
    let said = refused(&[(base, "65000"), (count, "535")]);
    assert!(said.contains(base) && said.contains("uid_count"), "{said}");
    assert!(refused(&[(count, "16385")]).contains(count));
}
