//! Sign-in on the page: sessions, and how they begin and end.

use hyper::header::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::oidc_issuer::{AUDIENCE, CLIENT, Changes, Issuer, PUBLIC_URL, at};
use super::*;

/// What the page's own requests have, as a browser sends them.
const PAGE: [(&str, &str); 2] = [("sec-fetch-site", "same-origin"), ("x-casemate-page", "1")];

/// A way to a page, by a link or an address.
const NAVIGATION: [(&str, &str); 2] = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
];

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const NEW_KEY: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// `Set-Cookie` of this name, as it came.
    fn set_cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all("set-cookie").iter();
        let mut all = all.map(|value| value.to_str().expect("ASCII"));
        all.find(|text| text.starts_with(&format!("{name}=")))
    }

    /// The cookie of this name, as a browser sends it back.
    fn cookie(&self, name: &str) -> String {
        let set = self
            .set_cookie(name)
            .unwrap_or_else(|| panic!("{name}: {}", self.text));
        set.split(';').next().expect("a pair").to_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

async fn send(
    server: &HttpServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = server.request(method, path);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = server.send(request, body.to_owned()).await;
    Reply {
        status: answer.status().as_u16(),
        headers: std::mem::take(answer.response.headers_mut()),
        text: answer.text().await,
    }
}

/// A request of the page with this cookie.
async fn page(server: &HttpServer, method: &str, path: &str, cookie: &str) -> Reply {
    let headers = [PAGE[0], PAGE[1], ("cookie", cookie)];
    send(server, method, path, &headers, "").await
}

/// Signs in with a token, as the page does.
async fn with_token(server: &HttpServer, token: &str) -> Reply {
    let body = json!({ "token": token }).to_string();
    send(server, "POST", "/sign-in", &PAGE, &body).await
}

fn rows(rows: &[(&str, &str)]) -> String {
    let row = |(token, holder): &(&str, &str)| {
        let digest: String = Sha256::digest(token)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("[[tokens]]\nname = \"{token}\"\nsha256 = \"{digest}\"\n{holder}\n")
    };
    rows.iter().map(row).collect()
}

fn tokens(file: &SettingFile) -> TestServer {
    TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &file.text())
}

const ADA: (&str, &str) = ("cm_ada", "user = \"ada\"");

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
    assert_eq!(signed.status, 200, "{}", signed.text);
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
    assert_eq!(listed.status, 200, "{}", listed.text);
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
        let status = send(&server, "DELETE", "/files/content/a", headers, "")
            .await
            .status;
        assert_eq!(status, expected, "{headers:?}");
    }
    // Another origin that may call with a token of its own may not send the page's header.
    let listed = tokens(&file)
        .env("CASEMATE_ALLOWED_ORIGINS", "https://app.test")
        .start_http()
        .await;
    let preflight = [
        ("origin", "https://app.test"),
        ("access-control-request-method", "DELETE"),
        ("access-control-request-headers", "x-casemate-page"),
    ];
    let said = send(&listed, "OPTIONS", "/files/content/a", &preflight, "").await;
    assert!(
        !said
            .header("access-control-allow-headers")
            .contains("x-casemate-page")
    );
    assert_eq!(said.header("access-control-allow-credentials"), "");
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

/// The way to the issuer: where it is, and the cookie.
async fn begin(server: &HttpServer) -> (String, String) {
    let started = send(
        server,
        "GET",
        "/sign-in/start",
        &[("sec-fetch-site", "same-origin")],
        "",
    )
    .await;
    assert_eq!(started.status, 303, "{}", started.text);
    let set = started
        .set_cookie("__Host-casemate-sign-in")
        .expect("a cookie");
    assert!(
        set.contains("Max-Age=600") && set.contains("HttpOnly") && set.contains("SameSite=Lax")
    );
    (
        started.header("location").to_owned(),
        started.cookie("__Host-casemate-sign-in"),
    )
}

/// The way back, with this cookie.
async fn back(server: &HttpServer, url: &str, cookie: &str) -> Reply {
    let path = url.strip_prefix(PUBLIC_URL).expect("the page's address");
    let headers = [NAVIGATION[0], NAVIGATION[1], ("cookie", cookie)];
    send(server, "GET", path, &headers, "").await
}

fn refused(reply: &Reply, status: u16, said: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert!(reply.text.contains(said), "{}", reply.text);
    assert!(reply.set_cookie("__Host-casemate").is_none());
    assert!(reply.header("content-type").starts_with("text/plain"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
}

/// The sign-in of the cookie is over.
fn over(reply: &Reply) {
    let over = reply.set_cookie("__Host-casemate-sign-in");
    let over = over.expect("a cookie");
    assert!(over.contains("Max-Age=0"), "{over}");
}

/// An answer that anybody can make up: the sign-in of the cookie goes on.
fn not_this_one(reply: &Reply, said: &str) {
    refused(reply, 400, said);
    let unchanged = reply.headers.get("set-cookie").is_none();
    assert!(unchanged, "{:?}", reply.headers);
}

#[tokio::test]
async fn a_person_signs_in_at_the_issuer_and_is_who_the_access_token_says() {
    for secret in [None, Some("s3cret")] {
        let issuer = Issuer::start(secret).await;
        let file = SettingFile::new("s3cret\n");
        let server = match secret {
            Some(_) => at(&issuer).env("CASEMATE_OIDC_CLIENT_SECRET_FILE", &file.text()),
            None => at(&issuer),
        };
        let server = server.start_http().await;
        assert_eq!(
            send(&server, "GET", "/sign-in", &[], "").await.json()["data"]["method"],
            "issuer"
        );
        let (location, flow) = begin(&server).await;
        let reply = back(&server, &issuer.authorize(&location), &flow).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (303, "/"),
            "{}",
            reply.text
        );
        let cookie = reply.cookie("__Host-casemate");
        let status = page(&server, "GET", "/status", &cookie).await.json();
        assert_eq!(status["data"]["user"], "alice", "{status}");
        assert_eq!(status["data"]["issuer"], issuer.url());
        // The same user as with the token itself.
        let bearer = format!("Bearer {}", issuer.access_token("alice"));
        let direct = send(&server, "GET", "/status", &[("authorization", &bearer)], "").await;
        assert_eq!(direct.json()["data"]["user"], "alice");
    }
}

#[tokio::test]
async fn an_answer_to_another_sign_in_signs_nobody_in() {
    let issuer = Issuer::start(None).await;
    let server = at(&issuer).start_http().await;
    let (location, flow) = begin(&server).await;
    let (_, other) = begin(&server).await;
    let url = issuer.authorize(&location);
    not_this_one(&back(&server, &url, &other).await, "another sign-in");
    not_this_one(&back(&server, &url, "a=b").await, "not begun");
    let forged = url.replace("state=", "state=x");
    not_this_one(&back(&server, &forged, &flow).await, "another sign-in");
    let twice = format!("{url}&state=a");
    not_this_one(&back(&server, &twice, &flow).await, "another sign-in");
    // A session is no sign-in, and a sign-in no session.
    let as_session = flow.replace("__Host-casemate-sign-in", "__Host-casemate");
    assert_eq!(
        page(&server, "GET", "/status", &as_session).await.status,
        401
    );
    // Nothing of this used the code up.
    assert_eq!(back(&server, &url, &flow).await.status, 303);
    // Now it is: who has the address and the cookie comes too late.
    let late = back(&server, &url, &flow).await;
    refused(&late, 400, "did not accept the code");
    over(&late);
    let denied = "http://127.0.0.1:1/sign-in/callback?error=access_denied&state=a";
    not_this_one(&back(&server, denied, &flow).await, "another sign-in");
    // What the issuer itself says of this sign-in counts.
    let (base, query) = url.split_once("?code=").expect("a code");
    let (_, rest) = query.split_once('&').expect("a state");
    let denied = format!("{base}?error=access_denied&{rest}");
    let denied = back(&server, &denied, &flow).await;
    refused(&denied, 400, "refused: access_denied");
    over(&denied);
}

#[tokio::test]
async fn every_part_of_the_issuers_answer_is_checked() {
    let issuer = Issuer::start(None).await;
    let server = at(&issuer).start_http().await;
    let access = |name, value| Changes {
        access: vec![(name, value)],
        ..Changes::default()
    };
    let id = |name, value| Changes {
        id: vec![(name, value)],
        ..Changes::default()
    };
    let iss = |iss: &str| Changes {
        iss: Some(iss.to_owned()),
        ..Changes::default()
    };
    for (changes, said) in [
        (id("nonce", json!("another")), "another sign-in"),
        (id("nonce", Value::Null), "malformed"),
        (id("aud", json!("another-client")), "another audience"),
        (id("azp", json!("another-client")), "another client"),
        (
            id("aud", json!([CLIENT, "another-client"])),
            "another client",
        ),
        (id("aud", json!([])), "another audience"),
        (id("iss", json!("https://evil.test")), "another issuer"),
        (id("sub", json!("bob")), "another subject"),
        (id("exp", json!(1)), "expired"),
        (
            Changes {
                without_id_token: true,
                ..Changes::default()
            },
            "malformed",
        ),
        (access("aud", json!(CLIENT)), "another audience"),
        (
            access("aud", json!("https://other.example.com/mcp")),
            "another audience",
        ),
        (access("iss", json!("https://evil.test")), "another issuer"),
        (access("exp", json!(1)), "expired"),
        (access("scope", json!("openid tools")), "scope files"),
        (iss("https://evil.test"), "another issuer"),
        (iss(""), "another issuer"),
    ] {
        let shown = format!("{changes:?}");
        issuer.changes(changes);
        let (location, flow) = begin(&server).await;
        let reply = back(&server, &issuer.authorize(&location), &flow).await;
        assert!(reply.text.contains(said), "{shown}: {}", reply.text);
        refused(&reply, 400, said);
        over(&reply);
    }
    issuer.changes(Changes::default());
    let (location, flow) = begin(&server).await;
    assert_eq!(
        back(&server, &issuer.authorize(&location), &flow)
            .await
            .status,
        303
    );
}

#[tokio::test]
async fn no_part_of_a_credential_is_in_the_log() {
    let secret = SettingFile::new("s3cretOfTheClient");
    let issuer = Issuer::start(Some("s3cretOfTheClient")).await;
    let server = at(&issuer).env("CASEMATE_OIDC_CLIENT_SECRET_FILE", &secret.text());
    let (mut server, log) = logged(server).await;
    let mut secrets = vec!["s3cret".to_owned()];
    let mut known = |url: &str, cookie: &str| {
        let (_, query) = url.split_once('?').expect("a query");
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').expect("a pair");
            if ["code", "state", "nonce"].contains(&name) {
                secrets.push(value.to_owned());
            }
        }
        let (_, value) = cookie.split_once('=').expect("a pair");
        secrets.push(value[20..60].to_owned());
    };
    for (changes, status) in [
        (Changes::default(), 303),
        // What cannot be read is not quoted.
        (
            Changes {
                bare: true,
                ..Changes::default()
            },
            503,
        ),
        (
            Changes {
                token_type: Some("DPoP"),
                ..Changes::default()
            },
            503,
        ),
        (
            Changes {
                id: vec![("nonce", json!("another"))],
                ..Changes::default()
            },
            400,
        ),
    ] {
        let shown = format!("{changes:?}");
        issuer.changes(changes);
        let (location, flow) = begin(&server).await;
        let url = issuer.authorize(&location);
        known(&url, &flow);
        known(&location, &flow);
        let reply = back(&server, &url, &flow).await;
        assert_eq!(reply.status, status, "{shown}: {}", reply.text);
        if status == 303 {
            let cookie = reply.cookie("__Host-casemate");
            known(&url, &cookie);
            assert_eq!(page(&server, "GET", "/status", &cookie).await.status, 200);
            let other = page(&server, "GET", "/v1/files/list", &cookie).await;
            assert_eq!(other.status, 401);
        }
    }
    server.signal("TERM");
    server.wait().await;
    let log = fs::read_to_string(log.path()).expect("a log");
    assert!(
        log.contains("TRACE") && log.contains("a sign-in was refused"),
        "{log}"
    );
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret}");
    }
    // The head of each token that this issuer signs.
    assert!(!log.contains("eyJ"), "{log}");
}

#[test]
fn a_key_or_secret_that_is_none_is_refused_at_the_start_and_not_shown() {
    let tokens = SettingFile::new(&rows(&[ADA]));
    let short = SettingFile::new("c2hvcnQta2V5LXNob3J0LWtleQ==");
    let empty = SettingFile::new("\n");
    let tokens = tokens.text();
    let tokens = [
        ("CASEMATE_AUTH", "tokens"),
        ("CASEMATE_TOKENS_FILE", &tokens),
    ];
    let oidc = [
        ("CASEMATE_AUTH", "jwt"),
        ("CASEMATE_JWT_ISSUER", "https://id.test"),
        ("CASEMATE_JWT_AUDIENCE", AUDIENCE),
        ("CASEMATE_JWT_JWKS", "https://id.test/keys"),
        ("CASEMATE_OIDC_CLIENT_ID", CLIENT),
        ("CASEMATE_PUBLIC_URL", "https://a.test"),
    ];
    let (short, empty) = (short.text(), empty.text());
    for (variables, file, said) in [
        (
            &tokens[..],
            ("CASEMATE_SESSION_KEY_FILE", &short),
            "32 bytes in base64",
        ),
        (
            &tokens[..],
            ("CASEMATE_SESSION_KEY_FILE", &empty),
            "32 bytes in base64",
        ),
        (
            &oidc[..],
            ("CASEMATE_OIDC_CLIENT_SECRET_FILE", &empty),
            "the client's secret",
        ),
    ] {
        let variables = [variables, &[(file.0, file.1.as_str())]].concat();
        let (code, _, errors) = casemate(&["serve", "--http", "127.0.0.1:0"], &variables);
        assert_eq!(code, Some(1), "{errors}");
        assert!(
            errors.contains(said) && errors.contains(file.1.as_str()),
            "{errors}"
        );
        assert!(
            !errors.contains("c2hvcnQ") && !errors.contains("listening"),
            "{errors}"
        );
    }
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

#[tokio::test]
async fn without_an_issuer_that_answers_nobody_is_sent_anywhere() {
    let issuer = Issuer::start(None).await;
    let server = at(&issuer)
        .env("CASEMATE_JWT_ISSUER", "http://127.0.0.1:9")
        .start_http()
        .await;
    let started = send(&server, "GET", "/sign-in/start", &[], "").await;
    assert_eq!(started.status, 503, "{}", started.text);
    assert_eq!(started.header("location"), "");
    let file = SettingFile::new(&rows(&[ADA]));
    let server = tokens(&file).start_http().await;
    assert_eq!(
        send(&server, "GET", "/sign-in/start", &[], "").await.status,
        404
    );
    // The way back is open to links, and to nothing else of another site.
    let picture = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
    ];
    let loaded = send(&server, "GET", "/sign-in/callback", &picture, "").await;
    assert_eq!(loaded.status, 403);
}
