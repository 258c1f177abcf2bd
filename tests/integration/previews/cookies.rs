//! What a cookie is good for after the settings or the share have changed.

use super::*;
use crate::harness::Instance;

const OPEN: (&str, &str) = ("CASEMATE_SHARE_LINKS", "on");

/// A server for ada, one of several in time: the key and the instance stay.
async fn again(deployment: &Deployment, instance: &Instance, links: &str) -> HttpServer {
    let server = deployment.for_users_on(instance);
    server.env(OPEN.0, links).start_http().await
}

/// At the host of the same preview, on another port of this machine.
fn moved(preview: &Preview, server: &HttpServer) -> Preview {
    let (name, _) = preview.host.split_once('.').expect("a name");
    Preview {
        host: format!("{name}.localhost:{}", server.address.port()),
        ..preview.clone()
    }
}

/// The user's own cookie, by a ticket.
async fn as_user(server: &HttpServer, link: &str) -> Preview {
    let (host, token) = parts(link);
    let (name, _) = host.split_once('.').expect("a name");
    let session = crate::sharing::session(server, "ada").await;
    let headers = [("cookie", session.as_str())];
    let address = server.address.to_string();
    let path = format!("/p/{name}.{token}");
    let given = send(server, &address, "GET", &path, &headers, "").await;
    let (host, ticket) = parts(given.header("location"));
    with_ticket(server, &host, &ticket, link).await
}

async fn shares(server: &HttpServer) -> [CallResult; 2] {
    let file = json!({ "path": "report.html", "content": "<h1>of ada</h1>" });
    crate::sharing::call(server, "ada", "write_file", file).await;
    let program = json!({ "path": "program.py", "content": PROGRAM });
    crate::sharing::call(server, "ada", "write_file", program).await;
    let run =
        json!({ "command": "python3 program.py 8000", "timeout_seconds": 600, "wait_seconds": 0 });
    crate::sharing::call(server, "ada", "shell_exec", run).await;
    let site = json!({ "path": "report.html" });
    [
        crate::sharing::call(server, "ada", "share", site).await,
        crate::sharing::call(server, "ada", "share", json!({ "port": 8000 })).await,
    ]
}

async fn is_shown(server: &HttpServer, preview: &Preview) {
    let shown = async || preview.get(server, "/").await.status == 200;
    eventually("it is shown", LISTENING, shown).await;
}

/// With links that open without sign-in switched off, a stranger's cookie ends with them. The user's
/// own does not, and with the setting back on both are good.
#[tokio::test]
async fn a_strangers_cookie_ends_with_the_setting_and_the_users_own_does_not() {
    let deployment = Deployment::new();
    let instance = Instance::new();
    let server = again(&deployment, &instance, "on").await;
    let (mut strangers, mut own) = (Vec::new(), Vec::new());
    for shared in shares(&server).await {
        assert_eq!(shared.field("visibility"), "link", "{shared:?}");
        let link = link_of(&shared);
        strangers.push(opened(&server, &link).await);
        own.push(as_user(&server, &link).await);
    }
    for preview in strangers.iter().chain(&own) {
        is_shown(&server, preview).await;
    }
    drop(server);

    let server = again(&deployment, &instance, "off").await;
    for preview in &strangers {
        let refused = moved(preview, &server).get(&server, "/").await;
        assert_eq!(refused.status, 404, "{refused:?}");
        assert!(refused.text().contains("There is nothing here"));
    }
    for preview in &own {
        is_shown(&server, &moved(preview, &server)).await;
    }
    drop(server);

    let server = again(&deployment, &instance, "on").await;
    for preview in strangers.iter().chain(&own) {
        is_shown(&server, &moved(preview, &server)).await;
    }
}

/// The user makes a share private by its file.
#[tokio::test]
async fn a_strangers_cookie_ends_when_the_share_is_private_now() {
    let deployment = Deployment::new();
    let server = again(&deployment, &Instance::new(), "on").await;
    let mut all = Vec::new();
    for shared in shares(&server).await {
        let link = link_of(&shared);
        all.push((opened(&server, &link).await, as_user(&server, &link).await));
    }
    for (stranger, own) in &all {
        is_shown(&server, stranger).await;
        is_shown(&server, own).await;
    }
    let command = "sed -i 's/\"link\"/\"private\"/' .casemate/shares/*.json";
    let changed = json!({ "command": command });
    let changed = crate::sharing::call(&server, "ada", "shell_exec", changed).await;
    assert_eq!(changed.exit_code(), 0, "{changed:?}");
    for (stranger, own) in &all {
        assert_eq!(stranger.get(&server, "/").await.status, 404);
        assert_eq!(own.get(&server, "/").await.status, 200);
    }
}
