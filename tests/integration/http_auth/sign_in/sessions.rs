//! A session: which requests it counts for, and which servers accept it.

use super::*;
use crate::http_auth::oidc_issuer::{Issuer, at};

#[tokio::test]
async fn a_token_is_exchanged_for_a_session_which_ends_with_the_token() {
    let file = SettingFile::new(&rows(&[
        ADA,
        ("cm_app", "delegate = true"),
        ("cm_tools", "user = \"ada\"\nscopes = [\"tools\"]"),
    ]));
    let server = tokens(&file).start_http().await;
    assert_eq!(
        send(&server, "GET", "/sign-in", &[], "").await.json()["data"]["method"],
        "token"
    );
    let signed = with_token(&server, "cm_ada").await;
    assert_eq!(signed.status, 200, "{}", signed.text());
    let set = signed.set_cookie("__Host-casemate").expect("a session");
    for attribute in [
        "Path=/",
        "Max-Age=28800",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
    ] {
        assert!(set.split("; ").any(|part| part == attribute), "{set}");
    }
    assert!(!set.contains("ada") && !set.contains("Domain"), "{set}");
    let cookie = signed.cookie("__Host-casemate");
    let status = page(&server, "GET", "/status", &cookie).await;
    assert_eq!(
        (status.status, &status.json()["data"]["user"]),
        (200, &json!("ada"))
    );

    for (wrong, code) in [
        ("cm_none", "invalid_token"),
        ("", "invalid_token"),
        ("cm_app", "invalid_request"),
        ("cm_tools", "insufficient_scope"),
    ] {
        let refused = with_token(&server, wrong).await;
        assert!(refused.set_cookie("__Host-casemate").is_none(), "{wrong}");
        assert_eq!(refused.json()["error"]["code"], code, "{wrong}");
    }
    // The session is as good as the token that it came of.
    file.write(&rows(&[("cm_other", "user = \"other\"")]));
    eventually("the session ended", SOON, async || {
        page(&server, "GET", "/status", &cookie).await.status == 401
    })
    .await;
}

#[tokio::test]
async fn a_session_counts_on_the_pages_routes_and_for_the_page_alone() {
    let file = SettingFile::new(&rows(&[ADA]));
    let server = tokens(&file).start_http().await;
    let cookie = with_token(&server, "cm_ada")
        .await
        .cookie("__Host-casemate");
    let listed = page(&server, "GET", "/files/list", &cookie).await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    assert_eq!(listed.header("cache-control"), "no-store");
    for (method, path) in [
        ("POST", "/v1/exec"),
        ("GET", "/v1/files/list"),
        ("DELETE", "/v1/workspace?confirm=ada"),
        ("POST", "/mcp"),
        ("GET", "/sse"),
        ("POST", "/messages?sessionId=a"),
        ("GET", "/files/../v1/files/list"),
        ("GET", "/filesystem"),
    ] {
        let status = page(&server, method, path, &cookie).await.status;
        let is_there = !["/filesystem", "/files/../v1/files/list"].contains(&path);
        let expected = if is_there { 401 } else { 404 };
        assert_eq!(status, expected, "{method} {path}");
    }
    // From anywhere else, in any way that a browser sends it.
    let cookie = ("cookie", cookie.as_str());
    for (headers, expected) in [
        (&[cookie][..], 401),
        (&[cookie, PAGE[0]], 401),
        (&[cookie, PAGE[1]], 401),
        (&[cookie, PAGE[1], ("sec-fetch-site", "none")], 401),
        (&[cookie, PAGE[1], ("sec-fetch-site", "cross-site")], 403),
        (&[cookie, PAGE[1], ("sec-fetch-site", "same-site")], 403),
        (
            &[cookie, PAGE[0], PAGE[1], ("origin", "https://evil.test")],
            403,
        ),
        (
            &[
                cookie,
                PAGE[0],
                PAGE[1],
                ("authorization", "Bearer cm_none"),
            ],
            401,
        ),
        (&[cookie, PAGE[0], PAGE[1], ("x-casemate-user", "bob")], 403),
        (&[cookie, PAGE[0], PAGE[1], cookie], 401),
    ] {
        let reply = send(&server, "DELETE", "/files/content/a", headers, "").await;
        // With any status, a page of another origin can read nothing of it.
        assert_eq!(
            reply.header("access-control-allow-origin"),
            "",
            "{headers:?}"
        );
        assert_eq!(reply.status, expected, "{headers:?}");
    }
}

/// Also where it may call with a token.
#[tokio::test]
async fn another_origin_can_neither_send_the_pages_header_nor_use_its_session() {
    let file = SettingFile::new(&rows(&[ADA]));
    let server = tokens(&file).start_http().await;
    let listed = tokens(&file)
        .env("CASEMATE_ALLOWED_ORIGINS", "https://app.test")
        .start_http()
        .await;
    let preflight = [
        ("origin", "https://app.test"),
        ("access-control-request-method", "DELETE"),
        ("access-control-request-headers", "x-casemate-page"),
    ];
    let refused = send(&server, "OPTIONS", "/files/content/a", &preflight, "").await;
    assert_eq!(refused.header("access-control-allow-origin"), "");
    assert_eq!(refused.status, 403);
    let said = send(&listed, "OPTIONS", "/files/content/a", &preflight, "").await;
    let sent = said.header("access-control-allow-headers");
    assert!(!sent.contains("x-casemate-page"), "{sent}");
    assert_eq!(said.header("access-control-allow-credentials"), "");

    let cookie = with_token(&listed, "cm_ada")
        .await
        .cookie("__Host-casemate");
    let headers = [
        ("origin", "https://app.test"),
        ("sec-fetch-site", "cross-site"),
        ("cookie", cookie.as_str()),
    ];
    let refused = send(&listed, "GET", "/files/list", &headers, "").await;
    assert_eq!(refused.header("access-control-allow-credentials"), "");
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn only_the_page_signs_in_and_out() {
    let file = SettingFile::new(&rows(&[ADA]));
    let server = tokens(&file).start_http().await;
    let body = json!({ "token": "cm_ada" }).to_string();
    for headers in [
        &[][..],
        &PAGE[..1],
        &PAGE[1..],
        &[PAGE[1], ("sec-fetch-site", "none")],
    ] {
        for path in ["/sign-in", "/sign-out"] {
            let refused = send(&server, "POST", path, headers, &body).await;
            assert_eq!(refused.status, 403, "{path} {headers:?}");
            assert!(refused.set_cookie("__Host-casemate").is_none());
        }
    }
    let out = send(&server, "POST", "/sign-out", &PAGE, "").await;
    let set = out.set_cookie("__Host-casemate").expect("a cookie");
    assert!(
        set.starts_with("__Host-casemate=;") && set.contains("Max-Age=0"),
        "{set}"
    );
}

#[tokio::test]
async fn any_server_with_the_key_reads_a_session_and_no_other_does() {
    let (file, key) = (SettingFile::new(&rows(&[ADA])), SettingFile::new(KEY));
    let keyed = || tokens(&file).env("CASEMATE_SESSION_KEY_FILE", &key.text());
    let (one, two) = (keyed().start_http().await, keyed().start_http().await);
    let other = tokens(&file).start_http().await;
    let cookie = with_token(&one, "cm_ada").await.cookie("__Host-casemate");
    assert_eq!(page(&one, "GET", "/status", &cookie).await.status, 200);
    assert_eq!(page(&two, "GET", "/status", &cookie).await.status, 200);
    assert_eq!(page(&other, "GET", "/status", &cookie).await.status, 401);
    let mut changed = cookie.clone();
    changed.replace_range(60..61, if &cookie[60..61] == "A" { "B" } else { "A" });
    assert_eq!(page(&one, "GET", "/status", &changed).await.status, 401);
    // A new key takes over while the old one still opens, and then alone; nothing is restarted.
    let alone = SettingFile::new(NEW_KEY);
    let newer = tokens(&file).env("CASEMATE_SESSION_KEY_FILE", &alone.text());
    let newer = newer.start_http().await;
    key.write(&format!("{NEW_KEY}\n{KEY}\n"));
    eventually("the new key seals", SOON, async || {
        let new = with_token(&two, "cm_ada").await.cookie("__Host-casemate");
        assert_eq!(page(&two, "GET", "/status", &cookie).await.status, 200);
        page(&newer, "GET", "/status", &new).await.status == 200
    })
    .await;
    key.write(NEW_KEY);
    eventually("the old key is gone", SOON, async || {
        page(&one, "GET", "/status", &cookie).await.status == 401
    })
    .await;
}

/// A deployment for another audience with the same key and the same issuer.
#[tokio::test]
async fn a_session_of_another_audience_counts_for_nothing() {
    let (issuer, key) = (Issuer::start(None).await, SettingFile::new(KEY));
    let keyed = || at(&issuer).env("CASEMATE_SESSION_KEY_FILE", &key.text());
    let (one, two) = (keyed().start_http().await, keyed().start_http().await);
    let other = keyed().env("CASEMATE_JWT_AUDIENCE", "https://staging.example.com/mcp");
    let other = other.start_http().await;
    // One server begins the sign-in, another one ends it.
    let (location, flow) = begin(&one).await;
    let reply = back(&two, &issuer.authorize(&location), &flow).await;
    let cookie = reply.cookie("__Host-casemate");
    assert_eq!(page(&one, "GET", "/status", &cookie).await.status, 200);
    assert_eq!(page(&other, "GET", "/status", &cookie).await.status, 401);
}
