//! The operator's console at the admin address.

mod browser;

use std::time::Duration;

use hyper::Request;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Directory, HttpServer, Instance, TestServer, docker, eventually, token_row,
};

/// An admin token, and its entry in the file.
const TOKEN: &str = "cm_of-an-operator";

/// What shows users' names.
const DATA: [&str; 3] = [
    "/console/api/live",
    "/console/api/workspaces",
    "/console/api/doctor",
];

/// The parts of the page.
const PAGE: [&str; 5] = [
    "/console",
    "/console/style.css",
    "/console/console.css",
    "/console/console.js",
    "/console/text.js",
];

/// A server with a console for [`TOKEN`].
fn with_console(server: TestServer, directory: &Directory) -> TestServer {
    let path = format!("{}/operators.toml", directory.text());
    std::fs::write(&path, token_row("ops", TOKEN, "admin = true")).expect("a file");
    server
        .env("CASEMATE_ADMIN", "0")
        .env("CASEMATE_ADMIN_TOKENS_FILE", &path)
}

async fn get(server: &HttpServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    let address = server.admin.expect("an admin address");
    let mut request = Request::builder().uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send_to(address, request, "").await
}

async fn json_of(server: &HttpServer, path: &str) -> Value {
    let token = format!("Bearer {TOKEN}");
    let answer = get(server, path, &[("authorization", &token)]).await;
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    serde_json::from_str(&answer.text().await).expect("JSON")
}

#[tokio::test]
async fn without_an_admin_token_there_is_one_answer_that_says_nothing_else() {
    let directory = Directory::new(0);
    let users = format!("{}/tokens.toml", directory.text());
    std::fs::write(&users, token_row("ada", "cm_of-ada", "user = \"ada\"")).expect("a file");
    let server = TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &users);
    let server = with_console(server, &directory).start_http().await;
    let long = format!("Bearer {}", "a".repeat(9_000));
    let wrong: [&[(&str, &str)]; 8] = [
        &[],
        &[("authorization", "Bearer cm_of-ada")],
        &[("authorization", "Bearer cm_of-an-operato")],
        &[("authorization", "Basic b3BzOm9wcw==")],
        &[("authorization", "Bearer")],
        &[("authorization", &long)],
        &[
            ("authorization", "Bearer cm_of-an-operator"),
            ("authorization", "Bearer cm_of-an-operator"),
        ],
        &[("cookie", "token=cm_of-an-operator")],
    ];
    let mut answers = Vec::new();
    for path in DATA {
        for headers in wrong {
            let answer = get(&server, path, headers).await;
            assert_eq!(answer.status(), 401, "{path} {headers:?}");
            answers.push(answer.text().await);
        }
        let query = format!("{path}?token={TOKEN}&access_token={TOKEN}");
        assert_eq!(get(&server, &query, &[]).await.status(), 401, "{path}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(!answers[0].contains("known") && answers[0].contains("unauthorized"));
    // And it is no token of a user.
    let request = server.request("GET", "/status");
    let request = request.header("authorization", format!("Bearer {TOKEN}"));
    assert_eq!(server.send(request, "").await.status(), 401);
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused_before_the_token_is_looked_at() {
    let directory = Directory::new(0);
    let server = with_console(TestServer::new(), &directory)
        .start_http()
        .await;
    let token = format!("Bearer {TOKEN}");
    for path in PAGE.iter().chain(&DATA) {
        for (name, value) in [
            ("host", "evil.example"),
            ("host", "localhost.evil.example"),
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:8080"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let headers = [("authorization", token.as_str()), (name, value)];
            let answer = get(&server, path, &headers).await;
            assert_eq!(answer.status(), 403, "{path} {name}: {value}");
        }
    }
}

#[tokio::test]
async fn the_page_has_the_policy_of_the_page_for_people_and_nobodys_data() {
    let directory = Directory::new(0);
    let server = with_console(TestServer::new(), &directory)
        .start_http()
        .await;
    for path in PAGE {
        let answer = get(&server, path, &[]).await;
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.header("content-security-policy").to_owned();
        for words in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(words), "{path}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
    }
    // The page for people has no console, and an address without tokens has none either.
    let (code, _) = server.get("/console").await;
    assert!([401, 404].contains(&code.as_u16()), "{code}");
    let plain = TestServer::new().env("CASEMATE_ADMIN", "0");
    let plain = plain.start_http().await;
    for path in PAGE.iter().chain(&DATA) {
        assert_eq!(get(&plain, path, &[]).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn an_operator_reads_what_is_live_what_is_kept_and_what_the_doctor_finds() {
    let directory = Directory::new(0);
    let backups = Directory::new(0);
    let server = TestServer::new()
        .user("ada")
        .env("CASEMATE_BACKUP_TARGET", backups.text());
    let server = with_console(server, &directory).start_http().await;
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
    server.call("shell_exec", arguments).await;
    let run = |args: &[&str]| {
        let output = server.instance.command(args).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
    };
    run(&["backup", "ada", "--to", backups.text()]);
    run(&["hold", "ada"]);
    let live = json_of(&server, DATA[0]).await;
    assert_eq!(live["instance"], server.instance.name());
    let rows = live["sandboxes"].as_array().expect("sandboxes");
    assert_eq!(rows.len(), 1, "{live}");
    assert_eq!(rows[0]["user"], "ada");
    assert_eq!(rows[0]["commands"][0]["text"], "sleep 1000");
    let counters = live["counters"].as_array().expect("counters");
    let engine = counters.iter().find(|one| one["name"] == "Engine answers");
    assert_eq!(engine.map(|one| &one["value"]), Some(&json!(1.0)), "{live}");
    assert_eq!(live["denials"], json!([]));

    let kept = json_of(&server, DATA[1]).await;
    let row = &kept["workspaces"][0];
    assert_eq!((&row["user"], &row["held"]), (&json!("ada"), &json!(true)));
    assert!(row["newest_backup"].is_string(), "{kept}");

    let doctor = json_of(&server, DATA[2]).await;
    let findings = doctor["findings"].as_array().expect("findings");
    let of = |check: &str| findings.iter().any(|one| one["check"] == check);
    assert!(findings.len() > 5 && of("sandbox"), "{doctor}");
}

#[test]
fn a_token_of_an_operator_is_made_for_a_file_of_its_own() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let file = format!("{}/operators.toml", directory.text());
    let made = instance.command(&["token", "--admin", "--append", &file]);
    let made = { made }.output().expect("it runs");
    assert!(made.status.success());
    let entry = std::fs::read_to_string(&file).expect("the file");
    assert!(
        entry.contains("admin = true") && entry.contains("operator"),
        "{entry}"
    );
    // In the file of users it is an error with its reason, and so is one of a user here.
    let serve = |variables: &[(&str, &str)]| {
        let mut command = instance.command(&["serve", "--http", "127.0.0.1:0"]);
        let ended = command.envs(variables.iter().copied()).output();
        let ended = ended.expect("it ends");
        assert!(!ended.status.success());
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let tokens = [
        ("CASEMATE_AUTH", "tokens"),
        ("CASEMATE_TOKENS_FILE", file.as_str()),
    ];
    assert!(serve(&tokens).contains("admin_tokens_file"));
    let users = format!("{}/tokens.toml", directory.text());
    std::fs::write(&users, token_row("ada", "cm_a", "user = \"ada\"")).expect("a file");
    let users = ("CASEMATE_ADMIN_TOKENS_FILE", users.as_str());
    assert!(serve(&[("CASEMATE_ADMIN", "0"), users]).contains("file of tokens_file"));
    assert!(serve(&[users]).contains("without admin"));
    assert!(serve(&[("CASEMATE_ADMIN", "0.0.0.0:0"), users]).contains("loopback"));
}

#[tokio::test]
async fn no_channel_of_the_console_stays_after_the_last_look() {
    let directory = Directory::new(0);
    let server = with_console(TestServer::new(), &directory)
        .start_http()
        .await;
    // Another server's sandbox: the console has no other channel to it.
    let ada = TestServer::on(&server.instance).user("ada").start().await;
    ada.shell("true").await;
    let container = server.instance.container();
    let bridges = || {
        let all = docker::top(&container);
        all.iter()
            .filter(|(_, args)| args.contains(" bridge"))
            .count()
    };
    let before = bridges();
    for _ in 0..2 {
        let live = json_of(&server, DATA[0]).await;
        assert_eq!(live["sandboxes"][0]["user"], "ada", "{live}");
        assert_eq!(bridges(), before + 1);
        let closed = async || bridges() == before;
        eventually("it is closed", Duration::from_secs(60), closed).await;
    }
}
