//! Downloads.

use std::time::Duration;

use futures_util::stream;
use http_body_util::BodyExt as _;

use super::client::{Reply, ask, get, noise, put, stream as request};
use crate::harness::{TestServer, docker, eventually};

/// Headers of every answer with content of a user.
fn assert_guarded(reply: &Reply) {
    let value = reply.header("content-disposition");
    assert!(value.starts_with("attachment; "), "{reply:?}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("sandbox;"), "{policy}");
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin");
}

#[tokio::test]
async fn a_users_page_is_an_attachment_of_no_type_and_never_shown_inline() {
    let server = TestServer::new().start_http().await;
    let page = "<html><script>alert(document.domain)</script></html>";
    for name in ["page.html", "image.svg", "script.js", "page.xhtml", "a.pdf"] {
        put(&server, name, page).await;
        for route in ["download", "content"] {
            let reply = get(&server, &format!("/files/{route}/{name}")).await;
            assert_eq!((reply.status, &reply.body[..]), (200, page.as_bytes()));
            assert_eq!(reply.header("content-type"), "application/octet-stream");
            assert_guarded(&reply);
            let tag = reply.header("etag");
            for headers in [[("range", "bytes=0-5")], [("if-none-match", tag)]] {
                let reply = ask(
                    &server,
                    "GET",
                    &format!("/files/{route}/{name}"),
                    &headers,
                    "",
                )
                .await;
                assert!([206, 304].contains(&reply.status), "{reply:?}");
                assert_guarded(&reply);
            }
        }
    }
    let directory = get(&server, "/files/download/").await;
    assert_eq!(directory.header("content-type"), "application/x-tar");
    assert_guarded(&directory);
}

#[tokio::test]
async fn a_head_says_what_a_get_does_and_has_no_content() {
    let server = TestServer::new().start_http().await;
    put(&server, "file", "0123456789").await;
    server
        .shell("touch -d '2023-11-14 22:13:20 UTC' file")
        .await;
    let path = "/files/content/file";
    let got = get(&server, path).await;
    assert_eq!(got.header("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_eq!(got.header("accept-ranges"), "bytes");
    assert_eq!(got.header("content-length"), "10");
    assert!(got.header("etag").starts_with('"'), "{got:?}");
    let head = ask(&server, "HEAD", path, &[("range", "bytes=0-1")], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in [
        "last-modified",
        "accept-ranges",
        "content-length",
        "etag",
        "content-type",
        "content-disposition",
        "content-security-policy",
    ] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    let directory = ask(&server, "HEAD", "/files/content/", &[], "").await;
    assert_eq!(directory.status, 200);
    assert_eq!(directory.header("content-type"), "application/x-tar");
    assert_eq!(directory.header("content-length"), "");
    let missing = ask(&server, "HEAD", "/files/content/no", &[], "").await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
}

#[tokio::test]
async fn parts_of_a_file_are_its_bytes_and_fit_together() {
    let server = TestServer::new().start_http().await;
    let file = noise(3 << 20);
    let size = file.len();
    put(&server, "file", file.clone()).await;
    let path = "/files/download/file";
    let part = async |range: &str, more: (&str, &str)| {
        ask(&server, "GET", path, &[("range", range), more], "").await
    };
    let none = ("x-nothing", "");
    let whole = part("bytes=-99999999", none).await;
    let tag = whole.header("etag").to_owned();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=2000000-", 2_000_000, size),
        ("bytes=-7", size - 7, size),
        ("bytes=-99999999", 0, size),
        ("bytes=3145727-9999999", size - 1, size),
    ] {
        for more in [none, ("if-range", tag.as_str())] {
            let reply = part(range, more).await;
            assert_eq!(reply.status, 206, "{range}: {:?}", reply.headers);
            assert!(reply.body == file.slice(from..to), "{range}: other bytes");
            let shown = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(reply.header("content-range"), shown);
            assert_eq!(reply.header("content-length"), (to - from).to_string());
            assert_eq!(reply.header("etag"), tag);
        }
    }
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let reply = part(&range, none).await;
        assert_eq!(reply.error(), (416, "range_not_satisfiable".to_owned()));
        assert_eq!(reply.header("content-range"), format!("bytes */{size}"));
    }
    for (range, more) in [
        ("bytes=0-1,5-6", none),
        ("bytes=9-1", none),
        ("pages=1-2", none),
        ("bytes=0-0", ("if-range", "\"other\"")),
        ("bytes=0-0", ("if-range", "Tue, 14 Nov 2023 22:13:20 GMT")),
    ] {
        let reply = part(range, more).await;
        assert_eq!((reply.status, reply.body.len()), (200, size), "{range}");
    }
    put(&server, "empty", "").await;
    let ranged = [("range", "bytes=0-")];
    let empty = ask(&server, "GET", "/files/download/empty", &ranged, "").await;
    assert_eq!(empty.status, 416);
    // A download of one version of a file does not continue with another version.
    put(&server, "file", file.slice(..size - 1)).await;
    let resumed = part("bytes=100-", ("if-range", &tag)).await;
    assert_eq!((resumed.status, resumed.body.len()), (200, size - 1));
}

#[tokio::test]
async fn a_client_that_has_the_file_gets_304_until_it_changes() {
    let server = TestServer::new().start_http().await;
    put(&server, "file", "old").await;
    let path = "/files/download/file";
    let with =
        async |name: &str, value: &str| ask(&server, "GET", path, &[(name, value)], "").await;
    let first = get(&server, path).await;
    let (tag, date) = (first.header("etag"), first.header("last-modified"));
    for (name, value) in [("if-none-match", tag), ("if-modified-since", date)] {
        let reply = with(name, value).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{name}");
        assert_eq!(reply.header("etag"), tag);
        let length = reply.header("content-length");
        assert!(["", "3"].contains(&length), "{length} bytes of what?");
    }
    assert_eq!(with("if-match", tag).await.status, 200);
    let failed = (412, "precondition_failed".to_owned());
    assert_eq!(with("if-match", "\"other\"").await.error(), failed);
    let old = with("if-unmodified-since", "Tue, 14 Nov 2023 22:13:20 GMT").await;
    assert_eq!(old.error(), failed);
    let wrong = with("if-modified-since", "yesterday").await;
    assert_eq!(wrong.error(), (400, "invalid_argument".to_owned()));
    put(&server, "file", "new").await;
    let changed = with("if-none-match", tag).await;
    assert_eq!((changed.status, &changed.body[..]), (200, &b"new"[..]));
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn any_name_is_found_and_named_exactly() {
    let server = TestServer::new().start_http().await;
    let made = "printf 1 > 'a b;c.txt'; printf 2 > 'say \"hi\"'; printf 3 > $'line\\nbreak'; \
                printf 4 > 'naïve 日.html'; printf 5 > '100%25'; printf 6 > 'back\\slash'; printf 7 > '?#'";
    server.shell(made).await;
    for (path, content, disposition) in [
        ("a%20b;c.txt", "1", r#"attachment; filename="a b;c.txt""#),
        (
            "say%20%22hi%22",
            "2",
            r#"attachment; filename="say _hi_"; filename*=UTF-8''say%20%22hi%22"#,
        ),
        (
            "line%0Abreak",
            "3",
            r#"attachment; filename="line_break"; filename*=UTF-8''line%0Abreak"#,
        ),
        (
            "na%C3%AFve%20%E6%97%A5.html",
            "4",
            r#"attachment; filename="na_ve _.html"; filename*=UTF-8''na%C3%AFve%20%E6%97%A5.html"#,
        ),
        (
            "100%2525",
            "5",
            r#"attachment; filename="100_25"; filename*=UTF-8''100%2525"#,
        ),
        (
            "back%5Cslash",
            "6",
            r#"attachment; filename="back_slash"; filename*=UTF-8''back%5Cslash"#,
        ),
        ("%3F%23", "7", r#"attachment; filename="?#""#),
    ] {
        let reply = get(&server, &format!("/files/download/{path}")).await;
        assert_eq!(
            (reply.status, &reply.body[..]),
            (200, content.as_bytes()),
            "{path}"
        );
        assert_eq!(reply.header("content-disposition"), disposition);
    }
}

#[tokio::test]
async fn a_download_ends_when_its_client_is_gone() {
    let server = TestServer::new().start_http().await;
    server.shell("head -c 1G /dev/zero > large").await;
    let container = server.instance.container();
    let bridges = || {
        let processes = docker::top(&container);
        processes
            .iter()
            .filter(|(_, args)| args.contains("bridge"))
            .count()
    };
    assert_eq!(bridges(), 1);
    let nothing = stream::empty();
    let mut response = request(&server, "GET", "/files/download/large", &[], nothing).await;
    assert_eq!(response.status().as_u16(), 200);
    response
        .body_mut()
        .frame()
        .await
        .expect("a frame")
        .expect("data");
    assert_eq!(bridges(), 2);
    drop(response);
    eventually("the transfer ends", Duration::from_secs(10), async || {
        bridges() == 1
    })
    .await;
    assert_eq!(server.shell("echo next").await.stdout(), "next\n");
}
