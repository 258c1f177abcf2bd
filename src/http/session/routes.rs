//! `/sign-in` and `/sign-out`. They need no credential, but only the page's own script can sign in or
//! out.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::holder::SessionHolder;
use super::page_request::is_from_the_page;
use super::{COOKIE_NAME, Sessions, at_issuer, cookie};
use crate::http::auth::{AuthRejection, Authenticator, reject_body};
use crate::http::failure::failure;
use crate::http::guard::CALLBACK;
use crate::http::v1::json_body;
use crate::identity::Scope;

/// On each of these answers: no cache may store it.
const NO_STORE: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// The routes.
pub fn routes(sessions: &Sessions) -> Router {
    Router::new()
        .route("/sign-in", get(how).post(sign_in))
        .route("/sign-in/start", get(at_issuer::start))
        .route(CALLBACK, get(at_issuer::callback))
        .route("/sign-out", post(sign_out))
        .with_state(sessions.clone())
}

/// The body of `POST /sign-in`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    token: String,
}

/// How a user signs in: `none` (no need to), `token` (exchanged for a session), `bearer` (a token
/// that the page keeps in memory), or `issuer` (at the issuer's own page).
async fn how(State(sessions): State<Sessions>) -> Response {
    let method = match (&*sessions.0.authenticator, &sessions.0.sign_in) {
        (Authenticator::Nobody(_), _) => "none",
        (Authenticator::Tokens(_), _) => "token",
        (Authenticator::Jwt(_), Some(_)) => "issuer",
        (Authenticator::Jwt(_), None) => "bearer",
    };
    success(&json!({ "method": method }), None)
}

/// Exchanges a token for a session.
async fn sign_in(State(sessions): State<Sessions>, headers: HeaderMap, body: Body) -> Response {
    if !is_from_the_page(&headers) {
        return not_from_the_page();
    }
    let body: TokenBody = match json_body::paths(&headers, body).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let Authenticator::Tokens(tokens) = &*sessions.0.authenticator else {
        let why = "this server takes no token for a session.";
        return (StatusCode::NOT_FOUND, failure("not_found", why)).into_response();
    };
    let digest = crate::http::auth::tokens::digest(body.token.trim());
    let rejection = match tokens.user_of(&digest) {
        // A session is good for files only.
        Some(principal) if !principal.scopes.files => Some(AuthRejection::Lacks(Scope::Files)),
        Some(_) => None,
        None if tokens.is_delegate(&digest) => Some(AuthRejection::WhichUser),
        None => Some(AuthRejection::Invalid("it is not known")),
    };
    if let Some(rejection) = rejection {
        return reject_body(&rejection);
    }
    let holder = SessionHolder::token_of(&digest);
    match sessions.begin(&holder) {
        Some(cookie) => success(&json!({}), Some(cookie)),
        None => (
            StatusCode::INTERNAL_SERVER_ERROR,
            failure("internal", "the session could not be sealed."),
        )
            .into_response(),
    }
}

/// Removes the session from the browser. A copy of the cookie stays valid until it expires, or until
/// its token is removed from the file.
async fn sign_out(headers: HeaderMap) -> Response {
    match is_from_the_page(&headers) {
        true => success(&json!({}), Some(cookie::clear(COOKIE_NAME))),
        false => not_from_the_page(),
    }
}

fn not_from_the_page() -> Response {
    let why = "only the page itself signs in and out.";
    (StatusCode::FORBIDDEN, failure("forbidden", why)).into_response()
}

fn success(data: &Value, cookie: Option<String>) -> Response {
    let body = Json(json!({ "success": true, "data": data }));
    let mut response = ([NO_STORE], body).into_response();
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
