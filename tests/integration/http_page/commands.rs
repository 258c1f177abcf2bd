//! The commands that the page shows: whose they are, how they ended, and how one is stopped.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ask, with_tokens};
use crate::harness::{Application, Directory, HttpServer, TestServer, eventually};
use crate::http_files::client::{self, Reply};

/// How long a sandbox may take to be made, or a command to end.
const SOON: Duration = Duration::from_secs(30);

const BOTH: &str = r#"["tools", "files"]"#;

async fn list(server: &HttpServer, headers: client::Headers<'_>) -> Reply {
    client::ask(server, "GET", "/commands", headers, "").await
}

/// The commands of the one user.
async fn commands(server: &HttpServer) -> Vec<Value> {
    let data = list(server, &[]).await.data();
    data["commands"].as_array().expect("an array").clone()
}

async fn commands_of(app: &Application, headers: &[(&str, &str)]) -> Vec<Value> {
    let mut request = app.server.request("GET", "/commands");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = app.server.send(request, "").await;
    let data: Value = serde_json::from_str(&answer.text().await).expect("JSON");
    data["data"]["commands"]
        .as_array()
        .expect("an array")
        .clone()
}

async fn exec(server: &HttpServer, body: &Value) -> Value {
    let headers = [("content-type", "application/json")];
    let reply = client::ask(server, "POST", "/v1/exec", &headers, body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test]
async fn the_log_says_what_was_run_and_how_each_command_ended() {
    let server = TestServer::new().start_http().await;
    assert_eq!(commands(&server).await, [json!(null); 0]);
    assert_eq!(server.instance.containers(), [""; 0], "a look makes none");
    exec(&server, &json!({ "command": "echo one" })).await;
    exec(&server, &json!({ "command": "exit 3" })).await;
    exec(
        &server,
        &json!({ "command": "sleep 60", "timeout_seconds": 1 }),
    )
    .await;
    exec(&server, &json!({ "command": "kill -9 $$" })).await;
    // It was not run.
    let headers = [("content-type", "application/json")];
    let body = json!({ "command": "true", "cwd": "/nowhere" }).to_string();
    let refused = client::ask(&server, "POST", "/v1/exec", &headers, body).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let found = commands(&server).await;
    let said: Vec<_> = found
        .iter()
        .map(|one| {
            (
                &one["text"],
                &one["state"],
                &one["outcome"],
                &one["exit_code"],
            )
        })
        .collect();
    let ended = &json!("ended");
    assert_eq!(
        said,
        [
            (&json!("kill -9 $$"), ended, &json!("signaled"), &json!(137)),
            (&json!("sleep 60"), ended, &json!("timed_out"), &json!(null)),
            (&json!("exit 3"), ended, &json!("exited"), &json!(3)),
            (&json!("echo one"), ended, &json!("exited"), &json!(0)),
        ]
    );
    let slow = &found[1];
    assert!(slow["duration_ms"].as_u64() >= Some(1000), "{slow}");
    assert_eq!(slow["text_bytes"], 8);
    assert!(
        slow["started_at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z')),
        "{slow}"
    );
}

#[tokio::test]
async fn an_unchanged_log_is_not_sent_again() {
    let server = TestServer::new().start_http().await;
    exec(&server, &json!({ "command": "true" })).await;
    let first = list(&server, &[]).await;
    assert_eq!(first.header("cache-control"), "no-store");
    let tag = first.header("etag").to_owned();
    let same = list(&server, &[("if-none-match", &tag)]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    exec(&server, &json!({ "command": "true" })).await;
    let changed = list(&server, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn a_stopped_command_ends_as_a_cancelled_call_and_its_caller_is_told() {
    let server = TestServer::new().start_http().await;
    let command = json!({ "command": "sleep 300 & sleep 300", "timeout_seconds": 600 });
    let call = exec(&server, &command);
    let stop = async {
        eventually("the command runs", SOON, async || {
            let (_, status) = server.get("/status").await;
            status.contains(r#""running_ms""#)
        })
        .await;
        let running = commands(&server).await;
        assert_eq!(running[0]["state"], "running", "{running:?}");
        let id = running[0]["id"].as_str().expect("an id").to_owned();
        let path = format!("/commands/{id}");
        let stopped = client::ask(&server, "DELETE", &path, &[], "").await;
        assert_eq!(stopped.data()["id"], json!(id));
        path
    };
    let (answer, path) = tokio::join!(call, stop);
    assert_eq!(answer["outcome"], "cancelled", "{answer}");
    let left = exec(&server, &json!({ "command": "pgrep -c sleep" })).await;
    assert_eq!(
        left["stdout"], "0\n",
        "with everything that it started: {left}"
    );
    let found = commands(&server).await;
    assert_eq!(
        (&found[1]["state"], &found[1]["outcome"]),
        (&json!("ended"), &json!("cancelled"))
    );
    // Once more, and an id of no command.
    let again = client::ask(&server, "DELETE", &path, &[], "").await;
    assert_eq!(again.status, 200, "{again:?}");
    let unknown = format!("/commands/{}", "0".repeat(32));
    let unknown = client::ask(&server, "DELETE", &unknown, &[], "").await;
    assert_eq!(unknown.error(), (404, "not_found".to_owned()));
    let odd = client::ask(&server, "DELETE", "/commands/x", &[], "").await;
    assert_eq!(odd.error(), (400, "invalid_argument".to_owned()));
}

/// Also in ephemeral mode, where its container is gone with it.
#[tokio::test]
async fn how_a_command_ended_that_nobody_waited_for_is_known_all_the_same() {
    for mode in ["persistent", "ephemeral"] {
        let server = TestServer::new().env("CASEMATE_MODE", mode);
        let server = server.start_http().await;
        let command =
            json!({ "command": "until [ -e go ]; do sleep 0.1; done; exit 5", "wait_seconds": 0 });
        assert_eq!(exec(&server, &command).await["outcome"], "running");
        assert_eq!(commands(&server).await[0]["state"], "running", "{mode}");
        let put = client::ask(&server, "PUT", "/files/content/go", &[], "").await;
        assert_eq!(put.status, 201, "{put:?}");
        eventually("its end is known", SOON, async || {
            let command = &commands(&server).await[0];
            command["outcome"] == "exited" && command["exit_code"] == 5
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_command_left_in_the_background_is_shown_until_it_ends() {
    let server = TestServer::new().start_http().await;
    let left = "(until [ -e go ]; do sleep 0.1; done) >/dev/null 2>&1 &";
    exec(&server, &json!({ "command": left })).await;
    let found = commands(&server).await;
    assert_eq!(
        (&found[0]["state"], &found[0]["outcome"]),
        (&json!("background"), &json!("exited"))
    );
    let put = client::ask(&server, "PUT", "/files/content/go", &[], "").await;
    assert_eq!(put.status, 201, "{put:?}");
    eventually("it has ended", SOON, async || {
        commands(&server).await[0]["state"] == "ended"
    })
    .await;
}

#[tokio::test]
async fn nobody_sees_or_stops_the_commands_of_another_user_or_workspace() {
    let app = Application::start(TestServer::new()).await;
    let bearer = format!("Bearer {}", Application::TOKEN);
    let of = |user: &'static str| {
        [
            ("authorization", bearer.clone()),
            ("x-casemate-user", user.to_owned()),
        ]
    };
    let run = async |user, workspace: &str, command: &str| {
        let request = app
            .server
            .request("POST", "/v1/exec")
            .header("content-type", "application/json");
        let request = of(user)
            .into_iter()
            .fold(request, |request, (name, value)| {
                request.header(name, value)
            });
        let request = match workspace {
            "" => request,
            name => request.header("x-casemate-workspace", name),
        };
        let body = json!({ "command": command, "wait_seconds": 0 }).to_string();
        let answer = app.server.send(request, body).await;
        let answer: Value = serde_json::from_str(&answer.text().await).expect("JSON");
        answer["command_id"].as_str().expect("an id").to_owned()
    };
    let own = run("ada", "", "sleep 301").await;
    run("ada", "chat", "sleep 302").await;
    run("bob", "", "sleep 303").await;
    let seen = async |user: &str, workspace: Option<&str>| {
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("x-casemate-user", user),
        ];
        headers.extend(workspace.map(|name| ("x-casemate-workspace", name)));
        let found = commands_of(&app, &headers).await;
        found
            .iter()
            .map(|one| one["text"].as_str().unwrap_or("?").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(seen("ada", None).await, ["sleep 301"]);
    assert_eq!(seen("ada", Some("chat")).await, ["sleep 302"]);
    assert_eq!(seen("bob", None).await, ["sleep 303"]);
    assert_eq!(seen("eve", None).await, [""; 0]);
    let stop = async |user: &str, workspace: Option<&str>| {
        let path = format!("/commands/{own}");
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("x-casemate-user", user),
        ];
        headers.extend(workspace.map(|name| ("x-casemate-workspace", name)));
        client::ask(&app.server, "DELETE", &path, &headers, "")
            .await
            .status
    };
    assert_eq!(stop("bob", None).await, 404);
    assert_eq!(stop("eve", None).await, 404);
    assert_eq!(stop("ada", Some("chat")).await, 404);
    assert_eq!(stop("ada", None).await, 200);
}

#[tokio::test]
async fn commands_need_the_scope_of_the_tools_and_a_session_counts_for_the_page_alone() {
    let directory = Directory::new(0);
    let rows = [
        ("of-alice", r#"user = "alice""#, BOTH),
        ("of-carol", r#"user = "carol""#, r#"["files"]"#),
    ];
    let server = with_tokens(&directory, &rows).await;
    let id = "0".repeat(32);
    let routes = [
        ("GET", "/commands".to_owned()),
        ("DELETE", format!("/commands/{id}")),
    ];
    for (method, path) in &routes {
        let refused = ask(&server, "of-carol", method, path, "").await;
        assert_eq!(refused.status(), 403, "{method}");
        let nobody = client::ask(&server, method, path, &[], "").await;
        assert_eq!(nobody.status, 401, "{method}");
    }
    let page = [("sec-fetch-site", "same-origin"), ("x-casemate-page", "1")];
    let headers = [page[0], page[1], ("content-type", "application/json")];
    let signed = client::ask(
        &server,
        "POST",
        "/sign-in",
        &headers,
        r#"{"token":"of-alice"}"#,
    )
    .await;
    let cookie = signed
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let cookie = ("cookie", cookie.as_str());
    for (headers, listed, stopped) in [
        (&[page[0], page[1], cookie][..], 200, 404),
        (&[page[1], cookie], 401, 401),
        (&[page[0], cookie], 401, 401),
        (
            &[("sec-fetch-site", "cross-site"), page[1], cookie],
            403,
            403,
        ),
    ] {
        for ((method, path), expected) in routes.iter().zip([listed, stopped]) {
            let reply = client::ask(&server, method, path, headers, "").await;
            assert_eq!(reply.status, expected, "{method} {headers:?}");
        }
    }
}

#[tokio::test]
async fn the_commands_of_a_workspace_that_is_removed_are_not_shown_any_more() {
    let server = TestServer::new().start_http().await;
    exec(&server, &json!({ "command": "echo secret" })).await;
    assert_eq!(commands(&server).await.len(), 1);
    let path = "/v1/workspace?confirm=tester&force=true";
    let removed = client::ask(&server, "DELETE", path, &[], "").await;
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(commands(&server).await, [json!(null); 0]);
}
