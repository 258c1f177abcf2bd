//! What an application gets of a request, and a browser of its answer.

use super::*;
use crate::sharing::Deployment;

/// What the program says that it got, by name.
fn seen(reply: &Reply) -> Vec<(String, String)> {
    let headers = reply.json()["headers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    headers
        .iter()
        .map(|pair| (text(&pair[0]), text(&pair[1])))
        .collect()
}

fn value<'a>(seen: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = seen.iter().filter(|(known, _)| known == name);
    let value = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} twice: {seen:?}");
    value
}

#[tokio::test]
async fn an_application_believes_that_a_browser_on_its_machine_calls_it() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let referer = format!("{}/page?x", preview.origin());
    let headers = [
        ("origin", preview.origin()),
        ("referer", referer),
        ("sec-fetch-site", "same-origin".to_owned()),
        ("x-forwarded-for", "192.0.2.1".to_owned()),
        ("x-casemate-user", "bob".to_owned()),
        ("authorization", "Bearer of-the-application".to_owned()),
        ("accept-language", "de".to_owned()),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let reply = preview
        .send(&server, "POST", "/a?b=c%20d", &headers, "x=1")
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["path"], "/a?b=c%20d");
    let seen = seen(&reply);
    for (name, wanted) in [
        ("host", Some("localhost:8000")),
        ("origin", Some("http://localhost:8000")),
        ("referer", Some("http://localhost:8000/page?x")),
        ("x-forwarded-host", Some(preview.host.as_str())),
        ("x-forwarded-proto", Some("http")),
        ("authorization", Some("Bearer of-the-application")),
        ("accept-language", Some("de")),
        ("content-length", Some("3")),
        ("x-forwarded-for", None),
        ("x-casemate-user", None),
        // That of the preview was the only one.
        ("cookie", None),
    ] {
        assert_eq!(value(&seen, name), wanted, "{name}: {seen:?}");
    }
}

#[tokio::test]
async fn an_answer_stays_on_the_host_of_the_preview() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    let redirect = preview.get(&server, "/redirect").await;
    let there = format!("{}/there?a=b#c", preview.origin());
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (302, there.as_str())
    );
    let cookies = preview.get(&server, "/cookies").await;
    let set: Vec<_> = cookies.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, ["a=1; Path=/"]);
    assert_eq!(cookies.header("clear-site-data"), "");
    assert_eq!(
        cookies.header("content-security-policy"),
        "frame-ancestors 'self'"
    );
    assert_eq!(cookies.header("x-robots-tag"), "noindex, noarchive");
    assert_eq!(
        cookies.header("cross-origin-resource-policy"),
        "same-origin"
    );
}

/// What a page of another preview does to this one: it is the same site for browsers.
#[tokio::test]
async fn a_page_of_another_preview_reaches_nothing_and_its_cookies_do_no_harm() {
    let (_deployment, server) = server().await;
    let preview = shown(&server, 8000).await;
    start(&server, 8001).await;
    let shared = server.call("share", json!({ "port": 8001 })).await;
    let other = opened(&server, &link_of(&shared)).await;
    let origin = other.origin();
    for headers in [
        &[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "no-cors"),
        ][..],
        &[("origin", origin.as_str()), ("sec-fetch-site", "same-site")],
        &[("origin", "null")],
    ] {
        let reply = preview.send(&server, "POST", "/", headers, "").await;
        assert_eq!(reply.status, 404, "{headers:?}");
    }
    let followed = [
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(
        preview
            .send(&server, "GET", "/", &followed, "")
            .await
            .status,
        200
    );

    // Cookies that the other page has set for the whole domain come with those of this host.
    let both = |more: &str| format!("{}; {more}", preview.cookie);
    let get = async |cookies: &str| {
        send(
            &server,
            &preview.host,
            "GET",
            "/",
            &[("cookie", cookies)],
            "",
        )
        .await
    };
    // One cannot stand for the preview's own: a browser refuses the name, and two of one name are refused.
    assert_eq!(get(&both(&other.cookie)).await.status, 404);
    let tossed = get(&both("session=tossed")).await;
    assert_eq!(value(&seen(&tossed), "cookie"), Some("session=tossed"));
    let long = get(&both(&format!("a={}", "x".repeat(9000)))).await;
    assert_eq!((long.status, value(&seen(&long), "cookie")), (200, None));
    // Only these cookies are deleted, not those of other hosts below the registered domain.
    assert_eq!(long.header("clear-site-data"), "");
    assert_eq!(long.header("set-cookie"), "a=; Path=/; Max-Age=0");
}

#[tokio::test]
async fn a_token_of_this_deployment_reaches_no_application_and_is_recorded() {
    let deployment = Deployment::new();
    let audit = deployment.path("audit");
    let server = deployment
        .for_users()
        .env("CASEMATE_SHARE_LINKS", "on")
        .env("CASEMATE_AUDIT", &audit)
        .start_http()
        .await;
    let ada = async |tool: &str, arguments: Value| {
        crate::sharing::call(&server, "ada", tool, arguments).await
    };
    ada(
        "write_file",
        json!({ "path": "program.py", "content": PROGRAM }),
    )
    .await;
    let run =
        json!({ "command": "python3 program.py 8000", "timeout_seconds": 600, "wait_seconds": 0 });
    ada("shell_exec", run).await;
    let preview = opened(
        &server,
        &link_of(&ada("share", json!({ "port": 8000 })).await),
    )
    .await;
    let get = async |token: &str| {
        let token = format!("Bearer {token}");
        preview
            .send(&server, "GET", "/", &[("authorization", &token)], "")
            .await
    };
    let shown = async || get("of-the-application").await.status == 200;
    eventually("it is shown", LISTENING, shown).await;
    for token in ["cm_ada", "cm_bob"] {
        let stopped = get(token).await;
        assert_eq!(stopped.status, 400, "{stopped:?}");
        assert!(!stopped.text().contains(token));
    }
    let records = async || {
        let files = std::fs::read_dir(&audit).expect("a directory");
        let text = files.map(|file| std::fs::read_to_string(file.expect("a file").path()));
        text.map(|text| text.expect("text")).collect::<String>()
    };
    let is_recorded = async || {
        let records = records().await;
        let refused = records
            .matches("\"outcome\":\"credential_refused\"")
            .count();
        refused == 2 && records.contains("\"kind\":\"preview\"")
    };
    eventually("it is recorded", LISTENING, is_recorded).await;
    let records = records().await;
    let line = records.lines().find(|line| {
        line.contains("\"kind\":\"preview\"") && line.contains("\"outcome\":\"http_200\"")
    });
    let line: Value = serde_json::from_str(line.expect("a request")).expect("JSON");
    assert_eq!(
        (&line["port"], &line["user"]["subject"]),
        (&json!(8000), &json!("ada"))
    );
    for bytes in ["sent_bytes", "received_bytes"] {
        assert!(
            line[bytes].as_u64().is_some_and(|bytes| bytes > 50),
            "{line}"
        );
    }
    let (_, token) = parts(&preview.link);
    let signature = token.rsplit('.').next().expect("a signature");
    let cookie = preview.cookie.rsplit('.').next().expect("a signature");
    for secret in [signature, cookie, "cm_ada", "of-the-application"] {
        assert!(!records.contains(secret), "the audit has {secret}");
    }
}

/// Traced as far as the server can, with the content of calls in the audit.
#[tokio::test]
async fn no_log_and_no_metric_has_a_ticket() {
    let deployment = Deployment::new();
    let log = deployment.path("log");
    let (audit, log_path) = (deployment.path("audit"), std::path::PathBuf::from(&log));
    let server = deployment
        .alone()
        .env("CASEMATE_LOG", "trace,rmcp=off")
        .env("CASEMATE_AUDIT", &audit)
        .env("CASEMATE_AUDIT_CONTENT", "on")
        .flag("--admin", "127.0.0.1:0")
        .log_to(&log_path)
        .start_http()
        .await;
    let preview = shown(&server, 8000).await;
    assert_eq!(preview.get(&server, "/").await.status, 200);
    let (_, token) = parts(&preview.link);
    let name = preview.host.split('.').next().expect("a name");
    let path = format!("/p/{name}.{token}");
    let own = server.address.to_string();
    let given = send(&server, &own, "GET", &path, &[], "").await;
    assert_eq!(given.status, 303);
    let embedded = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
    ];
    assert_eq!(
        send(&server, &own, "GET", &path, &embedded, "")
            .await
            .status,
        403
    );
    let (_, ticket) = parts(given.header("location"));
    let metrics = server.metrics().await;
    let line = "casemate_preview_requests_total{outcome=\"answered\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    let log = std::fs::read_to_string(&log).expect("a log");
    let records: String = std::fs::read_dir(&audit)
        .expect("a directory")
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text"))
        .collect();
    assert!(log.contains("DEBUG"), "the log is there");
    for secret in [&token, &ticket, &preview.cookie] {
        let signature = secret.rsplit('.').next().expect("a signature");
        for (what, text) in [("log", &log), ("audit", &records), ("metrics", &metrics)] {
            assert!(!text.contains(signature), "the {what} has {secret}");
        }
    }
}
