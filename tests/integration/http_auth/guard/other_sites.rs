//! Pages of other sites.

use super::*;

/// Requests, valid and invalid: method, path, status.
const ASKED: [(&str, &str, u16); 21] = [
    ("GET", "/", 200),
    ("GET", "/page/main.js", 200),
    ("GET", "/files/content/there", 200),
    ("HEAD", "/files/content/there", 200),
    ("GET", "/files/content/missing", 404),
    ("HEAD", "/files/download/missing", 404),
    ("GET", "/files/content/%ff%00", 400),
    ("GET", "/files/list", 200),
    ("GET", "/files/list?depth=x", 400),
    ("PATCH", "/files/content/there", 405),
    ("GET", "/files/upload", 405),
    ("POST", "/files/upload", 415),
    ("PUT", "/files/content/large", 413),
    ("DELETE", "/files/content/missing", 404),
    ("GET", "/status", 200),
    ("GET", "/sse", 200),
    ("POST", "/messages?sessionId=none", 404),
    ("GET", "/mcp", 405),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/nothing", 404),
];

/// Asserts that a page of another origin cannot tell this answer from another.
fn assert_closed(answer: &Answer, what: &str) {
    let policy = answer.header("cross-origin-resource-policy");
    assert_eq!(policy, "same-origin", "{what}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_tell_which_files_exist() {
    let server = TestServer::new()
        .env("CASEMATE_UPLOAD_LIMIT", "1k")
        .start_http()
        .await;
    let put = server.request("PUT", "/files/content/there");
    assert_eq!(server.send(put, "x").await.status(), 201);
    for (method, path, expected) in ASKED {
        let body = "x".repeat(if expected == 413 { 2_000 } else { 0 });
        let answer = server.send(server.request(method, path), body).await;
        assert_eq!(answer.status(), expected, "{method} {path}");
        assert_closed(&answer, path);
        for (site, mode) in [
            ("cross-site", "no-cors"),
            ("same-site", "no-cors"),
            ("cross-site", "navigate"),
            ("same-site", "navigate"),
        ] {
            let request = server
                .request(method, path)
                .header("sec-fetch-site", site)
                .header("sec-fetch-mode", mode);
            let answer = server.send(request, "").await;
            let page = path == "/" && mode == "navigate";
            let status = if page { 200 } else { 403 };
            assert_eq!(answer.status(), status, "{method} {path} {site} {mode}");
            assert_closed(&answer, path);
        }
    }
}

#[tokio::test]
async fn no_refusal_and_no_metrics_are_open_to_another_sites_page() {
    let file = SettingFile::new("");
    let server = TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &file.text())
        .env("CASEMATE_ALLOWED_ORIGINS", "https://chat.example.com")
        .env("CASEMATE_ADMIN", "127.0.0.1:0")
        .start_http()
        .await;
    for path in PATHS {
        let host = Request::get(path).header("host", "evil.example");
        let origin = server.request("GET", path).header("origin", "null");
        let listed = server
            .request("OPTIONS", path)
            .header("origin", "https://chat.example.com")
            .header("access-control-request-method", "GET");
        for (request, status) in [(host, 403), (origin, 403), (listed, 200)] {
            let answer = server.send(request, "").await;
            assert_eq!(answer.status(), status, "{path}");
            assert_closed(&answer, path);
        }
    }
    let answer = ask(&server, &[]).await;
    assert_eq!(answer.status(), 401);
    assert_closed(&answer, "no credential");

    let admin = server.admin.expect("an admin address");
    for (path, site, status) in [
        ("/metrics", "none", 200),
        ("/metrics", "cross-site", 403),
        ("/healthz", "none", 200),
        ("/nothing", "none", 404),
    ] {
        let request = Request::get(path)
            .header("host", admin.to_string())
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", "no-cors");
        let answer = server.send_to(admin, request, "").await;
        assert_eq!(answer.status(), status, "{path}");
        assert_closed(&answer, path);
    }
}
