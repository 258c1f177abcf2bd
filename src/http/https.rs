//! Requests of the server itself, to the issuer: each bounded in time and size. Redirects are not
//! followed: the operator decides who is asked, not an answer.

use std::fmt;
use std::io;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use tokio::time::timeout;

/// Bytes of an answer. A key has half a kB, with certificates a few, and an issuer has a handful of
/// keys; tokens that list many groups have a few kB.
const BODY_BYTES: usize = 256 * 1024;

/// No certificate of the host can be trusted.
#[derive(Debug, Error)]
#[error("the host has no certificates that https could trust (SSL_CERT_FILE names others)")]
pub struct TlsError(#[source] io::Error);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum HttpsError {
    /// Too slow.
    #[error("no whole answer in {} s", .0.as_secs())]
    Time(Duration),
    /// No connection, no TLS, no HTTP.
    #[error("the connection failed")]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// A status other than 200.
    #[error("the answer is {0}; redirects are not followed")]
    Status(StatusCode),
    /// The body broke off or is too large.
    #[error("the answer broke off, or has more than {BODY_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends requests over https. Also over plain HTTP, which [`HttpUrl`](crate::config::HttpUrl) allows
/// only to this machine.
pub struct HttpsClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpsClient {
    /// Reads the certificates that the host trusts.
    ///
    /// # Errors
    /// It trusts no certificate.
    pub fn new() -> Result<Self, TlsError> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(TlsError)?
            .https_or_http()
            .enable_http1()
            .build();
        // There are few requests an hour, so no connection is kept.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self(client))
    }

    /// The answer's body. `limit` is the time from the connection to the last byte.
    ///
    /// # Errors
    /// [`HttpsError`].
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Bytes, HttpsError> {
        let answer = timeout(limit, self.answer(request)).await;
        answer.map_err(|_| HttpsError::Time(limit))?
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Bytes, HttpsError> {
        let response = self.0.request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(HttpsError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES).collect();
        Ok(body.await.map_err(HttpsError::Body)?.to_bytes())
    }
}

impl fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpsClient(…)")
    }
}
