//! Servers that are killed, that share a directory, that cannot write to it.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{SOON, audited, calls, files, lines, sha256, verify};
use crate::harness::{Directory, Instance, TestServer, docker, eventually};

#[tokio::test]
async fn a_killed_server_loses_no_line_and_the_next_seals_what_it_left() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let mut server = audited(&instance, &directory).start().await;
    for _ in 0..20 {
        server.list(".").await;
    }
    server.child.kill().await.expect("killed");
    assert_eq!(calls(&directory).len(), 20);
    // The file as a kill in the middle of a line leaves it.
    let file = files(&directory).remove(0);
    let text = fs::read_to_string(&file).expect("text");
    fs::write(&file, text.clone() + r#"{"seq":22,"pre"#).expect("written");
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(":22: is not finished"), "{said}");

    let next = audited(&instance, &directory).start().await;
    next.list(".").await;
    // It verifies even while the server runs.
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(":22: was not finished when its server was killed"),
        "{said}"
    );
    assert!(next.end().await.success());

    // A change is told apart from an unfinished line, by file and line.
    let sealed = fs::read_to_string(&file).expect("text");
    fs::write(&file, sealed.replacen("list_files", "read_file!", 1)).expect("written");
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(2), "{said}");
    let place = format!("{}:2: was changed", file.display());
    assert!(said.contains(&place), "{said}");
    // Back to before the seal: the later server saw more.
    fs::write(&file, text).expect("written");
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("was there when a later server started"),
        "{said}"
    );
}

#[tokio::test]
async fn a_command_that_outlives_its_server_has_left_a_line() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let mut server = audited(&instance, &directory).user("ada").start().await;
    let arguments = json!({ "command": "touch runs; sleep 1000" });
    let params = json!({ "name": "shell_exec", "arguments": arguments });
    let (_, _call) = server.rpc.start("tools/call", params).await;
    eventually("it runs", SOON, async || {
        let running = docker::lines(&["ps", "--quiet", "--filter", &instance.label()]);
        let runs = |id: &String| docker::exec(id, "ls /workspace").contains("runs");
        running.first().is_some_and(runs)
    })
    .await;
    server.child.kill().await.expect("killed");
    let all = lines(&directory);
    let begun = all.last().expect("a line");
    assert_eq!(begun["kind"], "begun", "{all:?}");
    assert_eq!(begun["user"]["subject"], "ada");
    assert_eq!(begun["arguments_sha256"], sha256(arguments.to_string()));
    assert_eq!(calls(&directory), [Value::Null; 0]);
}

#[tokio::test]
async fn two_servers_of_one_directory_have_a_file_each() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let (one, two) = tokio::join!(
        audited(&instance, &directory).user("a").start(),
        audited(&instance, &directory).user("b").start(),
    );
    tokio::join!(
        async {
            for _ in 0..20 {
                one.list(".").await;
            }
        },
        async {
            for _ in 0..20 {
                two.list(".").await;
            }
        },
    );
    assert!(one.end().await.success() && two.end().await.success());
    assert_eq!((files(&directory).len(), calls(&directory).len()), (2, 40));
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("note"), "{said}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_ends_the_start_with_its_name() {
    let directory = Directory::new(0);
    let file = format!("{}/file", directory.text());
    fs::write(&file, "").expect("written");
    let server = TestServer::new().env("CASEMATE_AUDIT", &file);
    let ended = server.command().stdin(Stdio::null()).output().await;
    let ended = ended.expect("it runs");
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains(&file) && said.contains("audit"), "{said}");
}
