//! Sign-in at the issuer: the authorization code flow of OpenID Connect, with PKCE.
//!
//! ```text
//! /sign-in/start    ─► the issuer's page, with state, nonce and the challenge of a verifier,
//!                      all three sealed in a cookie of 10 minutes
//! /sign-in/callback ─► state and iss are checked ─► the code and the verifier for tokens
//!                      ─► the access token says who it is, as for every other request
//! ```
//!
//! Invariants:
//! - The identity is that of the access token for this server (RFC 8707), checked like one that came
//!   with a request. The ID token only proves that the answer belongs to this sign-in: by its nonce
//!   and by the same subject.
//! - A browser that did not begin a sign-in cannot complete one, so a link cannot sign its visitor in
//!   as another user.

mod error;
mod issuer;
mod metadata;
mod response;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::config::{FileError, Reload, SignInSettings};
use crate::http::auth::Jwt;
use crate::http::guard::CALLBACK;
use crate::http::https::{HttpsError, TlsError};
use issuer::{IssuerClient, IssuerError};
use metadata::Metadata;

pub use error::SignInError;
pub use issuer::TokenReply;
pub use response::AuthorizationResponse;

/// How long a user may take at the issuer.
pub const FLOW_TTL: Duration = Duration::from_secs(10 * 60);

/// This server as a client of the issuer.
#[derive(Debug)]
pub struct SignIn {
    client_id: String,
    redirect_uri: String,
    scopes: String,
    issuer: IssuerClient,
}

/// What the browser keeps while the user is at the issuer.
#[derive(Serialize, Deserialize)]
pub struct Flow {
    state: String,
    nonce: String,
    verifier: String,
}

/// Why this server cannot be a client of the issuer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The file of the secret.
    #[error(transparent)]
    Secret(#[from] FileError),
    /// The issuer cannot be reached over TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Flow {
    /// Whether `answer` is to this sign-in.
    pub fn is_answered_by(&self, answer: &AuthorizationResponse) -> bool {
        let state = answer.state.as_deref().unwrap_or_default();
        state.as_bytes().ct_eq(self.state.as_bytes()).into()
    }

    /// What the ID token repeats.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

impl SignIn {
    /// Blocks on the file of the secret.
    ///
    /// # Errors
    /// It cannot be used, or the host has no trusted certificates.
    pub fn new(settings: &SignInSettings) -> Result<Self, ClientError> {
        let secret = settings.client_secret_file.as_deref();
        let secret = secret.map(|path| Reload::load(path, secret_of));
        let secret = secret.transpose()?;
        let public = settings.public_url.as_uri().to_string();
        Ok(Self {
            client_id: settings.client_id.clone(),
            redirect_uri: format!("{}{CALLBACK}", public.trim_end_matches('/')),
            scopes: settings.scopes.clone(),
            issuer: IssuerClient::new(secret)?,
        })
    }

    /// The client's id at the issuer.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// A new sign-in, and the URL at the issuer for it.
    ///
    /// # Errors
    /// The issuer cannot be asked.
    pub async fn begin(&self, jwt: &Jwt) -> Result<(Flow, String), SignInError> {
        let metadata = self.issuer.metadata(jwt.issuer()).await?;
        let flow = Flow {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
        };
        let location = self.location(&metadata, &flow, jwt.audience());
        Ok((flow, location))
    }

    /// The tokens for the code in an answer to `flow`.
    ///
    /// # Errors
    /// The answer is from another issuer or is a refusal, or the issuer does not accept the code.
    pub async fn tokens(
        &self,
        jwt: &Jwt,
        flow: &Flow,
        answer: AuthorizationResponse,
    ) -> Result<TokenReply, SignInError> {
        let metadata = self.issuer.metadata(jwt.issuer()).await?;
        let is_promised = metadata.authorization_response_iss_parameter_supported;
        answer.check_issuer(is_promised, jwt.issuer())?;
        let code = answer.code()?;
        self.exchange(&metadata, flow, &code, jwt.audience()).await
    }

    fn location(&self, metadata: &Metadata, flow: &Flow, audience: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.verifier));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("scope", self.scopes.as_str()),
            ("state", flow.state.as_str()),
            ("nonce", flow.nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        pairs.extend(resource(audience).map(|resource| ("resource", resource)));
        let endpoint = &metadata.authorization_endpoint;
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{separator}{}", form(&pairs))
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        flow: &Flow,
        code: &str,
        audience: &str,
    ) -> Result<TokenReply, SignInError> {
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("client_id", self.client_id.as_str()),
            ("code_verifier", flow.verifier.as_str()),
        ];
        pairs.extend(resource(audience).map(|resource| ("resource", resource)));
        let reply = self
            .issuer
            .exchange(metadata, &self.client_id, form(&pairs))
            .await;
        match reply {
            // RFC 6749, section 5.2. 401 is about this server's secret: its operator must know.
            Err(IssuerError::Https(HttpsError::Status(StatusCode::BAD_REQUEST))) => {
                Err(SignInError::Code)
            }
            reply => Ok(reply?),
        }
    }
}

/// RFC 8707 allows only absolute URIs. The issuer knows any other audience from the client's
/// registration.
fn resource(audience: &str) -> Option<&str> {
    let (scheme, rest) = audience.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_scheme && !rest.is_empty()).then_some(audience)
}

fn secret_of(path: &Arc<Path>, text: &str) -> Result<String, FileError> {
    let secret = text.trim();
    let good = !secret.is_empty() && secret.lines().count() == 1;
    good.then(|| secret.to_owned())
        .ok_or_else(|| FileError::Whole {
            path: path.clone(),
            message: "it must have the client's secret, in one line".to_owned(),
        })
}

/// Form-encoded; every character except letters and digits is escaped.
fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        format!("{name}={value}")
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn random() -> Result<String, SignInError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| SignInError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line() {
        let of = |text| secret_of(&Path::new("a").into(), text).ok();
        assert_eq!(of(" s3cret\n").as_deref(), Some("s3cret"));
        for bad in ["", "\n", "a\nb"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_resource_is_an_absolute_uri() {
        for (audience, is_one) in [
            ("https://a.test/mcp", true),
            ("api://a", true),
            ("urn:a:b", true),
            ("casemate", false),
            ("localhost:", false),
        ] {
            assert_eq!(resource(audience).is_some(), is_one, "{audience}");
        }
    }
}
