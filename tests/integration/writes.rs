//! Writing: whole or not at all, and once: when something dies in the middle, on a full disk,
//! and with other writers.

mod deadlines;
mod disk;
mod kills;

use std::time::Duration;

use casemate::identity::{Instance as InstanceName, SandboxName, User};
use serde_json::json;

use crate::harness::{CallResult, Instance, Pending, Server, TestServer, docker};

/// Deadline for something that happens without a call.
const SOON: Duration = Duration::from_secs(10);

async fn write_as(server: &Server, path: &str, content: &str, mode: &str) -> CallResult {
    let arguments = json!({ "path": path, "content": content, "mode": mode });
    server.call("write_file", arguments).await
}

/// The processes of a container's casemate-init in this role.
fn roles(container: &str, role: &str) -> Vec<String> {
    let processes = docker::top(container).into_iter();
    processes
        .filter(|(_, args)| args.contains(&format!("casemate-init {role}")))
        .map(|(pid, _)| pid)
        .collect()
}

/// Kills those of these processes that still run.
fn kill(pids: &[String]) {
    let mut kill = std::process::Command::new("kill");
    let _ = kill.arg("-KILL").args(pids).output();
}

async fn result(pending: Pending) -> CallResult {
    let answer = pending.answer().await.expect("the server answers");
    CallResult(answer["result"].clone())
}

#[tokio::test]
async fn each_mode_does_what_it_says_in_both_halves() {
    let server = TestServer::new().start().await;
    let made = write_as(&server, "a/log", "one\n", "append").await;
    assert_eq!(made.text(), "created a/log (4 bytes)");
    let grown = write_as(&server, "a/log", "two\n", "append").await;
    assert_eq!(grown.text(), "appended to a/log (8 bytes)");
    assert_eq!(grown.field("size"), 8);
    assert_eq!(grown.field("created"), false);
    let refused = write_as(&server, "a/log", "three\n", "create_new").await;
    assert_eq!(refused.code(), "exists", "{}", refused.text());
    let made = write_as(&server, "a/new", "four\n", "create_new").await;
    assert_eq!(made.field("created"), true);
    assert_eq!(server.read("a/log").await.text(), "one\ntwo\n");

    let script = json!({ "path": "run", "content": "#!/bin/sh\necho ran\n", "executable": true });
    server.call("write_file", script).await;
    server.write("run", "#!/bin/sh\necho ran again\n").await;
    let ran = server.shell("./run; stat -c %a run a/new; ls -A a").await;
    assert_eq!(ran.stdout(), "ran again\n755\n644\nlog\nnew\n");

    let large = "x".repeat((3 << 20) + 1);
    let refused = write_as(&server, "large", &large, "append").await;
    assert_eq!(refused.code(), "invalid_argument");
    assert!(
        refused.text().contains("mode \"append\""),
        "{}",
        refused.text()
    );
    for part in ["overwrite", "append"] {
        let content = &large[..3 << 20];
        let written = write_as(&server, "large", content, part).await;
        assert!(!written.is_error(), "{}", written.text());
    }
    assert_eq!(server.shell("wc -c < large").await.stdout(), "6291456\n");
}

/// Content of equal lines, so that a mix of two versions shows.
fn letters(letter: u32) -> String {
    let letter = char::from_u32('a' as u32 + letter % 26).expect("a letter");
    format!("{letter}\n").repeat(100_000)
}

#[tokio::test]
async fn two_servers_that_write_one_file_leave_one_content_and_lose_no_edit() {
    let first = TestServer::new().start().await;
    let second = TestServer::on(&first.instance).start().await;
    first.write("edited", "first=0\nsecond=0\n").await;
    let write = async |server: &Server, name: &str, offset: u32| {
        for round in 0..20 {
            let written = server.write("written", &letters(offset + round)).await;
            assert!(!written.is_error(), "{}", written.text());
            let (old, new) = (
                format!("{name}={round}\n"),
                format!("{name}={}\n", round + 1),
            );
            let edit = json!({ "path": "edited", "old_text": old, "new_text": new });
            let edited = server.call("edit_file", edit).await;
            assert!(!edited.is_error(), "{}", edited.text());
        }
    };
    first.write("written", &letters(0)).await;
    let reader = "for i in $(seq 60); do \
                  [ \"$(sort -u written | wc -l) $(wc -c < written)\" = '1 200000' ] || echo mix; done";
    let (read, (), ()) = tokio::join!(
        first.shell_within(reader, 60),
        write(&first, "first", 0),
        write(&second, "second", 7)
    );
    assert_eq!((read.stdout(), read.exit_code()), ("", 0));
    assert_eq!(first.read("edited").await.text(), "first=20\nsecond=20\n");
    let left = first.shell("ls -A | grep -c tmp").await;
    assert_eq!(left.stdout(), "0\n");
    assert_eq!(first.instance.containers().len(), 1);
}

/// A server whose workspace is a tmpfs, with these mount options.
pub fn with_a_small_disk(options: &str) -> (TestServer, docker::Volume) {
    let instance = Instance::new();
    let name: InstanceName = instance.name().parse().expect("an instance");
    let user = User::local("tester".parse().expect("a subject"));
    let volume = SandboxName::new(&name, &user.into()).to_string();
    let labels = [
        format!("--label=io.casemate.instance={}", instance.name()),
        "--label=io.casemate.user=tester".to_owned(),
        "--label=io.casemate.issuer=local".to_owned(),
    ];
    let option = format!("--opt=o=uid=1000,gid=1000,{options}");
    let disk = ["--opt=type=tmpfs", "--opt=device=tmpfs", &option];
    let labels = labels.each_ref().map(String::as_str);
    docker::output(&[&["volume", "create"], &disk[..], &labels, &[&volume]].concat());
    // The whole disk is smaller than what is to stay free of one.
    let server = TestServer::on(&instance).env("CASEMATE_MIN_FREE_DISK", "0");
    (server, docker::Volume(volume))
}
