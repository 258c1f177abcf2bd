//! Claims and types of tokens that are accepted or refused.

use super::*;

/// Claims that are refused, and a part of the reason that the challenge gives.
fn bad_claims() -> Vec<(Value, &'static str)> {
    vec![
        (
            with("aud", json!("https://mcp.example.com")),
            "another audience",
        ),
        (
            with("aud", json!(format!("{AUDIENCE}/"))),
            "another audience",
        ),
        (with("aud", json!([])), "another audience"),
        (
            with("aud", json!(["https://other.example.com"])),
            "another audience",
        ),
        (with("aud", json!(null)), "lacks one of"),
        (with("aud", json!({ "a": AUDIENCE })), "lacks one of"),
        (
            with("iss", json!("https://evil.example.com")),
            "another issuer",
        ),
        (with("iss", json!(format!("{ISSUER}/"))), "another issuer"),
        (with("iss", json!([ISSUER])), "malformed"),
        (with("iss", json!(null)), "malformed"),
        (with("exp", json!(at(-90))), "expired"),
        (with("exp", json!(0)), "expired"),
        (with("exp", json!(null)), "lacks one of"),
        (with("exp", json!("tomorrow")), "lacks one of"),
        (with("exp", json!(-1)), "lacks one of"),
        (with("nbf", json!(at(90))), "not valid yet"),
        (with("nbf", json!("now")), "malformed"),
        (with("sub", json!(null)), "malformed"),
        (with("sub", json!("")), "sub cannot be a user"),
        (with("sub", json!(" ")), "sub cannot be a user"),
        (with("sub", json!("a\nb")), "sub cannot be a user"),
        (with("sub", json!(7)), "malformed"),
        (
            with("sub", json!("a".repeat(2_000))),
            "sub cannot be a user",
        ),
        (with("scope", json!(["tools"])), "malformed"),
        (with("scp", json!({ "tools": true })), "malformed"),
    ]
}

#[tokio::test]
async fn every_claim_of_a_token_must_hold() {
    let issued = Issued::new().await;
    for good in [
        with("aud", json!(["https://other.example.com", AUDIENCE])),
        with("nbf", json!(at(-10))),
        // Clocks differ.
        with("exp", json!(at(-30))),
        with("nbf", json!(at(30))),
        with("scope", json!("openid tools")),
        with("admin", json!(true)),
    ] {
        let (status, challenge) = issued.claiming(&good).await;
        assert_eq!(status, 200, "{good}: {challenge}");
    }
    for (bad, reason) in bad_claims() {
        let (status, challenge) = issued.claiming(&bad).await;
        assert_eq!(status, 401, "{bad}");
        assert!(challenge.contains(reason), "{bad}: {challenge}");
    }
}

#[tokio::test]
async fn other_tokens_that_the_issuer_signs_open_nothing() {
    let issued = Issued::new().await;
    let signed = |typ: &Value, claims: &Value| {
        let mut head = json!({ "alg": "RS256", "kid": "RS256", "typ": typ });
        if typ.is_null() {
            head.as_object_mut().expect("an object").remove("typ");
        }
        issued.rsa().sign(&head, claims)
    };
    for (typ, reason) in [
        (json!("dpop+jwt"), "its type"),
        (json!("logout+jwt"), "its type"),
        (json!("secevent+jwt"), "its type"),
        (json!("JOSE"), "its type"),
        (json!(""), "its type"),
        (json!(["at+jwt"]), "malformed"),
    ] {
        let (status, challenge) = issued.status(&signed(&typ, &claims())).await;
        assert_eq!(status, 401, "{typ}");
        assert!(challenge.contains(reason), "{typ}: {challenge}");
    }
    let bound = with(
        "cnf",
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
    );
    for (typ, access) in [
        (json!("at+jwt"), true),
        (json!("application/AT+JWT"), true),
        (json!("JWT"), false),
        (json!("jwt"), false),
        (Value::Null, false),
    ] {
        let token = signed(&typ, &claims());
        assert_eq!(issued.status(&token).await.0, 200, "{typ}");
        let (status, challenge) = issued.status(&signed(&typ, &bound)).await;
        assert_eq!(status, 401, "{typ}");
        assert!(challenge.contains("bound to a key"), "{typ}: {challenge}");
        for (mark, value) in [
            ("nonce", json!("n")),
            ("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")),
            ("c_hash", json!("LDktKdoQak3Pk0cnXxCltA")),
            ("events", json!({})),
            ("typ", json!("ID")),
            ("token_use", json!("id")),
        ] {
            let (status, challenge) = issued.status(&signed(&typ, &with(mark, value))).await;
            assert_eq!(status == 200, access, "{typ} {mark}: {challenge}");
            assert!(
                access || challenge.contains("no access token"),
                "{challenge}"
            );
        }
    }
}

#[tokio::test]
async fn scp_is_a_scope_too() {
    let issued = Issued::new().await;
    for (scp, good) in [
        (json!("tools"), true),
        (json!("openid tools"), true),
        (json!(["files", "tools"]), true),
        (json!("files"), false),
        (json!(["files"]), false),
        (json!([]), false),
        (json!(""), false),
        (json!(["tools files"]), false),
    ] {
        let mut claims = with("scp", scp.clone());
        let (status, challenge) = issued.claiming(&claims).await;
        assert_eq!(status, if good { 200 } else { 403 }, "{scp}: {challenge}");
        // One claim does not widen the other.
        claims["scope"] = json!("files");
        assert_eq!(issued.claiming(&claims).await.0, 403, "{claims}");
        claims["scope"] = json!("tools");
        assert_eq!(issued.claiming(&claims).await.0 == 200, good, "{claims}");
    }
}

#[tokio::test]
async fn a_token_of_16_kb_is_refused_and_the_next_request_served() {
    let issued = Issued::new().await;
    let long = with("groups", json!("a".repeat(12 * 1024)));
    let (status, challenge) = issued.claiming(&long).await;
    assert_eq!(status, 401);
    assert!(challenge.contains("too long"), "{challenge}");
    assert_eq!(issued.claiming(&claims()).await.0, 200);
}
