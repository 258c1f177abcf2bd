//! One bounded GET. Redirects are not followed: the operator decides where the keys are, not an
//! answer.

use std::io;
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use tokio::time::timeout;

use crate::config::HttpUrl;

/// Time from the first byte of the connection to the last of the answer. Requests wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Size of the answer. A key has half a kB, with certificates a few; an issuer has a handful.
const BODY_BYTES: usize = 256 * 1024;

/// Why the GET failed.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Too slow.
    #[error("no whole answer in {} s", FETCH_TIMEOUT.as_secs())]
    Time,
    /// No connection, no TLS, no HTTP.
    #[error("the connection failed")]
    Connection(#[from] hyper_util::client::legacy::Error),
    /// A status other than 200.
    #[error("the answer is {0}; redirects are not followed")]
    Status(StatusCode),
    /// The body broke off or is too large.
    #[error("the answer broke off, or has more than {BODY_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The body is not a set of keys.
    #[error("the answer is no set of keys")]
    Keys(#[from] serde_json::Error),
}

/// No certificate of the host can be trusted.
#[derive(Debug, Error)]
#[error("the host has no certificates that https could trust (SSL_CERT_FILE names others)")]
pub struct TlsError(#[source] io::Error);

impl TlsError {
    /// From what reading the certificates failed with.
    pub fn new(error: io::Error) -> Self {
        Self(error)
    }
}

/// Gets one URL.
#[derive(Debug)]
pub struct Fetcher {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Fetcher {
    /// Reads the certificates that the host trusts.
    ///
    /// # Errors
    /// The host has no trusted certificates.
    pub fn new(url: &HttpUrl) -> Result<Self, TlsError> {
        // `HttpUrl` allows plain HTTP only to this machine.
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
        let url = url.as_uri().clone();
        Ok(Self { url, client })
    }

    /// The answer's body.
    ///
    /// # Errors
    /// The answer is late, too large or not a success.
    pub async fn fetch(&self) -> Result<Bytes, FetchError> {
        timeout(FETCH_TIMEOUT, self.get())
            .await
            .map_err(|_| FetchError::Time)?
    }

    async fn get(&self) -> Result<Bytes, FetchError> {
        let response = self.client.get(self.url.clone()).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES).collect();
        Ok(body.await.map_err(FetchError::Body)?.to_bytes())
    }
}
