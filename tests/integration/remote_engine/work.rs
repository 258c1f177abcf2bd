//! What works: everything that goes through the Engine's socket.

use std::process::Output;

use casemate::config::Mode;

use super::{engine_kernel, is_remote};
use crate::harness::{Directory, Instance, TestServer, docker};

#[tokio::test]
async fn commands_and_files_work_and_files_outlast_the_container() {
    if !is_remote() {
        return;
    }
    let server = TestServer::new().start().await;
    let kernel = server.shell("uname -r").await;
    assert_eq!(kernel.stdout().trim_end(), engine_kernel());
    server.write("notes/a", "one\ntwo\n").await;
    let edit = serde_json::json!({ "path": "notes/a", "old_text": "two", "new_text": "three" });
    assert!(!server.call("edit_file", edit).await.is_error());
    assert_eq!(server.shell("cat notes/a").await.stdout(), "one\nthree\n");
    docker::output(&["rm", "--force", &server.instance.container()]);
    assert_eq!(server.read("notes/a").await.text(), "one\nthree\n");
    let listed = server.list("notes").await;
    assert_eq!(
        listed.field("entries")[0]["path"],
        "notes/a",
        "{}",
        listed.0
    );
}

#[tokio::test]
async fn each_command_of_ephemeral_mode_has_a_container_and_the_files_stay() {
    if !is_remote() {
        return;
    }
    let server = TestServer::new().mode(Mode::Ephemeral).start().await;
    let first = server.shell("echo kept > file; touch /tmp/lost").await;
    assert_eq!(first.exit_code(), 0, "{}", first.0);
    let second = server.shell("cat file; ls -A /tmp").await;
    assert_eq!(second.stdout(), "kept\n", "{}", second.0);
}

fn done(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The archive is written and read on this machine.
#[test]
fn a_backup_is_stored_here_and_restored_there() {
    if !is_remote() {
        return;
    }
    let (instance, target) = (Instance::new(), Directory::new(0));
    let run = |args: &[&str]| done(instance.command(args).output().expect("it runs"));
    run(&["exec", "alice", "--create", "--", "echo kept > file"]);
    run(&["backup", "alice", "--to", target.text()]);
    run(&["rm", "alice", "--volume", "--force"]);
    assert!(instance.volumes().is_empty());
    run(&["restore", "alice", "--from", target.text()]);
    assert_eq!(run(&["exec", "alice", "--", "cat file"]), "kept\n");
}
