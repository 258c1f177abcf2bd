//! The two requests to the issuer: what it is, and tokens for a code. Redirects are not followed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{Method, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::metadata::Metadata;
use crate::config::Reload;
use crate::http::auth::TlsError;

/// Time of one request, from the connection to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer: tokens with many groups in them have a few kB.
const ANSWER_BYTES: usize = 256 * 1024;

/// How long what the issuer is counts as known.
const METADATA_TTL: Duration = Duration::from_secs(60 * 60);

/// How long an issuer that did not answer is not asked again: all who sign in meanwhile would wait
/// one after the other.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Requests for tokens at once: anybody can ask for one, and a person takes a second.
const EXCHANGES: usize = 16;

/// What comes for a code.
#[derive(Deserialize)]
pub struct TokenReply {
    /// For this server.
    pub access_token: String,
    token_type: String,
    /// For the client; empty where there is none.
    #[serde(default)]
    pub id_token: String,
}

/// Why the issuer does not answer.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// Too slow.
    #[error("no whole answer in {} s", REQUEST_TIMEOUT.as_secs())]
    Time,
    /// No connection, no TLS, no HTTP.
    #[error("the connection failed")]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// Another answer than 200.
    #[error("the answer is {0}; redirects are not followed")]
    Status(StatusCode),
    /// It broke off or is too large.
    #[error("the answer broke off, or has more than {ANSWER_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is something else. Without the parser's error, which quotes the text: a token may be in it.
    #[error("the answer is not the JSON object that it should be")]
    Json,
    /// The access token is of another type than Bearer.
    #[error("the access token is not a Bearer token")]
    TokenType,
    /// It was asked less than [`RETRY_INTERVAL`] ago.
    #[error("it did not answer a moment ago")]
    Recent,
    /// It is of another issuer, or leads to plain HTTP.
    #[error("the issuer's metadata are of another issuer, or name an endpoint without https")]
    Metadata,
    /// It is no URL.
    #[error("the request cannot be written")]
    Request(#[from] axum::http::Error),
    /// As many as may ask already.
    #[error("too many people sign in at once")]
    Busy,
}

/// The last answer.
struct Known {
    at: Instant,
    /// `None`: there was none, or not a good one.
    metadata: Option<Arc<Metadata>>,
}

/// The issuer, as it was found last.
pub struct IssuerClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    secret: Option<Reload<String>>,
    known: Mutex<Option<Known>>,
    exchanges: Semaphore,
}

impl IssuerClient {
    /// Reads the certificates that the host trusts.
    ///
    /// # Errors
    /// There are none.
    pub fn new(secret: Option<Reload<String>>) -> Result<Self, TlsError> {
        // Plain HTTP only where `Metadata::is_of` allows it: to this machine.
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(TlsError::new)?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self {
            client,
            secret,
            known: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES),
        })
    }

    /// What `issuer` says of itself. Who asks meanwhile waits for that answer.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub async fn metadata(&self, issuer: &str) -> Result<Arc<Metadata>, IssuerError> {
        let mut known = self.known.lock().await;
        match &*known {
            Some(Known {
                at,
                metadata: Some(metadata),
            }) if at.elapsed() < METADATA_TTL => {
                return Ok(metadata.clone());
            }
            Some(Known { at, metadata: None }) if at.elapsed() < RETRY_INTERVAL => {
                return Err(IssuerError::Recent);
            }
            _ => {}
        }
        let fetched = self.fetch(issuer).await.map(Arc::new);
        *known = Some(Known {
            at: Instant::now(),
            metadata: fetched.as_ref().ok().cloned(),
        });
        fetched
    }

    async fn fetch(&self, issuer: &str) -> Result<Metadata, IssuerError> {
        let base = issuer.trim_end_matches('/');
        let request = Request::get(format!("{base}/.well-known/openid-configuration"));
        let metadata: Metadata = self.ask(request.body(Full::default())?).await?;
        match metadata.is_of(issuer) {
            true => Ok(metadata),
            false => Err(IssuerError::Metadata),
        }
    }

    /// The tokens for the code in `form`.
    ///
    /// # Errors
    /// [`IssuerError`]; [`IssuerError::Status`] where the code is not accepted.
    pub async fn exchange(
        &self,
        metadata: &Metadata,
        client_id: &str,
        form: String,
    ) -> Result<TokenReply, IssuerError> {
        let _permit = self
            .exchanges
            .try_acquire()
            .map_err(|_| IssuerError::Busy)?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&metadata.token_endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if let Some(secret) = &self.secret {
            // RFC 6749, section 2.3.1: both are written as in forms first.
            let [id, secret] = [client_id, &secret.current()]
                .map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string());
            let basic = STANDARD.encode(format!("{id}:{secret}"));
            request = request.header(header::AUTHORIZATION, format!("Basic {basic}"));
        }
        let reply: TokenReply = self.ask(request.body(Full::from(form))?).await?;
        match reply.token_type.eq_ignore_ascii_case("bearer") {
            true => Ok(reply),
            false => Err(IssuerError::TokenType),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<T, IssuerError> {
        let answer = async {
            let response = self.client.request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(IssuerError::Status(response.status()));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect();
            Ok(body.await.map_err(IssuerError::Body)?.to_bytes())
        };
        let bytes = timeout(REQUEST_TIMEOUT, answer).await;
        let bytes = bytes.map_err(|_| IssuerError::Time)??;
        serde_json::from_slice(&bytes).map_err(|_| IssuerError::Json)
    }
}

impl fmt::Debug for IssuerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerClient(…)")
    }
}
