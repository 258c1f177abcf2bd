//! The server's host names, and the pages that may call it.

mod other_sites;

use hyper::Request;

use super::*;

/// Every route, and one that does not exist.
const PATHS: [&str; 6] = [
    "/mcp",
    "/sse",
    "/messages",
    "/healthz",
    "/.well-known/oauth-protected-resource",
    "/nothing",
];

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

/// Headers that a listed page may send.
const SENT_BY_PAGES: [&str; 12] = [
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
];

#[tokio::test]
async fn a_preflight_is_answered_without_a_token_and_only_to_listed_pages() {
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
        for name in SENT_BY_PAGES {
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
