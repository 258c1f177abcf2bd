//! Over stdio the workspace is that of the process.

use super::*;

#[tokio::test]
async fn a_process_has_the_workspace_of_its_setting_and_a_tool_cannot_name_one() {
    let instance = Instance::new();
    let named = TestServer::on(&instance)
        .env("CASEMATE_WORKSPACE", "chat-1")
        .start()
        .await;
    let own = TestServer::on(&instance).start().await;
    assert!(!named.write("mine", "named").await.is_error());
    assert_eq!(own.read("mine").await.code(), "not_found");
    assert!(!own.write("mine", "own").await.is_error());
    assert_eq!(named.read("mine").await.text(), "named");
    let mut volumes = instance.volumes();
    volumes.sort();
    let mut expected =
        [None, Some("chat-1")].map(|name| sandbox(&instance, "local", "tester", name));
    expected.sort();
    assert_eq!(volumes, expected);
    let argument = json!({ "command": "true", "workspace": "chat-2" });
    let refused = named.call("shell_exec", argument).await;
    assert_eq!(refused.code(), "invalid_argument", "{}", refused.0);
    // What the operator does with --workspace is in the same place.
    let exec = [
        "exec",
        "tester",
        "--workspace",
        "chat-1",
        "--",
        "cat",
        "mine",
    ];
    let output = instance.command(&exec).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "named");
}

#[tokio::test]
async fn what_cannot_be_a_workspace_is_refused_at_the_start() {
    let refused = async |server: TestServer, why: &str| {
        let mut command = server.command();
        let output = command
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    refused(
        TestServer::new().env("CASEMATE_WORKSPACE", " a"),
        "CASEMATE_WORKSPACE",
    )
    .await;
    let over_http = TestServer::new()
        .env("CASEMATE_WORKSPACE", "a")
        .flag("--http", "0");
    refused(over_http, "workspace is for a server over stdio").await;
    let header = TestServer::new().env("CASEMATE_WORKSPACE_HEADER", "Authorization");
    refused(header.flag("--http", "0"), "CASEMATE_WORKSPACE_HEADER").await;
}
