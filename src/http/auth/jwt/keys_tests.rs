//! How often the issuer is asked, and what holds while it does not answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jsonwebtoken::Algorithm::RS256;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn rsa(id: &str) -> Value {
    json!({ "kty": "RSA", "kid": id, "n": "AQAB", "e": "AQAB" })
}

/// An issuer, and how often it was asked.
struct Issuer {
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<(StatusCode, String)>>,
    url: String,
}

impl Issuer {
    async fn new(keys: &[Value]) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let (count, answers) = (asked.clone(), answer.clone());
        let router = Router::new().fallback(async move || {
            count.fetch_add(1, Ordering::SeqCst);
            let (status, body) = answers.lock().clone();
            (status, [(header::LOCATION, "/")], body).into_response() as Response
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let issuer = Self { asked, answer, url };
        issuer.has(keys);
        issuer
    }

    fn has(&self, keys: &[Value]) {
        self.answers(StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    fn answers(&self, status: StatusCode, body: String) {
        *self.answer.lock() = (status, body);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn keys(&self, pace: FetchLimiter) -> Remote {
        Remote::new(Fetcher::new(&self.url.parse().unwrap()).unwrap(), pace)
    }
}

/// Asked again only for what is not known, and then always.
const EAGER: FetchLimiter = FetchLimiter {
    refresh: HOUR,
    expiry: HOUR,
    pause: Duration::ZERO,
};

async fn remote(keys: &Remote, id: &str) -> Result<(), KeyError> {
    keys.find(Some(id), RS256).await.map(drop)
}

/// Without the time that waiting for the network would skip.
async fn later(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_issuer_is_asked_for_the_first_token_and_not_for_the_next() {
    let issuer = Issuer::new(&[rsa("a")]).await;
    let keys = issuer.keys(EAGER);
    assert_eq!(issuer.asked(), 0);
    for _ in 0..3 {
        assert_eq!(remote(&keys, "a").await, Ok(()));
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn fifty_first_tokens_at_once_ask_once() {
    let issuer = Issuer::new(&[rsa("a")]).await;
    let keys = issuer.keys(EAGER);
    let tokens = (0..50).map(|_| remote(&keys, "a"));
    assert_eq!(futures_util::future::join_all(tokens).await, [Ok(()); 50]);
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_one_that_was_taken_back_is_not() {
    let issuer = Issuer::new(&[rsa("a")]).await;
    let keys = issuer.keys(EAGER);
    assert_eq!(remote(&keys, "a").await, Ok(()));
    issuer.has(&[rsa("b")]);
    assert_eq!(remote(&keys, "b").await, Ok(()));
    assert_eq!(remote(&keys, "a").await, Err(KeyError::Unknown));
}

#[tokio::test]
async fn invented_key_ids_ask_once_in_a_pause() {
    let issuer = Issuer::new(&[rsa("a")]).await;
    let pause = Duration::from_secs(60);
    let keys = issuer.keys(FetchLimiter { pause, ..EAGER });
    for nth in 0..20 {
        assert_eq!(
            remote(&keys, &format!("x{nth}")).await,
            Err(KeyError::Unknown)
        );
    }
    assert_eq!(issuer.asked(), 1);
    later(pause).await;
    assert_eq!(remote(&keys, "x").await, Err(KeyError::Unknown));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn old_keys_are_asked_for_again_kept_while_the_issuer_is_down_and_not_for_ever() {
    let issuer = Issuer::new(&[rsa("a")]).await;
    let pace = FetchLimiter {
        refresh: HOUR / 4,
        ..EAGER
    };
    let keys = issuer.keys(pace);
    assert_eq!(remote(&keys, "a").await, Ok(()));
    later(pace.refresh).await;
    assert_eq!(remote(&keys, "a").await, Ok(()));
    assert_eq!(issuer.asked(), 2);

    issuer.answers(StatusCode::BAD_GATEWAY, String::new());
    later(pace.refresh).await;
    assert_eq!(remote(&keys, "a").await, Ok(()));
    assert_eq!(issuer.asked(), 3);
    later(pace.expiry).await;
    assert_eq!(remote(&keys, "a").await, Err(KeyError::Unavailable));

    issuer.has(&[rsa("b")]);
    assert_eq!(remote(&keys, "b").await, Ok(()));
}

#[tokio::test]
async fn an_old_key_that_was_taken_back_is_refused_at_the_next_asking() {
    let issuer = Issuer::new(&[rsa("a")]).await;
    let pace = FetchLimiter {
        refresh: HOUR / 4,
        ..EAGER
    };
    let keys = issuer.keys(pace);
    assert_eq!(remote(&keys, "a").await, Ok(()));
    issuer.has(&[]);
    assert_eq!(remote(&keys, "a").await, Ok(()));
    later(pace.refresh).await;
    assert_eq!(remote(&keys, "a").await, Err(KeyError::Unknown));
}

#[tokio::test]
async fn an_answer_that_is_no_good_lets_nobody_in() {
    let issuer = Issuer::new(&[]).await;
    let good = json!({ "keys": [rsa("a")] }).to_string();
    for (status, body) in [
        (StatusCode::FOUND, good.clone()),
        (StatusCode::INTERNAL_SERVER_ERROR, good.clone()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, good + &" ".repeat(300 * 1024)),
    ] {
        issuer.answers(status, body);
        let before = issuer.asked();
        let answer = remote(&issuer.keys(EAGER), "a").await;
        assert_eq!(answer, Err(KeyError::Unavailable), "{status}");
        // Once: a redirect is not followed.
        assert_eq!(issuer.asked(), before + 1, "{status}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_silent_or_away_lets_nobody_in_and_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let url = format!("http://{address}/keys").parse().unwrap();
    let keys = Remote::new(Fetcher::new(&url).unwrap(), EAGER);
    let started = std::time::Instant::now();
    // The clock advances when all tasks wait.
    tokio::time::pause();
    assert_eq!(remote(&keys, "a").await, Err(KeyError::Unavailable));
    tokio::time::resume();
    drop(silent);
    assert_eq!(remote(&keys, "a").await, Err(KeyError::Unavailable));
    assert!(started.elapsed() < Duration::from_secs(30));
}
