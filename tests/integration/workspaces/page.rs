//! The page, in headless Chromium: its user chooses among several workspaces.

use super::*;
use crate::harness::HttpServer;
use crate::http_page::browser::drive;

/// A call without sign-in, in this workspace.
async fn call(server: &HttpServer, workspace: &str, tool: &str, arguments: Value) -> CallResult {
    let params = json!({ "name": tool, "arguments": arguments });
    let (request, body) = server.question(MODERN, "tools/call", &params);
    let request = request.header(HEADER, workspace);
    let result = server.send(request, body).await.result().await;
    assert!(!result.is_error(), "{result:?}");
    result
}

#[tokio::test]
async fn a_person_chooses_a_workspace_on_the_page_and_works_in_it_alone() {
    let server = quiet().start_http().await;
    let own = json!({ "path": "own.txt", "content": "own" });
    assert!(!server.call("write_file", own).await.is_error());
    let chat = json!({ "path": "chat.txt", "content": "of the chat" });
    call(&server, "chat", "write_file", chat).await;
    let base = format!("http://{}", server.address);
    drive("workspaces", json!({ "base": base })).await;
    if crate::http_page::browser::tools().is_none() {
        return;
    }
    // What the person did is where the page said.
    let list = json!({ "command": "cat *.txt" });
    let inside = call(&server, "chat", "shell_exec", list).await;
    assert_eq!(inside.stdout(), "of the chatinto the chat");
    assert_eq!(server.shell("ls").await.stdout(), "");
}
