//! The issuer's answers: those of another sign-in, and those with a wrong part.

use super::*;
use crate::http_auth::oidc_issuer::{CLIENT, Changes, Issuer, at};

/// An answer that anybody can make up: the sign-in of the cookie goes on.
fn not_this_one(reply: &Reply, said: &str) {
    refused(reply, 400, said);
    let unchanged = reply.headers.get("set-cookie").is_none();
    assert!(unchanged, "{:?}", reply.headers);
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
    // Now it is used up: a thief of the address and the cookie comes too late.
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
        assert!(reply.text().contains(said), "{shown}: {}", reply.text());
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
