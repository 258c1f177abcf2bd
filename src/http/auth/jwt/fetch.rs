//! One GET of the issuer's keys.

use std::time::Duration;

use axum::http::{Request, Uri};
use bytes::Bytes;
use http_body_util::Full;
use thiserror::Error;

use crate::config::HttpUrl;
use crate::http::https::{HttpsClient, HttpsError, TlsError};

/// Time from the connection to the last byte of the answer. Requests wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum FetchError {
    /// There is no answer.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// The body is not a set of keys.
    #[error("the answer is no set of keys")]
    Keys(#[from] serde_json::Error),
}

/// Gets one URL.
#[derive(Debug)]
pub struct Fetcher {
    url: Uri,
    client: HttpsClient,
}

impl Fetcher {
    /// Reads the certificates that the host trusts.
    ///
    /// # Errors
    /// The host has no trusted certificates.
    pub fn new(url: &HttpUrl) -> Result<Self, TlsError> {
        let client = HttpsClient::new()?;
        let url = url.as_uri().clone();
        Ok(Self { url, client })
    }

    /// The answer's body.
    ///
    /// # Errors
    /// The answer is late, too large or not a success.
    pub async fn fetch(&self) -> Result<Bytes, HttpsError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.url.clone();
        self.client.send(request, FETCH_TIMEOUT).await
    }
}
