//! `/v1/files`: moving, new folders, and files that a browser may show.

use serde_json::json;

use super::super::http_files::client::{ask, content, get, put};
use super::{code, exec, post};
use crate::harness::{HttpServer, TestServer};

async fn moved(server: &HttpServer, from: &str, to: &str, overwrite: bool) -> (u16, String) {
    let body = json!({ "from": from, "to": to, "overwrite": overwrite });
    let reply = post(server, "/v1/files/move", &body).await;
    match reply.status {
        200 => (200, reply.data()["replaced"].to_string()),
        _ => reply.error(),
    }
}

#[tokio::test]
async fn a_file_and_a_directory_are_moved_and_nothing_is_replaced_unasked() {
    let server = TestServer::new().start_http().await;
    put(&server, "a.txt", "a").await;
    put(&server, "b.txt", "b").await;
    let fine = |replaced: &str| (200, replaced.to_owned());
    let error = |status, code: &str| (status, code.to_owned());
    assert_eq!(
        moved(&server, "a.txt", "new/deep/a.txt", false).await,
        fine("false")
    );
    assert_eq!(content(&server, "new/deep/a.txt").await, "a");
    assert_eq!(get(&server, "/v1/files/content/a.txt").await.status, 404);
    assert_eq!(moved(&server, "new", "old", false).await, fine("false"));
    assert_eq!(
        moved(&server, "old/deep/a.txt", "b.txt", false).await,
        error(409, "exists")
    );
    assert_eq!(content(&server, "b.txt").await, "b");
    assert_eq!(
        moved(&server, "old/deep/a.txt", "b.txt", true).await,
        fine("true")
    );
    assert_eq!(content(&server, "b.txt").await, "a");
    for (from, to, expected) in [
        ("none", "x", error(404, "not_found")),
        ("b.txt", "../b.txt", error(403, "outside_workspace")),
        ("/etc/passwd", "x", error(403, "outside_workspace")),
        ("b.txt/", "x", error(409, "not_directory")),
        ("b.txt", "x/", error(409, "not_directory")),
        ("b.txt", "old", error(409, "exists")),
        ("old", "old/in/itself", error(400, "invalid_argument")),
        (".", "x", error(400, "invalid_argument")),
        ("", "x", error(400, "invalid_argument")),
    ] {
        assert_eq!(
            moved(&server, from, to, false).await,
            expected,
            "{from} {to}"
        );
    }
    assert_eq!(
        moved(&server, "b.txt", "old", true).await,
        error(409, "is_directory")
    );
    // Names of any bytes, as listings show them; and the same without /v1.
    exec(&server, &json!({ "command": "touch $'caf\\xe9'" })).await;
    assert_eq!(
        moved(&server, "$'caf\\xe9'", "café", false).await,
        fine("false")
    );
    let body = json!({ "from": "café", "to": "tea" });
    assert_eq!(post(&server, "/files/move", &body).await.status, 200);
    let unknown = json!({ "from": "tea", "to": "x", "force": true });
    let reply = post(&server, "/v1/files/move", &unknown).await;
    assert_eq!(code(&reply), error(400, "invalid_argument"));
}

#[tokio::test]
async fn links_lead_no_move_out_of_the_workspace() {
    let server = TestServer::new().start_http().await;
    let made = "ln -s /tmp out; ln -s /etc/passwd passwd; echo x > /tmp/x; touch file";
    exec(&server, &json!({ "command": made })).await;
    let outside = (403, "outside_workspace".to_owned());
    assert_eq!(moved(&server, "out/x", "stolen", false).await, outside);
    assert_eq!(moved(&server, "file", "out/file", false).await, outside);
    let folder = post(&server, "/v1/files/folder", &json!({ "path": "out/dir" })).await;
    assert_eq!(folder.error(), outside);
    // The link itself has a name like any other.
    assert_eq!(moved(&server, "passwd", "link", false).await.0, 200);
    let look = exec(
        &server,
        &json!({ "command": "readlink link; ls /tmp/file /tmp/dir 2>&1 | wc -l" }),
    )
    .await;
    assert_eq!(look["stdout"], "/etc/passwd\n2\n", "{look}");
}

#[tokio::test]
async fn a_folder_is_made_once_with_those_above_it() {
    let server = TestServer::new().start_http().await;
    let make = async |path: &str| {
        let reply = post(&server, "/v1/files/folder", &json!({ "path": path })).await;
        match reply.status {
            201 => (
                201,
                reply.data()["filename"]
                    .as_str()
                    .expect("a name")
                    .to_owned(),
            ),
            _ => reply.error(),
        }
    };
    assert_eq!(make("a/b/c/").await, (201, "a/b/c".to_owned()));
    for taken in ["a/b/c", "a", "."] {
        assert_eq!(make(taken).await, (409, "exists".to_owned()), "{taken}");
    }
    put(&server, "file", "").await;
    assert_eq!(make("file").await, (409, "exists".to_owned()));
    assert_eq!(make("file/a").await, (409, "not_directory".to_owned()));
    assert_eq!(make("../a").await, (403, "outside_workspace".to_owned()));
    let listed = get(&server, "/v1/files/list?path=a&depth=9").await.data();
    assert_eq!(
        listed["files"][1]["url"], "/v1/files/content/a/b/c",
        "{listed}"
    );
    let listed = get(&server, "/files/list?path=a").await.data();
    assert_eq!(listed["files"][0]["url"], "/files/content/a/b", "{listed}");
}

#[tokio::test]
async fn only_what_no_browser_runs_is_shown_inline_and_in_a_sandbox() {
    let server = TestServer::new().start_http().await;
    for (name, query, kind, disposition) in [
        ("a.png", "?inline", "image/png", "inline"),
        ("a.JPG", "?inline=true", "image/jpeg", "inline"),
        ("a.csv", "?inline", "text/csv; charset=utf-8", "inline"),
        ("a.txt", "?inline", "text/plain; charset=utf-8", "inline"),
        ("a.png", "", "application/octet-stream", "attachment"),
        (
            "a.png",
            "?inline=false",
            "application/octet-stream",
            "attachment",
        ),
        (
            "a.html",
            "?inline",
            "application/octet-stream",
            "attachment",
        ),
        ("a.svg", "?inline", "application/octet-stream", "attachment"),
        (
            "a.png.html",
            "?inline",
            "application/octet-stream",
            "attachment",
        ),
    ] {
        put(&server, name, "<script>alert(1)</script>").await;
        for (method, route) in [("GET", "content"), ("HEAD", "content"), ("GET", "download")] {
            let path = format!("/v1/files/{route}/{name}{query}");
            let reply = ask(&server, method, &path, &[], "").await;
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.header("content-type"), kind, "{path}");
            let said = reply.header("content-disposition");
            assert!(
                said.starts_with(&format!("{disposition}; ")),
                "{path}: {said}"
            );
            assert_eq!(reply.header("x-content-type-options"), "nosniff");
            let policy = reply.header("content-security-policy");
            assert_eq!(policy, "sandbox; default-src 'none'");
        }
    }
    // A part of one is a part of the same.
    let part = ask(
        &server,
        "GET",
        "/v1/files/content/a.png?inline",
        &[("range", "bytes=0-3")],
        "",
    );
    let part = part.await;
    assert_eq!(
        (part.status, part.header("content-type")),
        (206, "image/png")
    );
    exec(&server, &json!({ "command": "mkdir dir.png" })).await;
    let tar = get(&server, "/v1/files/content/dir.png?inline").await;
    assert_eq!(tar.header("content-type"), "application/x-tar");
    assert_eq!(
        get(&server, "/v1/files/content/a.png?inlin")
            .await
            .error()
            .0,
        400
    );
    assert_eq!(
        get(&server, "/v1/files/content/a.png?inline=1")
            .await
            .error()
            .0,
        400
    );
}
