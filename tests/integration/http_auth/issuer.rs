//! Keys that are fetched from the issuer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

use super::jwt::{claims, server};
use super::key::Key;
use super::*;

/// An issuer on this machine.
struct Issuer {
    url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
}

impl Issuer {
    async fn new() -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let answers = answer.clone();
        let keys = Router::new().fallback(async move || {
            let (status, body) = answers.lock().expect("lock").clone();
            (status, [(header::LOCATION, "/elsewhere")], body).into_response() as Response
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, keys).await });
        Self { url, answer }
    }

    fn answers(&self, status: StatusCode, body: &Value) {
        *self.answer.lock().expect("lock") = (status, body.to_string());
    }

    fn has(&self, keys: &[(&Key, &str)]) {
        let keys: Vec<_> = keys.iter().map(|(key, id)| key.jwk(id)).collect();
        self.answers(StatusCode::OK, &json!({ "keys": keys }));
    }
}

async fn status(server: &HttpServer, key: &Key, id: &str) -> u16 {
    let head = json!({ "alg": key.algorithm(), "kid": id });
    with_token(server, &key.sign(&head, &claims())).await.0
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_found_and_an_old_one_goes_with_it() {
    let (old, new) = (Key::ec(), Key::ec());
    let issuer = Issuer::new().await;
    issuer.has(&[(&old, "old")]);
    let server = server(&issuer.url).start_http().await;
    assert_eq!(status(&server, &old, "old").await, 200);
    assert_eq!(status(&server, &new, "new").await, 401);

    issuer.has(&[(&new, "new")]);
    eventually("the new key is found", SOON, async || {
        status(&server, &new, "new").await == 200
    })
    .await;
    assert_eq!(status(&server, &old, "old").await, 401);
    // The name alone opens nothing.
    assert_eq!(status(&server, &old, "new").await, 401);
}

#[tokio::test]
async fn without_the_issuers_keys_nobody_is_let_in_and_later_they_are() {
    let key = Key::ed();
    let issuer = Issuer::new().await;
    issuer.answers(
        StatusCode::INTERNAL_SERVER_ERROR,
        &json!({ "keys": [key.jwk("a")] }),
    );
    let server = server(&issuer.url).start_http().await;
    let head = json!({ "alg": "EdDSA", "kid": "a" });
    let bearer = format!("Bearer {}", key.sign(&head, &claims()));
    let answer = ask(&server, &[("authorization", &bearer)]).await;
    assert_eq!(answer.status(), 503);
    assert_ne!(answer.header("retry-after"), "");
    // Those without any token are told so all the same, and others are served.
    assert_eq!(asked(&server, &[]).await.0, 401);
    assert_eq!(
        server.get("/.well-known/oauth-protected-resource").await.0,
        200
    );

    issuer.has(&[(&key, "a")]);
    eventually("the keys are fetched", SOON, async || {
        status(&server, &key, "a").await == 200
    })
    .await;
    // It is down again: what is known still works, what is not does not.
    issuer.answers(StatusCode::INTERNAL_SERVER_ERROR, &json!({}));
    assert_eq!(status(&server, &key, "a").await, 200);
    assert_eq!(status(&server, &key, "b").await, 401);
}

#[tokio::test]
async fn a_redirect_to_other_keys_is_not_followed() {
    let key = Key::ed();
    let issuer = Issuer::new().await;
    issuer.answers(StatusCode::FOUND, &json!({ "keys": [key.jwk("a")] }));
    let server = server(&issuer.url).start_http().await;
    assert_eq!(status(&server, &key, "a").await, 503);
}

#[test]
fn keys_that_anybody_on_the_way_could_exchange_are_not_fetched() {
    let variables = [
        ("CASEMATE_AUTH", "jwt"),
        ("CASEMATE_JWT_ISSUER", "https://id.example.com"),
        ("CASEMATE_JWT_AUDIENCE", "casemate"),
        ("CASEMATE_JWT_JWKS", "http://id.example.com/keys"),
    ];
    let (code, _, errors) = casemate(&["serve", "--http", "127.0.0.1:0"], &variables);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("CASEMATE_JWT_JWKS") && errors.contains("https"),
        "{errors}"
    );
}
