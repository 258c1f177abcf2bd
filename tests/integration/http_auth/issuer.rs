//! Keys that are fetched from the issuer.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::jwt::{claims, server};
use super::key::Key;
use super::*;

/// An issuer on this machine.
pub struct Issuer {
    pub url: String,
    answer: Arc<Mutex<(StatusCode, String)>>,
}

impl Issuer {
    pub async fn new() -> Self {
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

    pub fn has(&self, keys: &[(&Key, &str)]) {
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
    // The right name alone is not enough.
    assert_eq!(status(&server, &old, "new").await, 401);
}

#[tokio::test]
async fn without_the_issuers_keys_every_request_is_refused_until_they_come() {
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
    // Requests without a token still get 401, and others are served.
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
    // It is down again: known keys still work, others do not.
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

/// `keys` over https, once for each connection, and the certificate.
async fn over_https(keys: impl Into<Bytes>) -> (u16, String) {
    let keys = keys.into();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = made.signing_key.serialize_der().try_into().expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    let tls = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate closes here.
            let Ok(stream) = tls.accept(stream).await else {
                continue;
            };
            let answer = service_fn(|_| {
                let answer = hyper::Response::new(Full::new(keys.clone()));
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            let _ = served.await;
        }
    });
    (port, made.cert.pem())
}

#[tokio::test]
async fn keys_over_https_are_taken_from_a_host_whose_certificate_is_trusted() {
    let key = Key::ed();
    let keys = json!({ "keys": [key.jwk("a")] }).to_string();
    let (port, certificate) = over_https(keys).await;
    let trusted = SettingFile::new(&certificate);
    let url = format!("https://localhost:{port}/keys");
    let trusting = server(&url)
        .env("SSL_CERT_FILE", &trusted.text())
        .start_http()
        .await;
    assert_eq!(status(&trusting, &key, "a").await, 200);
    // Another name, for which the certificate is not valid.
    let url = format!("https://127.0.0.1:{port}/keys");
    let other_name = server(&url)
        .env("SSL_CERT_FILE", &trusted.text())
        .start_http()
        .await;
    assert_eq!(status(&other_name, &key, "a").await, 503);
    let (_, other) = over_https("").await;
    let stranger = SettingFile::new(&other);
    let url = format!("https://localhost:{port}/keys");
    let distrusting = server(&url)
        .env("SSL_CERT_FILE", &stranger.text())
        .start_http()
        .await;
    assert_eq!(status(&distrusting, &key, "a").await, 503);
}

#[test]
fn keys_are_not_fetched_over_plain_http() {
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
