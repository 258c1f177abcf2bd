//! In headless Chromium: applications and sites, opened as a person opens them.

use super::*;
use crate::http_page::browser::drive;

/// A web server of Node.js with a WebSocket, as a development server has one.
const NODE: &str = include_str!("node.cjs");

#[tokio::test]
async fn a_person_opens_and_uses_an_application() {
    let (_deployment, server) = server().await;
    start(&server, 8000).await;
    let link = link_of(&server.call("share", json!({ "port": 8000 })).await);
    drive("preview", json!({ "link": link })).await;
}

#[tokio::test]
async fn a_person_waits_for_an_application_of_node() {
    let (_deployment, server) = server().await;
    let shared = server.call("share", json!({ "port": 5173 })).await;
    let arguments = json!({ "path": "server.cjs", "content": NODE });
    server.call("write_file", arguments).await;
    // It listens some seconds after the page was opened.
    run(&server, "sleep 4; node server.cjs 5173").await;
    drive("preview-late", json!({ "link": link_of(&shared) })).await;
}

#[tokio::test]
async fn a_person_opens_a_site_whose_scripts_run_on_its_own_origin() {
    let (_deployment, server) = server().await;
    let page = "<!doctype html><title>Report</title><h1 id=t>static</h1><script src=a.js></script>";
    let script = "document.getElementById('t').textContent = location.host;";
    for (path, content) in [("r/index.html", page), ("r/a.js", script)] {
        server
            .call("write_file", json!({ "path": path, "content": content }))
            .await;
    }
    let link = link_of(&server.call("share", json!({ "path": "r" })).await);
    drive("preview-site", json!({ "link": link })).await;
}

#[tokio::test]
async fn a_private_preview_opens_after_the_sign_in_of_its_user() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    let content = "<!doctype html><title>Report</title><h1>of ada</h1>";
    let file = json!({ "path": "report.html", "content": content });
    crate::sharing::call(&server, "ada", "write_file", file).await;
    let share = json!({ "path": "report.html" });
    let shared = crate::sharing::call(&server, "ada", "share", share).await;
    let base = format!("http://{}", server.address);
    let settings = json!({ "link": link_of(&shared), "base": base, "token": "cm_ada" });
    drive("preview-private", settings).await;
}
