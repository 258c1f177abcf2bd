//! Access tokens that were made without a key of the issuer.

use super::jwt::{Issued, claims, with};
use super::key::{self, Key, base64};
use super::*;

/// A head as the issuer writes it, with another algorithm.
fn head(algorithm: &str) -> Value {
    json!({ "alg": algorithm, "kid": "RS256" })
}

/// A good token with its signature cut, and texts that are no token.
fn misshapen(good: &str) -> Vec<String> {
    let (message, signature) = good.rsplit_once('.').expect("a signature");
    let cut = [
        "",
        &signature[1..],
        &signature[..signature.len() - 4],
        "AAAA",
    ]
    .map(|signature| format!("{message}.{signature}"));
    let shapes = [
        ".",
        "..",
        "...",
        "a.b.c",
        message,
        &format!("{good}.{good}"),
    ]
    .map(str::to_owned);
    cut.into_iter().chain(shapes).collect()
}

/// Forgeries that start from a good token.
fn forged_from(issued: &Issued, good: &str) -> Vec<String> {
    let (_, signature) = good.rsplit_once('.').expect("a signature");
    let public = issued.rsa().public();
    let jwk = issued.rsa().jwk("RS256");
    let modulus = jwk["n"].as_str().expect("a number");

    let unsigned = ["none", "None", "NONE", "nOnE", ""]
        .map(|none| format!("{}.", key::message(&head(none), &claims())));
    let public_as_secret = [
        &public[..],
        modulus.as_bytes(),
        jwk.to_string().as_bytes(),
        b"",
    ]
    .map(|secret| key::sign_hs256(secret, &head("HS256"), &claims()));
    let other_claims = format!(
        "{}.{signature}",
        key::message(&head("RS256"), &with("sub", json!("bob")))
    );
    let other_head = format!("{}.{signature}", key::message(&head("ES256"), &claims()));
    let stranger = Key::rsa().sign(&head("RS256"), &claims());
    let other_type = issued.keys[1].sign(&head("ES256"), &claims());
    let pretends = issued.keys[1].sign(&head("RS256"), &claims());
    let not_pinned =
        ["RS384", "PS256"].map(|algorithm| issued.rsa().sign(&head(algorithm), &claims()));
    let unknown =
        ["RS257", "HS256"].map(|algorithm| issued.rsa().sign(&head(algorithm), &claims()));
    let twice = format!(
        "{}.{}",
        base64(r#"{"alg":"none","alg":"RS256","kid":"RS256"}"#),
        base64(claims().to_string())
    );
    unsigned
        .into_iter()
        .chain(public_as_secret)
        .chain([
            other_claims,
            other_head,
            stranger,
            other_type,
            pretends,
            twice + ".",
        ])
        .chain(not_pinned)
        .chain(unknown)
        .chain(misshapen(good))
        .collect()
}

#[tokio::test]
async fn a_token_that_is_forged_opens_nothing() {
    let issued = Issued::new().await;
    let good = issued.rsa().sign(&head("RS256"), &claims());
    assert_eq!(issued.status(&good).await.0, 200);
    for token in forged_from(&issued, &good) {
        let (status, challenge) = issued.status(&token).await;
        assert_eq!(status, 401, "{token}");
        assert!(
            challenge.contains(r#"error="invalid_token""#),
            "{token}: {challenge}"
        );
    }
}

#[tokio::test]
async fn nothing_in_the_head_chooses_the_key_or_where_it_is_from() {
    let issued = Issued::new().await;
    let stranger = Key::rsa();
    let theirs = stranger.jwk("RS256");
    // Only a server that follows an address from a token connects here.
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/keys", trap.local_addr().expect("an address"));
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", theirs.clone()),
        ("x5c", json!([base64(stranger.public())])),
    ] {
        let mut head = json!({ "alg": "RS256", "kid": "RS256" });
        head[name] = value;
        let (status, _) = issued.status(&stranger.sign(&head, &claims())).await;
        assert_eq!(status, 401, "{head}");
        let (status, challenge) = issued.status(&issued.rsa().sign(&head, &claims())).await;
        assert_eq!(
            status, 200,
            "ignored with a good signature: {head}: {challenge}"
        );
    }
    for id in [
        json!("/etc/passwd"),
        json!("../../../dev/null"),
        json!("file:///dev/null"),
        json!(url),
        json!("' OR 1=1 --"),
        json!("$(touch /tmp/x)"),
        json!("a\u{0}b"),
        json!(""),
        json!("rs256"),
        json!("a".repeat(4_000)),
        json!(7),
        json!({ "a": "RS256" }),
    ] {
        let head = json!({ "alg": "RS256", "kid": id });
        let (status, challenge) = issued.status(&issued.rsa().sign(&head, &claims())).await;
        assert_eq!(status, 401, "{head}: {challenge}");
    }
    let critical = json!({ "alg": "RS256", "kid": "RS256", "crit": ["b64"], "b64": false });
    assert_eq!(
        issued
            .status(&issued.rsa().sign(&critical, &claims()))
            .await
            .0,
        401
    );
    let nobody = tokio::time::timeout(Duration::from_millis(100), trap.accept()).await;
    assert!(nobody.is_err(), "a token made the server connect");
}
