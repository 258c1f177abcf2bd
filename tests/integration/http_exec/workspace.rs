//! `DELETE /v1/workspace` takes all that one user has, and nothing of anybody else's.

use casemate::config::Mode;
use serde_json::json;

use super::super::http_files::client::ask;
use super::{exec, exec_as, refused, send_as};
use crate::harness::{Application, Directory, TestServer};

#[tokio::test]
async fn it_removes_the_container_and_the_files_of_this_user_alone() {
    let app = Application::start(TestServer::new().env("CASEMATE_WARM", "off")).await;
    exec_as(&app, "alice", "echo hers > file").await;
    exec_as(&app, "bob", "echo his > file").await;
    let remove = async |confirm: &str| {
        let path = format!("/v1/workspace?confirm={confirm}");
        send_as(&app, "alice", "DELETE", &path, String::new()).await
    };
    for wrong in ["", "bob", "Alice", "alice%20"] {
        let (status, said) = remove(wrong).await;
        assert_eq!(
            (status, &said["error"]["code"]),
            (400, &json!("invalid_argument")),
            "{wrong}"
        );
    }
    assert_eq!(app.server.instance.volumes().len(), 2);
    let (status, said) = remove("alice").await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(
        said["data"]["containers"].as_array().map(Vec::len),
        Some(1),
        "{said}"
    );
    assert_eq!(
        said["data"]["volumes"].as_array().map(Vec::len),
        Some(1),
        "{said}"
    );
    assert_eq!(app.server.instance.volumes().len(), 1);
    assert_eq!(app.server.instance.containers().len(), 1);
    assert_eq!(exec_as(&app, "bob", "cat file").await["stdout"], "his\n");
    // Again there is nothing, and the next command has an empty workspace.
    let (status, said) = remove("alice").await;
    assert_eq!(
        (status, &said["data"]["volumes"]),
        (200, &json!([])),
        "{said}"
    );
    assert_eq!(
        exec_as(&app, "alice", "cat file || echo none").await["stdout"],
        "none\n"
    );
}

#[tokio::test]
async fn what_works_stays_unless_that_is_forced_and_what_is_held_stays() {
    let server = TestServer::new().start_http().await;
    let begun = exec(
        &server,
        &json!({ "command": "sleep 600", "wait_seconds": 0 }),
    )
    .await;
    assert_eq!(begun["outcome"], "running");
    let path = "/v1/workspace?confirm=tester";
    let forced = format!("{path}&force=true");
    assert_eq!(
        refused(&server, "DELETE", path, &[]).await,
        (503, "busy".to_owned())
    );
    assert_eq!(server.instance.containers().len(), 1);
    let hold = |args: &[&str]| server.instance.command(args).status().expect("it runs");
    assert!(hold(&["hold", "tester"]).success());
    let held = refused(&server, "DELETE", &forced, &[]).await;
    assert_eq!(held, (403, "permission_denied".to_owned()));
    let (containers, volumes) = (server.instance.containers(), server.instance.volumes());
    assert_eq!(
        (containers.len(), volumes.len()),
        (1, 2),
        "with the hold's own volume"
    );
    assert!(hold(&["hold", "tester", "--release"]).success());
    assert_eq!(ask(&server, "DELETE", &forced, &[], "").await.status, 200);
    let (containers, volumes) = (server.instance.containers(), server.instance.volumes());
    assert_eq!((containers.len(), volumes.len()), (0, 0));
}

#[tokio::test]
async fn a_directory_of_the_host_is_not_removed() {
    let directory = Directory::new(1000);
    let server = TestServer::new()
        .mode(Mode::Bind)
        .env("CASEMATE_BIND_DIR", directory.text());
    let server = server.start_http().await;
    let said = refused(
        &server,
        "DELETE",
        "/v1/workspace?confirm=tester&force=true",
        &[],
    )
    .await;
    assert_eq!(said, (403, "permission_denied".to_owned()));
    assert!(std::path::Path::new(directory.text()).exists());
}
