//! Which users can open a preview, with which ticket, and until when.

use super::*;
use crate::harness::{TestServer, docker};
use crate::sharing::session;

const PAGE_PATH: &str = "/.casemate/open";

/// Requests without the cookie of the host, or with a wrong one: what each of them gets.
#[tokio::test]
async fn without_the_cookie_each_request_has_one_and_the_same_404() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let body = preview.get(&server, "/").await;
    assert_eq!(
        (body.status, body.json()["path"].as_str()),
        (200, Some("/"))
    );
    let other_host = format!("aaaaaaaaaaaaaaaa.localhost:{}", server.address.port());
    let (_, token) = parts(&preview.link);
    let cut = &preview.cookie[..preview.cookie.len() - 1];
    let as_cookie = format!("__Host-casemate-preview={token}");
    let twice = format!("{0}; {0}", preview.cookie);
    let mut gone = Vec::new();
    for (host, path, cookie) in [
        (&preview.host, "/", ""),
        (&preview.host, "/secret", ""),
        (&preview.host, "/", cut),
        (&preview.host, "/", &as_cookie),
        (&preview.host, "/", &twice),
        (&other_host, "/", &preview.cookie),
        (&other_host, "/", ""),
        (&preview.host, "/.casemate/unknown", &preview.cookie),
        (&preview.host, "/.casemate", &preview.cookie),
    ] {
        let reply = send(&server, host, "GET", path, &[("cookie", cookie)], "").await;
        gone.push((reply.status, reply.body, format!("{host}{path} {cookie}")));
    }
    for (status, body, what) in &gone {
        assert_eq!((*status, body), (404, &gone[0].1), "{what}");
    }
}

#[tokio::test]
async fn a_program_that_looks_at_a_link_changes_nothing_and_a_person_opens_it_after_that() {
    let (_deployment, server) = server().await;
    start(&server, 8000).await;
    let link = link_of(&server.call("share", json!({ "port": 8000 })).await);
    let (host, token) = parts(&link);
    for method in ["GET", "HEAD", "GET"] {
        let looked = send(&server, &host, method, PAGE_PATH, &[], "").await;
        assert_eq!((looked.status, looked.header("set-cookie")), (200, ""));
        assert_eq!(looked.header("referrer-policy"), "no-referrer");
        assert!(
            looked
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert!(!looked.text().contains(&token));
    }
    // Another origin's page cannot do what ours does.
    for origin in ["https://evil.test", "null", ""] {
        let headers = [("origin", origin), ("content-type", "application/json")];
        let body = json!({ "ticket": token }).to_string();
        let reply = send(&server, &host, "POST", PAGE_PATH, &headers, body).await;
        assert_eq!(
            (reply.status, reply.header("set-cookie")),
            (404, ""),
            "{origin}"
        );
    }
    let reply = exchange(&server, &host, &token).await;
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-casemate-preview="), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
    let age = cookie
        .split("Max-Age=")
        .nth(1)
        .and_then(|rest| rest.split(';').next());
    let age: u64 = age.and_then(|age| age.parse().ok()).expect("an age");
    assert!((3500..=3600).contains(&age), "{age}");
}

/// Cut, of another host, another use, changed in any part.
#[tokio::test]
async fn a_ticket_that_is_not_whole_or_not_of_this_host_opens_nothing() {
    let (_deployment, server) = server().await;
    start(&server, 8000).await;
    let of = async |port: u16| {
        let shared = server.call("share", json!({ "port": port })).await;
        parts(&link_of(&shared))
    };
    let (host, token) = of(8000).await;
    let (other_host, other_token) = of(8001).await;
    assert_ne!(host, other_host);
    let (again, _) = of(8000).await;
    assert_eq!(host, again, "the name is always the same");
    let mut later: Vec<String> = token.split('.').map(str::to_owned).collect();
    later[0] = "9999999999".to_owned();
    let mut port = token.clone();
    port = port.replace(".8000-", ".8001-");
    for (host, ticket) in [
        (&host, other_token.as_str()),
        (&other_host, &token),
        (&host, &token[..token.len() - 1]),
        (&host, &later.join(".")),
        (&host, &port),
        (&host, ""),
        (&host, "x"),
    ] {
        let reply = exchange(&server, host, ticket).await;
        assert_eq!(
            (reply.status, reply.header("set-cookie")),
            (404, ""),
            "{ticket}"
        );
    }
}

/// Tokens, so that a preview is private: its user alone gets a ticket, on the server's own host.
#[tokio::test]
async fn a_private_preview_opens_for_its_user_who_is_signed_in() {
    let deployment = Deployment::new();
    let server = deployment.for_users().start_http().await;
    let ada = |tool: &'static str, arguments: Value| {
        let server = &server;
        async move { crate::sharing::call(server, "ada", tool, arguments).await }
    };
    ada(
        "write_file",
        json!({ "path": "program.py", "content": PROGRAM }),
    )
    .await;
    let run =
        json!({ "command": "python3 program.py 8000", "timeout_seconds": 600, "wait_seconds": 0 });
    ada("shell_exec", run).await;
    let shared = ada("share", json!({ "port": 8000 })).await;
    assert_eq!(shared.field("visibility"), "private");
    let link = link_of(&shared);
    let (host, token) = parts(&link);
    let sent_away = exchange(&server, &host, &token).await;
    assert_eq!(
        (sent_away.status, sent_away.header("set-cookie")),
        (401, "")
    );
    let url = sent_away.json()["sign_in"]
        .as_str()
        .expect("a URL")
        .to_owned();
    let own = format!("http://{}", server.address);
    let path = url
        .strip_prefix(&own)
        .expect("the server's own host")
        .to_owned();

    let navigate = async |cookie: &str| {
        let headers = [
            ("cookie", cookie),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        send(
            &server,
            &server.address.to_string(),
            "GET",
            &path,
            &headers,
            "",
        )
        .await
    };
    // A stranger is asked to sign in, another user finds nothing, and neither has a ticket.
    let stranger = navigate("").await;
    assert_eq!((stranger.status, stranger.header("location")), (403, ""));
    let bob = navigate(&session(&server, "bob").await).await;
    assert_eq!((bob.status, bob.header("location")), (404, ""));
    let owner = navigate(&session(&server, "ada").await).await;
    assert_eq!(owner.status, 303);
    assert_eq!(owner.header("referrer-policy"), "no-referrer");
    let (back, ticket) = parts(owner.header("location"));
    assert_eq!(back, host);
    assert_ne!(ticket, token);
    let opened = exchange(&server, &host, &ticket).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    let cookie = opened
        .header("set-cookie")
        .split(';')
        .next()
        .expect("a cookie");
    let cookie = [("cookie", cookie)];
    let eventually_shown =
        async || send(&server, &host, "GET", "/x", &cookie, "").await.status == 200;
    eventually("it is shown", LISTENING, eventually_shown).await;

    // The session of the page does not count on the host of a preview.
    let session = session(&server, "ada").await;
    let headers = [("cookie", session.as_str())];
    assert_eq!(
        send(&server, &host, "GET", "/x", &headers, "").await.status,
        404
    );
    // The host of a preview has no API, and the server's own host has no preview.
    let token = [("authorization", "Bearer cm_ada")];
    for path in [
        "/mcp",
        "/files/list",
        "/v1/exec",
        "/status",
        "/healthz",
        "/sign-in",
    ] {
        assert_eq!(
            send(&server, &host, "GET", path, &token, "").await.status,
            404,
            "{path}"
        );
    }
    let own_host = server.address.to_string();
    assert_eq!(
        send(&server, &own_host, "GET", "/x", &cookie, "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn an_ended_share_shows_nothing_and_another_key_opens_nothing() {
    let deployment = Deployment::new();
    let start_with = |key: &str, instance: &crate::harness::Instance| {
        TestServer::on(instance)
            .env("XDG_STATE_HOME", &deployment.path("state"))
            .env("CASEMATE_LINK_KEY_FILE", &deployment.path(key))
    };
    let instance = crate::harness::Instance::new();
    let server = start_with("key", &instance).start_http().await;
    let preview = shown(&server, 8000).await;
    assert_eq!(preview.get(&server, "/").await.status, 200);
    let (_, token) = parts(&preview.link);

    let other = start_with("other-key", &instance).start_http().await;
    let host = preview.host.replace(
        &server.address.port().to_string(),
        &other.address.port().to_string(),
    );
    assert_eq!(exchange(&other, &host, &token).await.status, 404);
    let cookie = [("cookie", preview.cookie.as_str())];
    assert_eq!(
        send(&other, &host, "GET", "/", &cookie, "").await.status,
        404
    );
    drop(other);

    let removed = server.shell("rm .casemate/shares/*.json").await;
    assert_eq!(removed.exit_code(), 0);
    assert_eq!(preview.get(&server, "/").await.status, 404);
}

/// The container is gone: nothing starts another, and a new share leads to the new one, at the same
/// host.
#[tokio::test]
async fn a_preview_ends_with_its_container_and_starts_none() {
    let deployment = Deployment::new();
    let server = deployment.alone().env("CASEMATE_WARM", "off");
    let server = server.start_http().await;
    let preview = shown(&server, 8000).await;
    assert_eq!(preview.get(&server, "/").await.status, 200);
    docker::quietly(&["rm", "--force", &server.instance.container()]);
    let gone = async || server.instance.containers().is_empty();
    eventually("it is gone", LISTENING, gone).await;
    // The Engine may tell the server later than the test.
    let says_so = async || preview.get(&server, "/").await.status == 502;
    eventually("it says so", LISTENING, says_so).await;
    let ended = preview.get(&server, "/").await;
    assert!(
        ended.text().contains("The application has ended"),
        "{}",
        ended.text()
    );
    assert!(
        !ended.text().contains("wait.js"),
        "it does not reload itself"
    );
    // Nor does the link.
    let (host, token) = parts(&preview.link);
    assert_eq!(exchange(&server, &host, &token).await.status, 200);
    assert!(
        server.instance.containers().is_empty(),
        "something started a container"
    );

    start(&server, 8000).await;
    assert_eq!(
        preview.get(&server, "/").await.status,
        502,
        "of the old container"
    );
    let again = opened(
        &server,
        &link_of(&server.call("share", json!({ "port": 8000 })).await),
    )
    .await;
    assert_eq!(again.host, preview.host);
    assert_eq!(again.get(&server, "/").await.status, 200);
}

#[tokio::test]
async fn a_port_that_cannot_be_shared_is_refused_with_a_reason() {
    let (deployment, server) = server().await;
    for (arguments, said) in [
        (json!({ "port": 53 }), "not 53"),
        (json!({ "port": 0 }), "1 to 65535"),
        (json!({ "port": 8000, "path": "a" }), "one of the two"),
        (
            json!({ "port": 8000, "expires_in_seconds": 28_801 }),
            "28800",
        ),
    ] {
        let refused = server.call("share", arguments).await;
        assert!(
            refused.is_error() && refused.text().contains(said),
            "{refused:?}"
        );
    }
    // Nothing listens yet: it is shared, and says so.
    let shared = server.call("share", json!({ "port": 8000 })).await;
    assert!(
        shared.text().contains("nothing listens on port 8000 yet"),
        "{shared:?}"
    );
    let preview = opened(&server, &link_of(&shared)).await;
    let waiting = preview.get(&server, "/").await;
    assert_eq!(waiting.status, 502);
    assert!(waiting.text().contains("Nothing listens on port 8000 yet"));
    assert!(waiting.text().contains("wait.js"), "it reloads itself");

    let stdio = TestServer::new().start().await;
    let refused = stdio.call("share", json!({ "port": 8000 })).await;
    assert!(
        refused.is_error() && refused.text().contains("CASEMATE_PREVIEW_DOMAIN"),
        "{refused:?}"
    );
    let elsewhere = deployment
        .alone()
        .env("CASEMATE_PUBLIC_URL", "https://casemate.example.com")
        .start_http()
        .await;
    let refused = elsewhere.call("share", json!({ "port": 8000 })).await;
    assert!(
        refused.is_error() && refused.text().contains("CASEMATE_PREVIEW_DOMAIN"),
        "{refused:?}"
    );
    let ephemeral = deployment
        .alone()
        .mode(casemate::config::Mode::Ephemeral)
        .start_http()
        .await;
    let refused = ephemeral.call("share", json!({ "port": 8000 })).await;
    assert!(
        refused.is_error() && refused.text().contains("in this mode"),
        "{refused:?}"
    );
}
