//! Paths that lead nowhere or outside, deletion, and failures.

use serde_json::json;

use super::client::{ask, content, get, is_success, put, upload};
use crate::harness::{HttpServer, TestServer};
use crate::writes::with_a_small_disk;

/// Paths that are refused in the same way for reading, writing and deleting.
const WRONG: [(&str, u16, &str); 11] = [
    ("../../etc/passwd", 403, "outside_workspace"),
    ("/etc/passwd", 403, "outside_workspace"),
    ("a/../../b", 403, "outside_workspace"),
    ("out/passwd", 403, "outside_workspace"),
    ("loop", 403, "outside_workspace"),
    ("%2e%2e/a", 400, "invalid_argument"),
    ("a%2Fb", 400, "invalid_argument"),
    ("a%00b", 400, "invalid_argument"),
    ("%zz", 400, "invalid_argument"),
    ("file/below", 409, "not_directory"),
    ("locked/file", 403, "permission_denied"),
];

async fn server() -> HttpServer {
    let server = TestServer::new().start_http().await;
    let made = "mkdir dir locked; touch dir/a locked/file; printf kept > file; mkfifo fifo; \
                ln -s /etc out; ln -s loop loop; chmod 0 locked; touch secret; chmod 0 secret";
    assert_eq!(server.shell(made).await.exit_code(), 0);
    server
}

async fn delete(server: &HttpServer, path: &str) -> (u16, String) {
    let reply = ask(server, "DELETE", &format!("/files/content/{path}"), &[], "").await;
    if is_success(reply.status) {
        return (reply.status, reply.data()["filename"].to_string());
    }
    reply.error()
}

#[tokio::test]
async fn a_wrong_path_is_refused_in_the_same_way_by_every_route() {
    let server = server().await;
    let long = "n".repeat(256);
    let rest = [(long.as_str(), 400, "invalid_argument")];
    for (path, status, code) in WRONG.into_iter().chain(rest) {
        let wanted = (status, code.to_owned());
        for route in ["download", "content"] {
            let reply = get(&server, &format!("/files/{route}/{path}")).await;
            assert_eq!(reply.error(), wanted, "GET {route}/{path}");
        }
        if path != "loop" {
            assert_eq!(put(&server, path, "x").await.error(), wanted, "PUT {path}");
            assert_eq!(delete(&server, path).await, wanted, "DELETE {path}");
        }
    }
    server.shell("chmod 700 locked").await;
    let kept = server.shell("cat file; ls locked").await;
    assert_eq!(kept.stdout(), "keptfile\n");
}

#[tokio::test]
async fn the_type_of_an_entry_decides_which_methods_it_allows() {
    let server = server().await;
    let conflict = |code: &str| (409, code.to_owned());
    let path = |path: &str| format!("/files/content/{path}");
    let missing = (404, "not_found".to_owned());
    assert_eq!(get(&server, &path("no")).await.error(), missing);
    assert_eq!(
        get(&server, &path("fifo")).await.error(),
        conflict("not_regular")
    );
    assert_eq!(
        get(&server, &path("secret")).await.error(),
        (403, "permission_denied".to_owned())
    );
    assert_eq!(
        get(&server, &path("file/")).await.error(),
        conflict("not_directory")
    );
    assert_eq!(get(&server, &path("dir/")).await.status, 200);
    assert_eq!(
        put(&server, "dir", "x").await.error(),
        conflict("is_directory")
    );
    assert_eq!(
        put(&server, "new/", "x").await.error(),
        conflict("is_directory")
    );
    assert_eq!(
        put(&server, "", "x").await.error(),
        conflict("is_directory")
    );
    assert_eq!(put(&server, "new/deep/file", "x").await.status, 201);
    let form = upload(&server, "file", &[("a", b"x")]).await;
    assert_eq!(form.error(), conflict("not_directory"));
    let form = upload(&server, "", &[("dir", b"x")]).await;
    assert_eq!(form.error(), conflict("is_directory"));
    assert_eq!(content(&server, "file").await, "kept");
    let unknown = ask(&server, "PUT", "/files/content/a?unpack=zip", &[], "x").await;
    assert_eq!(unknown.error(), (400, "invalid_argument".to_owned()));
}

#[tokio::test]
async fn files_and_by_wish_directories_are_deleted_and_the_workspace_never_is() {
    let server = server().await;
    assert_eq!(delete(&server, "no").await, (404, "not_found".to_owned()));
    assert_eq!(
        delete(&server, "file/").await,
        (409, "not_directory".to_owned())
    );
    assert_eq!(delete(&server, "file").await, (200, "\"file\"".to_owned()));
    assert_eq!(
        delete(&server, "dir").await,
        (409, "is_directory".to_owned())
    );
    assert_eq!(delete(&server, "dir?recursive=yes").await.0, 400);
    for root in [
        "",
        "?recursive=true",
        ".?recursive=true",
        "a/..?recursive=true",
    ] {
        assert_eq!(
            delete(&server, root).await,
            (400, "invalid_argument".to_owned()),
            "{root}"
        );
    }
    let left = server.shell("ls dir").await;
    assert_eq!(left.stdout(), "a\n");
    assert_eq!(delete(&server, "dir/?recursive=true").await.0, 200);
    // The link goes, not what it leads to.
    assert_eq!(delete(&server, "out").await.0, 200);
    let left = server.shell("ls; ls /etc/passwd").await;
    assert_eq!(left.stdout(), "fifo\nlocked\nloop\nsecret\n/etc/passwd\n");
}

#[tokio::test]
async fn a_full_workspace_is_507_and_the_old_file_stays() {
    let (server, _volume) = with_a_small_disk("size=4m");
    let server = server.start_http().await;
    assert_eq!(put(&server, "file", "old").await.status, 201);
    let large = vec![0; 6 << 20];
    let wanted = (507, "no_space".to_owned());
    assert_eq!(put(&server, "file", large.clone()).await.error(), wanted);
    assert_eq!(
        upload(&server, "", &[("file", &large)]).await.error(),
        wanted
    );
    assert_eq!(content(&server, "file").await, "old");
    assert_eq!(put(&server, "file", vec![0; 1 << 20]).await.status, 200);
}

#[tokio::test]
async fn without_an_engine_every_route_says_503_and_when_to_come_again() {
    let nowhere = "unix:///nonexistent/casemate.sock";
    let server = TestServer::new()
        .env("DOCKER_HOST", nowhere)
        .start_http()
        .await;
    let replies = [
        get(&server, "/files/list").await,
        get(&server, "/files/download/a").await,
        put(&server, "a", "x").await,
        ask(&server, "DELETE", "/files/content/a", &[], "").await,
        upload(&server, "", &[("a", b"x")]).await,
    ];
    for reply in replies {
        assert_eq!(reply.error(), (503, "engine_unavailable".to_owned()));
        assert_eq!(reply.header("retry-after"), "2");
        assert_eq!(reply.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_there_are() {
    let server = TestServer::new().start_http().await;
    for (method, path, allowed) in [
        ("GET", "/files/upload", "POST"),
        ("POST", "/files/list", "GET,HEAD"),
        ("PUT", "/files/download/a", "GET,HEAD"),
        ("POST", "/files/content/a", "GET,HEAD,PUT,DELETE"),
    ] {
        let reply = ask(&server, method, path, &[], "").await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, allowed),
            "{method} {path}"
        );
    }
    assert_eq!(json!(server.instance.containers()), json!([]));
}
