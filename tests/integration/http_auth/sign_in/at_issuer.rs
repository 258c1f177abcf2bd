//! The way to the issuer and back.

use super::*;
use crate::http_auth::oidc_issuer::{Changes, Issuer, at, form};

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
            reply.text()
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
async fn without_an_issuer_that_answers_nobody_is_sent_anywhere() {
    let issuer = Issuer::start(None).await;
    let server = at(&issuer)
        .env("CASEMATE_JWT_ISSUER", "http://127.0.0.1:9")
        .start_http()
        .await;
    let started = send(&server, "GET", "/sign-in/start", &[], "").await;
    assert_eq!(started.status, 503, "{}", started.text());
    assert_eq!(started.header("retry-after"), "10");
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

#[tokio::test]
async fn the_issuer_is_asked_for_the_scopes_of_the_setting() {
    let issuer = Issuer::start(None).await;
    let given = "api://casemate/tools api://casemate/files";
    for (server, scope) in [
        (at(&issuer), "openid tools files".to_owned()),
        (
            at(&issuer).env("CASEMATE_OIDC_SCOPES", given),
            format!("openid {given}"),
        ),
    ] {
        let server = server.start_http().await;
        let (location, flow) = begin(&server).await;
        let (_, query) = location.split_once('?').expect("a query");
        assert_eq!(form(query)["scope"], scope);
        let reply = back(&server, &issuer.authorize(&location), &flow).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
    }
}

/// The person cannot help it, and who waits as long as told is signed in.
#[tokio::test]
async fn a_sign_in_without_the_issuers_keys_is_one_to_try_again() {
    let issuer = Issuer::start(None).await;
    let server = at(&issuer).start_http().await;
    issuer.changes(Changes {
        without_keys: true,
        ..Changes::default()
    });
    let (location, flow) = begin(&server).await;
    let reply = back(&server, &issuer.authorize(&location), &flow).await;
    refused(&reply, 503, "keys cannot be fetched now");
    over(&reply);
    let seconds = reply.header("retry-after").parse().expect("seconds");
    issuer.changes(Changes::default());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (location, flow) = begin(&server).await;
    let reply = back(&server, &issuer.authorize(&location), &flow).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
}
