//! The two requests to the issuer: for its metadata, and for the tokens that a code is good for.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{Method, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::{Mutex, Semaphore};

use super::metadata::Metadata;
use crate::config::Reload;
use crate::http::https::{HttpsClient, HttpsError, TlsError};

/// Time of one request, from the connection to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the issuer's metadata is kept.
const METADATA_TTL: Duration = Duration::from_secs(60 * 60);

/// Pause after an issuer did not answer. Without it, everybody who signs in during an outage would
/// wait for a request, one after the other.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Requests for tokens at a time. Anybody can cause one; each takes about a second.
const EXCHANGES_LIMIT: usize = 16;

/// The answer to a code.
#[derive(Deserialize)]
pub struct TokenReply {
    /// The access token for this server.
    pub access_token: String,
    token_type: String,
    /// The ID token; empty if the issuer gave none.
    #[serde(default)]
    pub id_token: String,
}

/// Why the issuer could not be asked, or its answer is not accepted.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// There is no answer.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// The body is something else. The parser's error is left out: it quotes the text, in which a token
    /// may be.
    #[error("the answer is not the JSON object that it should be")]
    Json,
    /// The access token is of another type than Bearer.
    #[error("the access token is not a Bearer token")]
    TokenType,
    /// The last request failed less than [`RETRY_INTERVAL`] ago.
    #[error("it did not answer a moment ago")]
    Recent,
    /// The metadata is another issuer's, or names a plain HTTP endpoint.
    #[error("the issuer's metadata is another issuer's, or names an endpoint without https")]
    Metadata,
    /// A URL in the metadata is not valid.
    #[error("the request cannot be written")]
    Request(#[from] axum::http::Error),
    /// [`EXCHANGES_LIMIT`] requests are under way.
    #[error("too many people sign in at once")]
    Busy,
}

/// The outcome of the last request for the metadata.
struct Known {
    at: Instant,
    /// `None`: the request failed, or the answer was not accepted.
    metadata: Option<Arc<Metadata>>,
}

/// Asks the issuer, and keeps its metadata.
pub struct IssuerClient {
    client: HttpsClient,
    secret: Option<Reload<String>>,
    known: Mutex<Option<Known>>,
    exchanges: Semaphore,
}

impl IssuerClient {
    /// Reads the certificates that the host trusts.
    ///
    /// # Errors
    /// The host trusts no certificate.
    pub fn new(secret: Option<Reload<String>>) -> Result<Self, TlsError> {
        Ok(Self {
            client: HttpsClient::new()?,
            secret,
            known: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES_LIMIT),
        })
    }

    /// The metadata of `issuer`. Requests at the same time wait for one answer.
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
            // RFC 6749, section 2.3.1: both are form-encoded first.
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
        let bytes = self.client.send(request, REQUEST_TIMEOUT).await?;
        serde_json::from_slice(&bytes).map_err(|_| IssuerError::Json)
    }
}

impl fmt::Debug for IssuerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerClient(…)")
    }
}
