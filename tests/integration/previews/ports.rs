//! Settings with the default port of their scheme, which browsers leave out of `Host` and `Origin`.

use super::*;

/// A page, shared by a server with these settings, and opened as a browser does.
async fn check(settings: &[(&str, &str)], scheme: &str, domain: &str) {
    let deployment = Deployment::new();
    let server = deployment.alone();
    let server = settings
        .iter()
        .fold(server, |server, (name, value)| server.env(name, value));
    let server = server.start_http().await;
    let file = json!({ "path": "report.html", "content": "<h1>report</h1>" });
    server.call("write_file", file).await;
    let shared = server.call("share", json!({ "path": "report.html" })).await;
    let link = link_of(&shared);
    let (host, token) = parts(&link);
    assert!(link.starts_with(&format!("{scheme}://")), "{link}");
    assert!(host.ends_with(&format!(".{domain}")), "no port: {link}");
    let origin = format!("{scheme}://{host}");
    let opened = exchange_at(&server, &origin, &token).await;
    assert_eq!(opened.status, 200, "{settings:?}: {opened:?}");
    let cookie = cookie_of(&opened);
    let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let page = send(&server, &host, "GET", "/", &headers, "").await;
    assert_eq!((page.status, page.text()), (200, "<h1>report</h1>"));
}

#[tokio::test]
async fn a_domain_with_the_port_of_https_opens_as_browsers_write_it() {
    let settings = [
        ("CASEMATE_PUBLIC_URL", "https://casemate.example.com:443"),
        ("CASEMATE_PREVIEW_DOMAIN", "preview.example.net:443"),
    ];
    check(&settings, "https", "preview.example.net").await;
}

#[tokio::test]
async fn a_public_url_with_the_port_of_http_opens_as_browsers_write_it() {
    check(
        &[("CASEMATE_PUBLIC_URL", "http://localhost:80")],
        "http",
        "localhost",
    )
    .await;
    check(
        &[("CASEMATE_PUBLIC_URL", "http://localhost")],
        "http",
        "localhost",
    )
    .await;
}
