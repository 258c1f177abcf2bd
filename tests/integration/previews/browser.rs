//! In headless Chromium: applications and sites, opened as a person opens them.

use axum::Router;
use axum::response::Html;
use tokio::net::TcpListener;

use super::*;
use crate::http_page::browser::drive;

/// How long a browser may take to open a page: others have their turn before it.
const BROWSER: Duration = Duration::from_secs(150);

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
    let deployment = Deployment::new();
    let server = deployment.alone().flag("--admin", "127.0.0.1:0");
    let server = server.start_http().await;
    let shared = server.call("share", json!({ "port": 5173 })).await;
    let arguments = json!({ "path": "server.cjs", "content": NODE });
    server.call("write_file", arguments).await;
    let person = drive("preview-late", json!({ "link": link_of(&shared) }));
    let application = async {
        // It is started when the page was seen, which then asks again by itself.
        let waits = async || {
            let metrics = server.metrics().await;
            let none = "casemate_preview_requests_total{outcome=\"not_listening\"} 0";
            !metrics.lines().any(|line| line == none)
        };
        eventually("the page waits", BROWSER, waits).await;
        run(&server, "node server.cjs 5173").await;
    };
    if crate::http_page::browser::tools().is_some() {
        tokio::join!(person, application);
    }
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

/// The origin of a page on this machine with a frame: of the address after its `?`, or of `link`.
async fn framing(listener: TcpListener, link: String) {
    let page = async move |request: axum::extract::Request| {
        let shown = request.uri().query().unwrap_or(&link).to_owned();
        // A query has no fragment: the browser appends what is after `#` there.
        Html(format!(
            "<!doctype html><title>Chat</title><iframe></iframe><script>
             const shown = '{shown}' + location.hash;
             document.querySelector('iframe').src = shown;</script>"
        ))
    };
    let router = Router::new().fallback(page);
    let _ = axum::serve(listener, router).await;
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_shows_a_preview_in_a_frame_and_another_does_not() {
    let listen = || TcpListener::bind("127.0.0.1:0");
    let (allowed, other) = (
        listen().await.expect("a port"),
        listen().await.expect("a port"),
    );
    let origin =
        |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("an address"));
    let origins = json!({ "allowed": origin(&allowed), "other": origin(&other) });
    let deployment = Deployment::new();
    let server = deployment.alone();
    let server = server.env("CASEMATE_PREVIEW_FRAME_ANCESTORS", &origin(&allowed));
    let server = server.start_http().await;
    let content = "<!doctype html><title>Report</title><h1>in a frame</h1>";
    let file = json!({ "path": "report.html", "content": content });
    server.call("write_file", file).await;
    let link = link_of(&server.call("share", json!({ "path": "report.html" })).await);
    tokio::spawn(framing(allowed, link.clone()));
    tokio::spawn(framing(other, link.clone()));
    let mut settings = origins;
    settings["link"] = json!(link);
    drive("preview-frame", settings).await;
}
