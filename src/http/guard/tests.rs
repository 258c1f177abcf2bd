//! The matrix of names and origins.

use axum::http;

use super::*;
use crate::config::PreviewSettings;

fn guard(address: &str, hosts: Option<&str>, origins: Option<&str>) -> OriginPolicy {
    let settings = HttpSettings {
        auth: crate::config::Auth::None,
        allowed_hosts: hosts.map(|hosts| vec![hosts.parse().unwrap()]),
        allowed_origins: origins.map(|origins| vec![origins.parse().unwrap()]),
        workspace_header: crate::config::WorkspaceHeader::default(),
        session_key_file: None,
        sign_in: None,
        public_url: None,
        link_key_file: None,
        previews: PreviewSettings::default(),
    };
    OriginPolicy::new(&settings, address.parse().unwrap())
}

fn asked(
    guard: &OriginPolicy,
    uri: &str,
    headers: &[(&str, &[u8])],
) -> Result<(), OriginRejection> {
    let request = headers
        .iter()
        .fold(http::Request::get(uri), |request, (name, value)| {
            request.header(*name, *value)
        });
    guard.admit(&request.body(()).unwrap().into_parts().0)
}

#[test]
fn the_names_of_loopback_and_the_address_are_allowed_with_any_port() {
    let guard = guard("192.0.2.1:8080", None, None);
    for host in [
        "localhost",
        "LocalHost:8080",
        "127.0.0.1",
        "127.0.0.1:9",
        "[::1]:8080",
        "192.0.2.1:8080",
    ] {
        assert_eq!(
            asked(&guard, "/", &[("host", host.as_bytes())]),
            Ok(()),
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.0.2.2",
        "127.0.0.2",
        "localhost.",
        "0.0.0.0",
        "2130706433",
        "127.1",
    ] {
        assert_eq!(
            asked(&guard, "/", &[("host", host.as_bytes())]),
            Err(OriginRejection::Host),
            "{host}"
        );
    }
}

#[test]
fn an_ipv6_address_is_spelled_in_brackets() {
    let guard = guard("[2001:db8::1]:8080", None, None);
    assert_eq!(
        asked(&guard, "/", &[("host", b"[2001:db8::1]:8080")]),
        Ok(())
    );
    assert_eq!(
        asked(&guard, "/", &[("host", b"[2001:db8::2]")]),
        Err(OriginRejection::Host)
    );
}

#[test]
fn what_the_operator_lists_is_all_that_is_allowed() {
    let guard = guard("127.0.0.1:8080", Some("mcp.example.com:443"), None);
    assert_eq!(
        asked(&guard, "/", &[("host", b"mcp.example.com:443")]),
        Ok(())
    );
    for host in [
        &b"mcp.example.com"[..],
        b"mcp.example.com:444",
        b"localhost:443",
        b"a.mcp.example.com:443",
    ] {
        assert_eq!(
            asked(&guard, "/", &[("host", host)]),
            Err(OriginRejection::Host)
        );
    }
}

#[test]
fn a_request_has_one_host_that_is_one() {
    let guard = guard("127.0.0.1:8080", None, None);
    assert_eq!(asked(&guard, "/", &[]), Err(OriginRejection::NoHost));
    let twice = [("host", &b"localhost"[..]), ("host", b"localhost")];
    assert_eq!(asked(&guard, "/", &twice), Err(OriginRejection::NoHost));
    for host in [
        &b""[..],
        b"localhost, evil.example",
        b"user@localhost",
        b"localhost/",
        b"\xff",
        b"localhost:",
    ] {
        assert_eq!(
            asked(&guard, "/", &[("host", host)]),
            Err(OriginRejection::NoHost),
            "{host:?}"
        );
    }
}

#[test]
fn the_name_in_the_request_line_counts_too() {
    let guard = guard("127.0.0.1:8080", None, None);
    let host = [("host", &b"localhost"[..])];
    assert_eq!(asked(&guard, "http://localhost:8080/mcp", &host), Ok(()));
    assert_eq!(
        asked(&guard, "http://evil.example/mcp", &host),
        Err(OriginRejection::Host)
    );
}

#[test]
fn without_an_origin_no_page_asks_and_of_pages_only_listed_ones_may() {
    let usual = guard("127.0.0.1:8080", None, None);
    let listed = guard("127.0.0.1:8080", None, Some("https://chat.example.com"));
    let from = |guard: &OriginPolicy, origin: &[u8]| {
        asked(guard, "/", &[("host", b"localhost"), ("origin", origin)])
    };
    for origin in [
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ] {
        assert_eq!(from(&usual, origin.as_bytes()), Ok(()), "{origin}");
        assert_eq!(
            from(&listed, origin.as_bytes()),
            Err(OriginRejection::Origin),
            "{origin}"
        );
    }
    assert_eq!(from(&listed, b"https://chat.example.com"), Ok(()));
    for origin in [
        &b"null"[..],
        b"",
        b"*",
        b"http://localhost",
        b"http://localhost:8081",
        b"https://localhost:8080",
        b"http://chat.example.com",
        b"https://chat.example.com:8443",
        b"https://chat.example.com.evil.example",
        b"https://chat.example.com/",
        b"https://chat.example.com https://evil.example",
        b"\xff",
        b"file://",
    ] {
        assert_eq!(
            from(&usual, origin),
            Err(OriginRejection::Origin),
            "{origin:?}"
        );
        assert_eq!(
            from(&listed, origin),
            Err(OriginRejection::Origin),
            "{origin:?}"
        );
    }
    let two = [
        ("host", &b"localhost"[..]),
        ("origin", b"http://localhost:8080"),
        ("origin", b"http://localhost:8080"),
    ];
    assert_eq!(asked(&usual, "/", &two), Err(OriginRejection::Origin));
}

/// A request for `path` that a browser sends, and whether it is admitted.
fn loads(method: &str, path: &str, site: &str, mode: &str, origin: Option<&str>) -> bool {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8080")
        .header("sec-fetch-site", site)
        .header("sec-fetch-mode", mode);
    let request = origin
        .iter()
        .fold(request, |request, origin| request.header("origin", *origin));
    let parts = request.body(()).unwrap().into_parts().0;
    guard("127.0.0.1:8080", None, None).admit(&parts).is_ok()
}

#[test]
fn another_site_can_only_open_the_page_a_link_and_the_callback_of_a_sign_in() {
    let paths = [
        "/",
        CALLBACK,
        "/sign-in/start",
        "/s/token",
        "/shares",
        "/files/content/a",
        "/files/download/",
        "/mcp",
        "/nothing",
    ];
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE"];
    let modes = ["no-cors", "cors", "navigate", "same-origin", "websocket"];
    let asked = paths
        .iter()
        .flat_map(|path| methods.map(|method| (*path, method)));
    for ((path, method), mode) in asked.flat_map(|asked| modes.map(|mode| (asked, mode))) {
        for site in ["cross-site", "same-site", "", "none, same-origin", "None"] {
            let is_target = ["/", CALLBACK, "/s/token"].contains(&path);
            let opens = is_target && method == "GET" && mode == "navigate";
            let admitted = loads(method, path, site, mode, None);
            assert_eq!(admitted, opens, "{method} {path} {site} {mode}");
            // A listed origin says who it is, and a foreign one too.
            let own = Some("http://127.0.0.1:8080");
            assert!(loads(method, path, site, mode, own), "{method} {path}");
            let foreign = Some("http://evil.example");
            assert!(!loads(method, path, site, mode, foreign), "{method} {path}");
        }
        for site in ["same-origin", "none"] {
            assert!(loads(method, path, site, mode, None), "{method} {path}");
        }
    }
}

#[test]
fn the_log_has_no_link() {
    assert_eq!(loggable("/s/a.b.7.c"), "/s/");
    assert_eq!(loggable("/shares/x"), "/shares/x");
}

#[test]
fn an_empty_list_allows_no_page_and_no_name() {
    let settings = HttpSettings {
        auth: crate::config::Auth::None,
        allowed_hosts: Some(Vec::new()),
        allowed_origins: Some(Vec::new()),
        workspace_header: crate::config::WorkspaceHeader::default(),
        session_key_file: None,
        sign_in: None,
        public_url: None,
        link_key_file: None,
        previews: PreviewSettings::default(),
    };
    let guard = OriginPolicy::new(&settings, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(
        asked(&guard, "/", &[("host", b"localhost")]),
        Err(OriginRejection::Host)
    );
}
