//! `/sign-in/start` and `/sign-in/callback`: the sign-in at the issuer, as a browser goes through it.

use axum::extract::State;
use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tracing::warn;

use super::holder::SessionHolder;
use super::oidc::{AuthorizationResponse, FLOW_TTL, Flow, SignIn, SignInError};
use super::seal::Purpose;
use super::{Sessions, cookie};
use crate::http::auth::{AuthRejection, Authenticator, Jwt};
use crate::identity::Scope;

/// The cookie of a sign-in under way.
const FLOW_COOKIE: &str = "__Host-casemate-sign-in";

/// Sends the browser to the issuer.
pub async fn start(State(sessions): State<Sessions>) -> Response {
    sessions
        .start()
        .await
        .unwrap_or_else(SignInError::into_response)
}

/// The redirect back from the issuer. An answer to this sign-in ends it, whether it succeeds or
/// fails. An answer to another one changes nothing: any site can link to such an answer.
pub async fn callback(State(sessions): State<Sessions>, uri: Uri, headers: HeaderMap) -> Response {
    let cookies = match sessions.finish(&uri, &headers).await {
        Ok(session) => vec![session, cookie::clear(FLOW_COOKIE)],
        Err(error) => {
            let is_another = matches!(error, SignInError::State | SignInError::NotBegun);
            let mut response = error.into_response();
            if !is_another {
                add_cookies(&mut response, &[cookie::clear(FLOW_COOKIE)]);
            }
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
        let (flow, location) = sign_in.begin(jwt).await?;
        let sealed = self.0.seal.seal(Purpose::SignIn, &flow, FLOW_TTL);
        let sealed = sealed.ok_or(SignInError::Random)?;
        let mut response = redirect(StatusCode::SEE_OTHER, &location);
        add_cookies(
            &mut response,
            &[cookie::set(FLOW_COOKIE, &sealed, FLOW_TTL)],
        );
        Ok(response)
    }

    /// Completes the sign-in: the cookie of the new session.
    async fn finish(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, SignInError> {
        let (sign_in, jwt) = self.sign_in()?;
        let answer = AuthorizationResponse::parse(uri.query().unwrap_or_default())
            .ok_or(SignInError::State)?;
        let sealed = cookie::value(headers, FLOW_COOKIE).ok_or(SignInError::NotBegun)?;
        let flow: Flow = self
            .0
            .seal
            .open(Purpose::SignIn, sealed)
            .ok_or(SignInError::NotBegun)?;
        if !flow.is_answered_by(&answer) {
            return Err(SignInError::State);
        }
        let tokens = sign_in.tokens(jwt, &flow, answer).await?;
        let refused = |what: &str, error: AuthRejection| {
            if error == AuthRejection::NoKeys {
                return SignInError::NoKeys;
            }
            warn!(%error, what, "a sign-in was refused");
            SignInError::Token(error.to_string())
        };
        let principal = jwt.principal_of(&tokens.access_token).await;
        let principal = principal.map_err(|error| refused("access token", error))?;
        if !principal.scopes.files {
            let error = AuthRejection::Lacks(Scope::Files);
            return Err(refused("access token", error));
        }
        let subject = principal.identity.user.subject.as_str();
        let checked = jwt
            .check_id_token(&tokens.id_token, sign_in.client_id(), flow.nonce(), subject)
            .await;
        checked.map_err(|error| refused("ID token", error))?;
        self.begin(&SessionHolder::subject_of(&principal, jwt))
            .ok_or(SignInError::Random)
    }
}

fn redirect(status: StatusCode, location: &str) -> Response {
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, "no-store"),
        // The address has the code and the state, which no other site may see.
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
