use super::*;

const ORIGIN: &str = "https://abcdefgh.preview.example.com";

fn addresses() -> Addresses {
    Addresses {
        origin: ORIGIN.to_owned(),
        port: 5173,
    }
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, value.parse().expect("a value"));
    }
    headers
}

/// What the program gets of a request with these headers.
fn sent(pairs: &[(&str, &str)]) -> (HeaderMap, Vec<String>) {
    let mut headers = headers(pairs);
    let too_long = to_program(&mut headers, &addresses());
    (headers, too_long)
}

/// What the browser gets of an answer with these headers.
fn answered(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = headers(pairs);
    to_browser(&mut headers, &addresses(), false);
    headers
}

#[test]
fn the_program_sees_a_browser_on_its_own_machine() {
    let (seen, _) = sent(&[
        ("host", "abcdefgh.preview.example.com"),
        ("origin", ORIGIN),
        ("referer", &format!("{ORIGIN}/a?b=c")),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("accept", "text/html"),
    ]);
    let wanted = headers(&[
        ("host", "localhost:5173"),
        ("origin", "http://localhost:5173"),
        ("referer", "http://localhost:5173/a?b=c"),
        ("x-forwarded-host", "abcdefgh.preview.example.com"),
        ("x-forwarded-proto", "https"),
        ("accept", "text/html"),
    ]);
    assert_eq!(seen, wanted);
}

#[test]
fn another_referer_stays_and_one_that_only_begins_alike_is_another() {
    let (seen, _) = sent(&[("referer", &format!("{ORIGIN}.evil.test/"))]);
    assert_eq!(seen["referer"], format!("{ORIGIN}.evil.test/").as_str());
}

#[test]
fn what_is_of_one_connection_or_of_this_server_stays_here() {
    let (seen, _) = sent(&[
        ("connection", "keep-alive, x-secret"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic eA=="),
        ("expect", "100-continue"),
        ("x-casemate-user", "bob"),
        ("x-casemate-page", "1"),
        (
            "cookie",
            "a=1; __Host-casemate-preview=x; __host-CASEMATE=y",
        ),
        ("cookie", "b=2"),
    ]);
    let names: Vec<_> = seen.keys().map(HeaderName::as_str).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(seen["cookie"], "a=1; b=2");
}

#[test]
fn a_websocket_keeps_its_upgrade() {
    let (seen, _) = sent(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "k"),
    ]);
    assert_eq!(
        (&seen["connection"], &seen["upgrade"]),
        (
            &"Upgrade".parse().expect("a value"),
            &"websocket".parse().expect("a value")
        )
    );
    assert_eq!(seen["sec-websocket-key"], "k");
}

#[test]
fn cookies_that_are_too_long_do_not_reach_the_program() {
    let long = format!("a={}", "x".repeat(COOKIE_BYTES_LIMIT));
    let (seen, too_long) = sent(&[("cookie", &long)]);
    assert_eq!(too_long, ["a"]);
    assert!(!seen.contains_key("cookie"));
    let fits = format!("a={}", "x".repeat(COOKIE_BYTES_LIMIT - 2));
    let (seen, too_long) = sent(&[("cookie", &fits)]);
    assert!(too_long.is_empty() && seen.contains_key("cookie"));
}

#[test]
fn a_redirect_of_the_program_leads_back_to_the_preview() {
    for (location, seen) in [
        ("http://localhost:5173/a?b#c", format!("{ORIGIN}/a?b#c")),
        ("http://127.0.0.1:5173", format!("{ORIGIN}/")),
        ("https://[::1]:5173/x", format!("{ORIGIN}/x")),
        (
            "http://abcdefgh.preview.example.com/x",
            format!("{ORIGIN}/x"),
        ),
        ("/login", "/login".to_owned()),
        ("http://localhost:80/", "http://localhost:80/".to_owned()),
        ("https://example.com/", "https://example.com/".to_owned()),
        (
            "http://localhost.evil.test:5173/",
            "http://localhost.evil.test:5173/".to_owned(),
        ),
    ] {
        assert_eq!(
            answered(&[("location", location)])["location"],
            seen.as_str(),
            "{location}"
        );
    }
}

#[test]
fn a_cookie_is_of_this_host_alone_and_none_is_named_as_ours() {
    let seen = answered(&[
        ("set-cookie", "a=1; Domain=.example.com; Path=/; HttpOnly"),
        ("set-cookie", "b=2;domain = x"),
        ("set-cookie", "__Host-casemate-preview=x; Path=/; Secure"),
        ("set-cookie", "__HOST-casemate=x"),
        ("clear-site-data", "\"cookies\""),
        ("strict-transport-security", "max-age=1; includeSubDomains"),
        ("x-casemate-x", "1"),
        ("x-accel-redirect", "/internal"),
        ("X-Sendfile", "/etc/passwd"),
        ("x-accel-buffering", "no"),
        ("connection", "close"),
    ]);
    let cookies: Vec<_> = seen.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/; HttpOnly", "b=2"]);
    assert_eq!(
        (seen.len(), &seen["x-accel-buffering"]),
        (3, &HeaderValue::from_static("no"))
    );
}

#[test]
fn too_long_cookies_are_deleted_by_name_on_this_host_and_on_the_domain_alone() {
    let mut answer = HeaderMap::new();
    delete_cookies(&mut answer, &["a".to_owned()], &addresses());
    let cookies: Vec<_> = answer.get_all("set-cookie").iter().collect();
    assert_eq!(
        cookies,
        [
            "a=; Path=/; Max-Age=0",
            "a=; Path=/; Max-Age=0; Domain=preview.example.com"
        ]
    );
    assert_eq!(answer.len(), 2);
}
