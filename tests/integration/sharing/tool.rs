//! The tool: what it gives, and what it refuses.

use super::*;

#[tokio::test]
async fn a_file_is_shared_as_a_link_and_a_resource_and_in_words() {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    let content = "<script>alert(1)</script>\n";
    let arguments = json!({ "path": "out/report.html", "content": content });
    server.call("write_file", arguments).await;
    let before = now();
    let arguments = json!({ "path": "out/report.html", "expires_in_seconds": 120 });
    let shared = server.call("share", arguments).await;
    for (field, wanted) in [
        ("resource_uri", json!("casemate:///out/report.html")),
        ("visibility", json!("link")),
        ("name", json!("report.html")),
        ("mime_type", json!("text/html")),
        ("size", json!(content.len())),
    ] {
        assert_eq!(shared.field(field), &wanted, "{field}");
    }
    let end = shared.field("expires_at").as_str().expect("a time");
    let end = humantime::parse_rfc3339(end).expect("RFC 3339");
    let end = end.duration_since(UNIX_EPOCH).expect("a time").as_secs();
    assert!((before + 120..=now() + 120).contains(&end), "{end}");
    let link = shared.field("link").as_str().expect("a link").to_owned();
    assert!(link.starts_with(&format!("http://{}/s/", server.address)));
    assert!(shared.text().contains(&link), "{}", shared.text());
    assert!(shared.text().contains("casemate:///out/report.html"));
    let block = &shared.0["content"][1];
    assert_eq!(block["type"], "resource_link");
    assert_eq!(block["uri"], "casemate:///out/report.html");
    assert_eq!(
        (&block["name"], &block["mimeType"]),
        (&json!("report.html"), &json!("text/html"))
    );

    // With the key that was made for it, in a separate file.
    assert_eq!(mode(&deployment.path("state/casemate/link-key")), 0o600);
    let opened = open(&server, &link_of(&shared), &[]).await;
    assert_eq!((opened.status, opened.text()), (200, content));
}

/// Nothing of a browser's runs it, keeps it, or tells others of it.
#[tokio::test]
async fn what_a_link_opens_is_an_attachment_and_never_a_page_of_ours() {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    for (path, content) in [
        ("a.html", "<script>alert(1)</script>"),
        (
            "a.svg",
            "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        ),
        ("a.xhtml", "<html xmlns='http://www.w3.org/1999/xhtml'/>"),
        ("a.js", "alert(1)"),
    ] {
        server
            .call("write_file", json!({ "path": path, "content": content }))
            .await;
        let arguments = json!({ "path": path, "name": format!("Bericht \u{e4} {path}") });
        let link = link_of(&server.call("share", arguments).await);
        let opened = open(&server, &link, &NAVIGATION).await;
        assert_eq!((opened.status, opened.text()), (200, content), "{path}");
        for (header, wanted) in [
            ("content-type", "application/octet-stream"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "private, no-store"),
            ("x-robots-tag", "noindex, noarchive"),
            ("cross-origin-resource-policy", "same-origin"),
            ("set-cookie", ""),
        ] {
            assert_eq!(opened.header(header), wanted, "{path}: {header}");
        }
        let disposition = opened.header("content-disposition").to_owned();
        let named = format!("filename*=UTF-8''Bericht%20%C3%A4%20{path}");
        assert!(disposition.starts_with("attachment; "), "{disposition}");
        assert!(disposition.ends_with(&named), "{disposition}");

        let head = send(&server, "HEAD", &link, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), content.len().to_string());
        let part = open(&server, &link, &[("range", "bytes=1-3")]).await;
        assert_eq!((part.status, part.text()), (206, &content[1..4]));
        let beyond = open(&server, &link, &[("range", "bytes=1000-")]).await;
        assert_eq!(beyond.status, 416);
        assert!(!beyond.text().contains(path), "{}", beyond.text());
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            assert_eq!(
                send(&server, method, &link, &[]).await.status,
                405,
                "{method}"
            );
        }
        // A page of another site shows it as a picture, or reads it.
        for embedded in ["no-cors", "cors"] {
            let headers = [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", embedded),
            ];
            assert_eq!(
                open(&server, &link, &headers).await.status,
                403,
                "{embedded}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_shared_is_refused_with_a_reason() {
    let deployment = Deployment::new();
    let server = deployment.alone().start_http().await;
    server
        .shell("mkdir d; echo a > a; echo b > .home/b; mkfifo pipe")
        .await;
    for (arguments, code, said) in [
        (json!({}), "invalid_argument", "`path`"),
        (
            json!({ "path": "." }),
            "invalid_argument",
            "the workspace itself",
        ),
        (
            json!({ "path": "/workspace/" }),
            "invalid_argument",
            "the workspace itself",
        ),
        (json!({ "path": ".home/b" }), "invalid_argument", ".home"),
        (
            json!({ "path": "d/../.casemate" }),
            "invalid_argument",
            ".casemate",
        ),
        (
            json!({ "path": "../etc" }),
            "outside_workspace",
            "/workspace",
        ),
        (json!({ "path": "none" }), "not_found", "none"),
        (json!({ "path": "a/" }), "not_directory", "slash"),
        (json!({ "path": "pipe" }), "not_regular", "FIFO"),
        (
            json!({ "path": "a", "name": "../b" }),
            "invalid_argument",
            "`name`",
        ),
        (
            json!({ "path": "a", "expires_in_seconds": 59 }),
            "invalid_argument",
            "60 to 604800",
        ),
        (
            json!({ "path": "a", "expires_in_seconds": 604_801 }),
            "invalid_argument",
            "60 to 604800",
        ),
        (json!({ "port": 53 }), "invalid_argument", "not 53"),
        (
            json!({ "path": "a", "port": 8000 }),
            "invalid_argument",
            "one of the two",
        ),
    ] {
        let refused = server.call("share", arguments.clone()).await;
        assert!(refused.is_error(), "{arguments}: {refused:?}");
        assert_eq!(refused.code(), code, "{arguments}: {}", refused.text());
        assert!(
            refused.text().contains(said),
            "{arguments}: {}",
            refused.text()
        );
    }
    let shares = server
        .shell("ls .casemate/shares 2> /dev/null | wc -l")
        .await;
    assert_eq!(shares.stdout(), "0\n", "a refused share leaves nothing");
}

#[tokio::test]
async fn without_links_a_file_is_a_resource_and_a_directory_is_refused_with_the_setting() {
    let server = TestServer::new().start().await;
    server.shell("mkdir d; echo a > d/a").await;
    let shared = server.call("share", json!({ "path": "d/a" })).await;
    assert_eq!(shared.field("resource_uri"), "casemate:///d/a");
    assert!(shared.0["structuredContent"].get("link").is_none());
    assert!(
        shared.text().contains("casemate serve --http"),
        "{}",
        shared.text()
    );
    let refused = server.call("share", json!({ "path": "d" })).await;
    assert!(refused.is_error() && refused.text().contains("--http"));

    // A server without a place for its key.
    let server = TestServer::new()
        .env("HOME", "")
        .env("XDG_STATE_HOME", "")
        .env("STATE_DIRECTORY", "")
        .start_http()
        .await;
    server.shell("echo a > a").await;
    let shared = server.call("share", json!({ "path": "a" })).await;
    assert!(
        shared.text().contains("CASEMATE_LINK_KEY_FILE"),
        "{}",
        shared.text()
    );

    let core = TestServer::new()
        .env("CASEMATE_TOOLS", "core")
        .start()
        .await;
    let listed = core.rpc.request("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().expect("tools");
    assert!(tools.iter().all(|tool| tool["name"] != "share"));
}

#[tokio::test]
async fn a_public_url_is_where_links_lead() {
    let deployment = Deployment::new();
    let server = deployment
        .for_users()
        .env("CASEMATE_PUBLIC_URL", "https://casemate.example.com")
        .start_http()
        .await;
    write(&server, "ada", "a.txt", "a").await;
    let (shared, link) = share(&server, "ada", "a.txt").await;
    let wanted = format!("https://casemate.example.com{link}");
    assert_eq!(shared.field("link"), &json!(wanted));
    assert_eq!(shared.field("visibility"), "private");
}
