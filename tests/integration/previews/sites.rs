//! HTML files and directories, shown as sites.

use super::*;
use crate::harness::docker;

const SITE: &str = "mkdir -p site/sub site/.git && cd site && \
    echo '<script src=app.js></script>top' > index.html && echo 'let a;' > app.js && \
    echo '<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>' > a.svg && \
    echo sub > sub/index.html && echo hidden > .git/config && echo hidden > .env && \
    echo secret > ../secret.txt && ln -s ../secret.txt link.txt && ln -s /etc passwd && \
    printf '\\0\\1' > data.bin";

async fn site(server: &HttpServer, path: &str) -> (CallResult, Preview) {
    let shared = server.call("share", json!({ "path": path })).await;
    assert!(!shared.is_error(), "{shared:?}");
    let preview = opened(server, &link_of(&shared)).await;
    (shared, preview)
}

#[tokio::test]
async fn a_directory_is_a_site_of_its_visible_files() {
    let (_deployment, server) = server().await;
    assert_eq!(server.shell(SITE).await.exit_code(), 0);
    let (shared, preview) = site(&server, "site").await;
    assert!(
        shared
            .field("link")
            .as_str()
            .is_some_and(|link| link.contains("/s/"))
    );
    for (path, kind, text) in [
        ("/", "text/html; charset=utf-8", "top"),
        ("/index.html", "text/html; charset=utf-8", "top"),
        ("/app.js", "text/javascript; charset=utf-8", "let a;"),
        ("/a.svg", "image/svg+xml", "onload"),
        ("/sub/", "text/html; charset=utf-8", "sub"),
        ("/%73ub/?x=1", "text/html; charset=utf-8", "sub"),
        ("/data.bin", "application/octet-stream", "\u{1}"),
    ] {
        let shown = preview.get(&server, path).await;
        assert_eq!(
            (shown.status, shown.header("content-type")),
            (200, kind),
            "{path}"
        );
        assert!(shown.text().contains(text), "{path}: {shown:?}");
        assert_eq!(shown.header("content-disposition"), "");
        assert_eq!(shown.header("x-content-type-options"), "nosniff");
        assert_eq!(
            shown.header("content-security-policy"),
            "frame-ancestors 'self'"
        );
    }
    let moved = preview.get(&server, "/sub?a=b").await;
    assert_eq!((moved.status, moved.header("location")), (308, "/sub/?a=b"));
    let nothing = preview.get(&server, "/nothing").await;
    for path in [
        "/.git/config",
        "/.env",
        "/%2eenv",
        "/link.txt",
        "/passwd/passwd",
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "//app.js",
        "/sub//index.html",
        "/app.js/",
        "/app.js%00",
        "/secret.txt",
    ] {
        let found = preview.get(&server, path).await;
        assert_eq!((found.status, &found.body), (404, &nothing.body), "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let sent = preview.send(&server, method, "/", &[], "").await;
        assert_eq!(sent.status, 404, "{method}");
    }
    let part = preview
        .send(&server, "GET", "/app.js", &[("range", "bytes=0-2")], "")
        .await;
    assert_eq!((part.status, part.text()), (206, "let"));
    let beyond = preview
        .send(&server, "GET", "/app.js", &[("range", "bytes=99-")], "")
        .await;
    assert_eq!((beyond.status, beyond.text()), (416, ""));
    let head = preview.send(&server, "HEAD", "/app.js", &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// The version that was shared, and no later one; a new share is at the same host.
#[tokio::test]
async fn a_site_that_has_changed_is_gone_until_it_is_shared_again() {
    let (_deployment, server) = server().await;
    server.shell(SITE).await;
    let (_, preview) = site(&server, "site").await;
    assert_eq!(preview.get(&server, "/").await.status, 200);
    server.shell("echo more >> site/app.js").await;
    let changed = async || {
        let reply = preview.get(&server, "/").await;
        reply.status == 404 && reply.text().contains("changed since it was shared")
    };
    eventually("it has changed", LISTENING, changed).await;
    let (_, again) = site(&server, "site").await;
    assert_eq!(again.host, preview.host);
    assert_eq!(again.get(&server, "/").await.status, 200);
}

#[tokio::test]
async fn an_html_file_is_a_site_of_one_page_and_other_files_have_none() {
    let (_deployment, server) = server().await;
    server
        .shell("echo '<h1>report</h1>' > report.html; echo a > a.txt; mkdir d; echo x > d/x")
        .await;
    let (_, preview) = site(&server, "report.html").await;
    let page = preview.get(&server, "/").await;
    assert_eq!((page.status, page.text()), (200, "<h1>report</h1>\n"));
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for path in ["/report.html", "/a.txt", "/index.html"] {
        assert_eq!(preview.get(&server, path).await.status, 404, "{path}");
    }
    for path in ["a.txt", "d"] {
        let shared = server.call("share", json!({ "path": path })).await;
        assert!(shared.field("preview_link").is_null(), "{shared:?}");
    }
    // It needs no process, and a sandbox that has stopped is started for its files.
    docker::quietly(&["rm", "--force", &server.instance.container()]);
    let again = async || preview.get(&server, "/").await.status == 200;
    eventually("it is shown", LISTENING, again).await;
}
