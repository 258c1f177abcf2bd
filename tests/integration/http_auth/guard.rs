//! The names that the server is called by, and the pages that may call it.

use hyper::Request;

use super::*;

/// Every route, and one that there is not.
const PATHS: [&str; 6] = [
    "/mcp",
    "/sse",
    "/messages",
    "/healthz",
    "/.well-known/oauth-protected-resource",
    "/nothing",
];

/// All that is asked for, right and wrong: method, path, status.
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

/// What keeps another origin's page from telling one answer from another.
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

async fn status(server: &HttpServer, uri: &str, headers: &[(&str, &str)]) -> u16 {
    let request = headers
        .iter()
        .fold(Request::get(uri), |request, (name, value)| {
            request.header(*name, *value)
        });
    server.send(request, "").await.status().as_u16()
}

#[tokio::test]
async fn a_request_names_the_server_by_one_of_its_names_on_every_route() {
    let server = TestServer::new().start_http().await;
    let port = server.address.port();
    for path in PATHS {
        assert_eq!(status(&server, path, &[]).await, 400, "{path}");
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(status(&server, path, &twice).await, 400, "{path}");
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "evil.example:80",
        ] {
            assert_eq!(
                status(&server, path, &[("host", host)]).await,
                403,
                "{path} {host}"
            );
        }
        let rebound = format!("http://evil.example{path}");
        assert_eq!(
            status(&server, &rebound, &[("host", "localhost")]).await,
            403,
            "{path}"
        );
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        assert_eq!(
            status(&server, "/healthz", &[("host", host)]).await,
            200,
            "{host}"
        );
        let host = format!("{host}:{port}");
        assert_eq!(
            status(&server, "/healthz", &[("host", &host)]).await,
            200,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_page_of_another_origin_reaches_no_route() {
    let server = TestServer::new().start_http().await;
    let port = server.address.port();
    let host = ("host", "localhost");
    for path in PATHS {
        for origin in [
            "null",
            "http://evil.example",
            &format!("https://localhost:{port}"),
            "http://localhost",
            &format!("http://localhost:{port}.evil.example"),
        ] {
            let headers = [host, ("origin", origin)];
            assert_eq!(
                status(&server, path, &headers).await,
                403,
                "{path} {origin}"
            );
        }
    }
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let origin = format!("http://{name}:{port}");
        assert_eq!(
            status(&server, "/healthz", &[host, ("origin", &origin)]).await,
            200
        );
        assert_eq!(asked(&server, &[("origin", &origin)]).await.0, 200);
    }
    assert_eq!(asked(&server, &[]).await.0, 200);
}

#[tokio::test]
async fn the_operator_lists_names_and_origins() {
    let server = TestServer::new()
        .env("CASEMATE_ALLOWED_HOSTS", "mcp.example.com, other.example")
        .env("CASEMATE_ALLOWED_ORIGINS", "https://chat.example.com")
        .start_http()
        .await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    for (host, origin, expected) in [
        ("mcp.example.com", Some("https://chat.example.com"), 200),
        ("other.example:8443", None, 200),
        ("localhost", None, 403),
        ("mcp.example.com", Some("https://mcp.example.com"), 403),
    ] {
        let request = Request::post("/mcp")
            .header("host", host)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header(VERSION.0, VERSION.1);
        let request = origin
            .iter()
            .fold(request, |request, origin| request.header("origin", *origin));
        let status = server.send(request, body.to_string()).await.status();
        assert_eq!(status, expected, "{host} {origin:?}");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_before_anybody_is_known_and_only_to_listed_pages() {
    let file = SettingFile::new("");
    let server = TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &file.text())
        .env("CASEMATE_ALLOWED_ORIGINS", "https://chat.example.com")
        .start_http()
        .await;
    let preflight = async |path: &str, origin: &str| {
        let request = server
            .request("OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization, content-type",
            );
        server.send(request, "").await
    };
    for path in PATHS {
        let answer = preflight(path, "https://chat.example.com").await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://chat.example.com"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert!(answer.header("vary").contains("origin"), "{answer:?}");
        let methods = answer.header("access-control-allow-methods");
        assert_eq!(methods, "GET,HEAD,POST,PUT,PATCH,DELETE");
        let sent: Vec<&str> = answer
            .header("access-control-allow-headers")
            .split(',')
            .collect();
        for name in [
            "authorization",
            "content-type",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "mcp-session-id",
            "last-event-id",
            "x-casemate-user",
            "range",
            "if-match",
            "if-none-match",
            "if-range",
        ] {
            assert!(sent.contains(&name), "{name}: {sent:?}");
        }
        let refused = preflight(path, "https://evil.example").await;
        assert_eq!(refused.status(), 403, "{path}");
        assert_eq!(refused.header("access-control-allow-origin"), "");
    }

    // Without a credential: the page may read that it needs one.
    let answer = ask(&server, &[("origin", "https://chat.example.com")]).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://chat.example.com"
    );
    assert!(answer.header("vary").contains("origin"), "{answer:?}");
    let readable = answer.header("access-control-expose-headers");
    for name in [
        "www-authenticate",
        "mcp-session-id",
        "content-range",
        "etag",
    ] {
        assert!(readable.contains(name), "{name}: {readable}");
    }
}
