//! As a person uses them: started in the background by a tool, shared, opened in headless Chromium,
//! and clicked.

use super::*;
use crate::http_page::browser::{drive, tools};
use crate::sharing::Deployment;

/// Starts it as an agent does, shares its port, and lets a person click its button twice.
async fn is_used(server: &HttpServer, tried: &DevServer, port: u16, has_socket: bool) {
    let DevServer {
        programs,
        directory,
        command,
        ..
    } = tried;
    let arguments = json!({
        "command": format!("PATH=\"{programs}:$PATH\" {command}"), "cwd": format!("servers/{directory}"),
        "timeout_seconds": 600, "wait_seconds": 0,
    });
    let started = server.call("shell_exec", arguments).await;
    assert!(!started.is_error(), "{started:?}");
    let listens = format!(
        "until python3 -c 'import socket; socket.create_connection((\"localhost\", {port}))' 2> /dev/null; \
         do sleep 0.2; done"
    );
    shell(server, &listens, &json!({})).await;
    let shared = server.call("share", json!({ "port": port })).await;
    let link = shared.field("preview_link").as_str();
    let link = link.unwrap_or_else(|| panic!("no link: {shared:?}"));
    let settings = json!({ "link": link, "title": tried.text, "hasSocket": has_socket });
    drive("preview-server", settings).await;
}

#[tokio::test]
async fn a_person_uses_a_vite_application_that_a_tool_started() {
    let deployment = Deployment::new();
    let files = ["package.json", "package-lock.json", "vite"];
    if tools().is_none() {
        return;
    }
    let Some(server) = sandbox(deployment.alone(), "servers", &files).await else {
        return;
    };
    is_used(&server, &VITE, 5173, true).await;
}

#[tokio::test]
async fn a_person_uses_a_flask_application_that_a_tool_started() {
    let deployment = Deployment::new();
    let files = ["requirements.txt", "flask"];
    if tools().is_none() {
        return;
    }
    let Some(server) = sandbox(deployment.alone(), "wheels", &files).await else {
        return;
    };
    shell(&server, INSTALL, &json!({})).await;
    is_used(&server, &FLASK, 5000, false).await;
}
