//! Whose sandbox it is: what the Bearer token says, and nothing else.

use serde_json::json;

use super::super::http_files::client::ask;
use super::{JSON, exec_as, refused, send_as};
use crate::harness::{Application, HttpServer, SettingFile, TestServer, token_row};

/// All that is below `/v1` and of a user.
const ROUTES: [(&str, &str); 8] = [
    ("POST", "/v1/exec"),
    ("GET", "/v1/exec/0123456789abcdef0123456789abcdef"),
    ("DELETE", "/v1/exec/0123456789abcdef0123456789abcdef"),
    ("GET", "/v1/files/list"),
    ("PUT", "/v1/files/content/a"),
    ("POST", "/v1/files/move"),
    ("POST", "/v1/files/folder"),
    ("DELETE", "/v1/workspace?confirm=ada"),
];

#[tokio::test]
async fn each_user_of_an_application_has_a_sandbox_and_another_users_command_is_unknown() {
    let app = Application::start(TestServer::new()).await;
    exec_as(&app, "alice", "echo hers > file").await;
    let bobs = exec_as(&app, "bob", "cat file || echo none").await;
    assert_eq!(bobs["stdout"], "none\n");
    let body = json!({ "command": "sleep 30; echo ended", "wait_seconds": 0 }).to_string();
    let (_, begun) = send_as(&app, "alice", "POST", "/v1/exec", body).await;
    let id = begun["command_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/exec/{id}");
    let unknown = "/v1/exec/0123456789abcdef0123456789abcdef";
    for method in ["GET", "DELETE"] {
        let (status, hers) = send_as(&app, "bob", method, &path, String::new()).await;
        let (_, nobodys) = send_as(&app, "bob", method, unknown, String::new()).await;
        assert_eq!(status, 404, "{hers}");
        // Except for the id that was asked for, the answers are the same.
        let of_nobody = nobodys
            .to_string()
            .replace("0123456789abcdef0123456789abcdef", &id);
        assert_eq!(hers.to_string(), of_nobody);
    }
    let (_, running) = send_as(&app, "alice", "GET", &path, String::new()).await;
    assert_eq!(running["outcome"], "running", "{running}");
    let (_, stopped) = send_as(&app, "alice", "DELETE", &path, String::new()).await;
    assert_eq!(stopped["outcome"], "cancelled", "{stopped}");
}

/// A server with a token for each set of scopes.
async fn with_scopes() -> (HttpServer, SettingFile) {
    let rows = [
        ("all", r#"["tools", "files"]"#),
        ("tools", r#"["tools"]"#),
        ("files", r#"["files"]"#),
    ]
    .map(|(name, scopes)| {
        let holder = format!("user = \"ada\"\nscopes = {scopes}");
        token_row(name, &format!("cm_{name}"), &holder)
    });
    let file = SettingFile::new(&rows.concat());
    let server = TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &file.text());
    (server.start_http().await, file)
}

#[tokio::test]
async fn a_token_is_needed_and_no_cookie_is_one() {
    let (server, _tokens) = with_scopes().await;
    for (method, path) in ROUTES {
        let cookies = [(
            "cookie",
            "__Host-casemate=cm_all; token=cm_all; Authorization=cm_all",
        )];
        for headers in [
            &[][..],
            &cookies,
            &[("authorization", "Basic Y21fYWxsOg==")],
        ] {
            let said = refused(&server, method, path, headers).await;
            assert_eq!(
                said,
                (401, "unauthorized".to_owned()),
                "{method} {path} {headers:?}"
            );
        }
        let wrong = [("authorization", "Bearer cm_none")];
        let said = refused(&server, method, path, &wrong).await;
        assert_eq!(said, (401, "invalid_token".to_owned()), "{method} {path}");
    }
    let in_the_query = "/v1/exec?access_token=cm_all";
    assert_eq!(refused(&server, "POST", in_the_query, &[]).await.0, 401);
    assert_eq!(
        ask(&server, "GET", "/v1/openapi.json", &[], "")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn scopes_count_here_as_for_tools_and_files() {
    let (server, _tokens) = with_scopes().await;
    let status = async |scope: &str, method: &str, path: &str, body: &str| {
        let bearer = format!("Bearer cm_{scope}");
        let headers = [JSON, ("authorization", bearer.as_str())];
        ask(&server, method, path, &headers, body.to_owned())
            .await
            .status
    };
    let run = json!({ "command": "true" }).to_string();
    let folder = |name: &str| json!({ "path": name }).to_string();
    for (scope, tools, files) in [("all", 200, 201), ("tools", 200, 403), ("files", 403, 201)] {
        assert_eq!(
            status(scope, "POST", "/v1/exec", &run).await,
            tools,
            "{scope}"
        );
        let made = status(scope, "POST", "/v1/files/folder", &folder(scope)).await;
        assert_eq!(made, files, "{scope}");
    }
    let confirmed = "/v1/workspace?confirm=ada";
    for (scope, expected) in [("tools", 403), ("files", 403), ("all", 200)] {
        assert_eq!(
            status(scope, "DELETE", confirmed, "").await,
            expected,
            "{scope}"
        );
    }
}

#[tokio::test]
async fn a_users_requests_at_once_are_bounded_and_another_user_is_served() {
    // With more at once, those that wait have their answer sooner.
    let server = TestServer::new().env("CASEMATE_CALLS_PER_USER", "32");
    let app = Application::start(server).await;
    exec_as(&app, "alice", "true").await;
    let body = json!({ "command": "sleep 4" }).to_string();
    let all = (0..400).map(|_| send_as(&app, "alice", "POST", "/v1/exec", body.clone()));
    let all = futures_util::future::join_all(all);
    let bob = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        exec_as(&app, "bob", "echo hi").await
    };
    let (all, bobs) = tokio::join!(all, bob);
    assert_eq!(bobs["stdout"], "hi\n");
    // So many run, so many wait, and the rest is told so at once.
    let is_busy = |(_, answer): &&(u16, serde_json::Value)| answer["error"]["code"] == "busy";
    let over = all.iter().filter(is_busy).count();
    assert!(over >= 80, "{over} of 400 were refused");
    let mut statuses = all.iter().filter(is_busy).map(|(status, _)| *status);
    assert!(statuses.all(|status| [429, 503].contains(&status)));
    assert!(all.iter().any(|(status, _)| *status == 200), "none ran");
}
