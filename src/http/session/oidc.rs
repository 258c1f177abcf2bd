//! Sign-in at the issuer: the authorization code flow of OpenID Connect, with PKCE.
//!
//! ```text
//! /sign-in/start    ─► the issuer's page, with state, nonce and the challenge of a verifier,
//!                      all three sealed in a cookie of 10 minutes
//! /sign-in/callback ─► state and iss as they must be ─► the code and the verifier for tokens
//!                      ─► the access token says who it is, as for every other request
//! ```
//!
//! Invariants:
//! - The identity is that of the access token for this server (RFC 8707), checked as one of a
//!   request is. The ID token says only that the answer belongs to this sign-in: by its nonce, and
//!   by the same subject.
//! - A browser that did not begin a sign-in cannot end one: nobody is signed in as somebody else
//!   by a link.

mod issuer;

use std::path::Path;
use std::time::Duration;

use axum::extract::State;
use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tracing::warn;

use super::seal::Purpose;
use super::{Holder, SessionError, Sessions, cookie};
use crate::config::{HttpUrl, SignInSettings};
use crate::http::auth::{Authenticator, FileError, Jwt};
use crate::http::files::escapes_are_whole;
use issuer::{Issuer, IssuerError, Metadata};

/// Where the issuer sends the browser back to.
pub const CALLBACK: &str = "/sign-in/callback";

/// The sign-in that is under way.
const FLOW_COOKIE: &str = "__Host-casemate-sign-in";

/// How long a person may take at the issuer.
const FLOW_TTL: Duration = Duration::from_secs(10 * 60);

/// What is asked for: who it is, and the scopes of this server.
const SCOPE: &str = "openid tools files";

/// This server as a client of the issuer.
#[derive(Debug)]
pub struct SignIn {
    client_id: String,
    redirect_uri: String,
    issuer: Issuer,
}

/// What a browser keeps while a person is at the issuer.
#[derive(Serialize, Deserialize)]
struct Flow {
    state: String,
    nonce: String,
    verifier: String,
}

/// Why somebody is not signed in. The texts are for people.
#[derive(Debug, thiserror::Error)]
enum SignInError {
    #[error("This server has no sign-in at an issuer.")]
    None,
    #[error("The sign-in was not begun in this browser, or more than 10 minutes ago.")]
    NotBegun,
    #[error("The answer belongs to another sign-in.")]
    State,
    #[error("The answer is from another issuer.")]
    Issuer,
    #[error("The issuer refused: {0}.")]
    Refused(String),
    #[error("The issuer cannot be asked now.")]
    Unavailable(#[from] IssuerError),
    #[error("The issuer did not accept the code.")]
    Code,
    #[error("The issuer's answer is not accepted: {0}.")]
    Token(String),
    #[error("The server has no random numbers.")]
    Random,
}

impl SignIn {
    /// Blocks on the file of the secret.
    ///
    /// # Errors
    /// It cannot be used, or no certificates are to be trusted.
    pub fn new(settings: &SignInSettings) -> Result<Self, SessionError> {
        let secret = settings.client_secret_file.as_deref();
        let secret = secret.map(secret_of).transpose()?;
        let public = settings.public_url.as_uri().to_string();
        Ok(Self {
            client_id: settings.client_id.clone(),
            redirect_uri: format!("{}{CALLBACK}", public.trim_end_matches('/')),
            issuer: Issuer::new(secret)?,
        })
    }

    /// Where a person signs in.
    fn location(&self, metadata: &Metadata, flow: &Flow, audience: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.verifier));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("scope", SCOPE),
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

    /// The tokens for a code.
    async fn exchange(
        &self,
        metadata: &Metadata,
        flow: &Flow,
        code: &str,
        audience: &str,
    ) -> Result<issuer::TokenReply, SignInError> {
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
            Err(IssuerError::Status(status)) if status.is_client_error() => Err(SignInError::Code),
            reply => Ok(reply?),
        }
    }
}

/// RFC 8707 takes absolute URIs alone; another audience the issuer knows by the client.
fn resource(audience: &str) -> Option<&str> {
    let (scheme, rest) = audience.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_scheme && !rest.is_empty()).then_some(audience)
}

fn secret_of(path: &Path) -> Result<String, FileError> {
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Unreadable {
        path: path.into(),
        source,
    })?;
    Ok(text.trim().to_owned())
}

/// As forms write it; every character but letters and digits is escaped.
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

/// Sends the browser to the issuer.
pub async fn start(State(sessions): State<Sessions>) -> Response {
    sessions
        .start()
        .await
        .unwrap_or_else(SignInError::into_response)
}

/// The way back. Whatever comes of it, the sign-in is over.
pub async fn callback(State(sessions): State<Sessions>, uri: Uri, headers: HeaderMap) -> Response {
    let cookies = match sessions.finish(&uri, &headers).await {
        Ok(session) => vec![session, cookie::clear(FLOW_COOKIE)],
        Err(error) => {
            let mut response = error.into_response();
            add_cookies(&mut response, &[cookie::clear(FLOW_COOKIE)]);
            return response;
        }
    };
    let mut response = redirect(StatusCode::SEE_OTHER, "/");
    add_cookies(&mut response, &cookies);
    response
}

impl Sessions {
    fn sign_in(&self) -> Result<(&SignIn, &Jwt), SignInError> {
        match (&self.0.sign_in, &*self.0.authenticator) {
            (Some(sign_in), Authenticator::Jwt(jwt)) => Ok((sign_in, &**jwt)),
            _ => Err(SignInError::None),
        }
    }

    async fn start(&self) -> Result<Response, SignInError> {
        let (sign_in, jwt) = self.sign_in()?;
        let metadata = sign_in.issuer.metadata(jwt.issuer()).await?;
        let flow = Flow {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
        };
        let location = sign_in.location(&metadata, &flow, jwt.audience());
        let sealed = self.0.seal.seal(Purpose::SignIn, &flow, FLOW_TTL);
        let sealed = sealed.ok_or(SignInError::Random)?;
        let mut response = redirect(StatusCode::SEE_OTHER, &location);
        add_cookies(
            &mut response,
            &[cookie::set(FLOW_COOKIE, &sealed, FLOW_TTL)],
        );
        Ok(response)
    }

    /// The cookie of the session that begins.
    async fn finish(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, SignInError> {
        let (sign_in, jwt) = self.sign_in()?;
        let answer = Answer::parse(uri.query().unwrap_or_default()).ok_or(SignInError::State)?;
        let sealed = cookie::value(headers, FLOW_COOKIE).ok_or(SignInError::NotBegun)?;
        let flow: Flow = self
            .0
            .seal
            .open(Purpose::SignIn, sealed)
            .ok_or(SignInError::NotBegun)?;
        let state = answer.state.as_deref().unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(flow.state.as_bytes())) {
            return Err(SignInError::State);
        }
        let metadata = sign_in.issuer.metadata(jwt.issuer()).await?;
        answer.check_issuer(&metadata, jwt.issuer())?;
        let code = answer.code()?;
        let tokens = sign_in
            .exchange(&metadata, &flow, &code, jwt.audience())
            .await?;
        let refused = |what: &str, error: crate::http::auth::AuthRejection| {
            warn!(%error, what, "a sign-in was refused");
            SignInError::Token(error.to_string())
        };
        let principal = jwt.principal_of(&tokens.access_token).await;
        let principal = principal.map_err(|error| refused("access token", error))?;
        let subject = principal.user.subject.as_str();
        let checked = jwt
            .check_id_token(&tokens.id_token, &sign_in.client_id, &flow.nonce, subject)
            .await;
        checked.map_err(|error| refused("ID token", error))?;
        self.begin(&Holder::of(&principal))
            .ok_or(SignInError::Random)
    }
}

/// What the issuer's redirect says.
#[derive(Debug, Default)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Answer {
    /// Parameters that mean nothing here are for others; none that does is there twice.
    fn parse(query: &str) -> Option<Self> {
        escapes_are_whole(query).ok()?;
        let mut answer = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match name {
                "code" => &mut answer.code,
                "state" => &mut answer.state,
                "iss" => &mut answer.iss,
                "error" => &mut answer.error,
                _ => continue,
            };
            let spaced = value.replace('+', " ");
            let value = percent_decode_str(&spaced).decode_utf8().ok()?.into_owned();
            if field.replace(value).is_some() {
                return None;
            }
        }
        Some(answer)
    }

    /// RFC 9207, section 2.4: the issuer that answers is the one that was asked.
    fn check_issuer(&self, metadata: &Metadata, issuer: &str) -> Result<(), SignInError> {
        let good = match &self.iss {
            Some(iss) => iss == issuer,
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        good.then_some(()).ok_or(SignInError::Issuer)
    }

    fn code(self) -> Result<String, SignInError> {
        if let Some(error) = self.error {
            // A word of RFC 6749, section 4.1.2.1; anybody can put anything there.
            let word = error
                .chars()
                .filter(|c| c.is_ascii_lowercase() || *c == '_');
            return Err(SignInError::Refused(word.take(40).collect()));
        }
        self.code.ok_or(SignInError::Code)
    }
}

impl SignInError {
    /// A text for the person who is in front of the browser.
    fn into_response(self) -> Response {
        let status = match &self {
            Self::None => StatusCode::NOT_FOUND,
            Self::Unavailable(error) => {
                let error = error as &dyn std::error::Error;
                warn!(error, "the issuer cannot be asked for a sign-in");
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Random => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let text = format!("{self}\nNobody was signed in. Open the page again to try once more.\n");
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (status, headers, text).into_response()
    }
}

fn redirect(status: StatusCode, location: &str) -> Response {
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, "no-store"),
        // The code and the state are nobody's business.
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers).into_response()
}

fn add_cookies(response: &mut Response, cookies: &[String]) {
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
}

/// Whether a text is a URL that browsers and servers may be sent to.
fn is_safe(url: &str) -> bool {
    url.split('?')
        .next()
        .is_some_and(|base| base.parse::<HttpUrl>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_each_parameter_once() {
        let answer = Answer::parse("code=a%2Bb&state=s&session_state=x&iss=https%3A%2F%2Fa.test");
        let answer = answer.expect("an answer");
        assert_eq!(answer.code.as_deref(), Some("a+b"));
        assert_eq!(answer.iss.as_deref(), Some("https://a.test"));
        for bad in ["code=a&code=b", "state=a&state=a", "code=%", "code=%ff"] {
            assert!(Answer::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_is_one_word_whatever_stands_there() {
        let refused = |query| {
            let code = Answer::parse(query).expect("an answer").code();
            code.expect_err("refused").to_string()
        };
        let said = refused("error=access_denied&code=a");
        assert_eq!(said, "The issuer refused: access_denied.");
        let said = refused("error=%3Cb%3EEvil%0A");
        assert_eq!(said, "The issuer refused: bvil.");
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
