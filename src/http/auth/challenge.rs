//! The challenge in `WWW-Authenticate` (RFC 6750 section 3, RFC 9728 section 5.1).

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::AuthRejection;
use super::metadata::{AT_MCP, AT_ROOT};
use crate::config::AllowedHost;
use crate::http::failure::failure;

/// The protocol that a proxy's client spoke. Only a hint to that client depends on it.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Seconds after which a client may try again when the issuer does not answer.
pub const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// How one request is asked for a credential. It goes with the request, for inner layers that ask
/// for another.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// URL of the metadata that name the authorization server.
    metadata: Option<Arc<str>>,
}

impl Challenge {
    /// Without an authorization server.
    pub fn plain() -> Self {
        Self { metadata: None }
    }

    /// With an authorization server. The metadata are at the audience, if that is a URL, or at the
    /// host of the request.
    pub fn with_metadata(audience: &str, headers: &HeaderMap) -> Self {
        let metadata = at_audience(audience).or_else(|| at_host(headers));
        Self {
            metadata: metadata.map(Into::into),
        }
    }

    /// The answer to a rejected request; one that asks for a credential names it.
    pub fn reject(&self, rejection: &AuthRejection) -> Response {
        let body = failure(rejection.code(), &rejection.to_string());
        let mut response = (rejection.status(), body).into_response();
        let headers = response.headers_mut();
        if let Some(value) = self.to_value(rejection) {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        if *rejection == AuthRejection::NoKeys {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }

    /// The `WWW-Authenticate` of an answer, if it has one.
    pub fn to_value(&self, rejection: &AuthRejection) -> Option<HeaderValue> {
        let mut text = match &self.metadata {
            Some(url) => format!(r#"Bearer resource_metadata="{url}""#),
            None => r#"Bearer realm="casemate""#.to_owned(),
        };
        match rejection {
            AuthRejection::Missing => {}
            AuthRejection::Invalid(reason) => {
                let error = rejection.code();
                let _ = write!(text, r#", error="{error}", error_description="{reason}""#);
            }
            AuthRejection::Lacks(scope) => {
                let (error, scope) = (rejection.code(), scope.as_str());
                let _ = write!(text, r#", error="{error}", scope="{scope}""#);
            }
            _ => return None,
        }
        Some(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer")))
    }
}

fn at_audience(audience: &str) -> Option<String> {
    let uri: Uri = audience.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let host: AllowedHost = authority.as_str().parse().ok()?;
    let path = if uri.path() == "/mcp" {
        AT_MCP
    } else {
        AT_ROOT
    };
    let known = matches!(scheme, "https" | "http");
    known.then(|| format!("{scheme}://{}{path}", spelled(&host)))
}

fn at_host(headers: &HeaderMap) -> Option<String> {
    let host: AllowedHost = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    let proto = headers.get(FORWARDED_PROTO);
    let scheme = if proto.is_some_and(|it| it == "https") {
        "https"
    } else {
        "http"
    };
    Some(format!("{scheme}://{}{AT_MCP}", spelled(&host)))
}

/// Of a grammar that has no quotes.
fn spelled(host: &AllowedHost) -> String {
    match host.port {
        Some(port) => format!("{}:{port}", host.host),
        None => host.host.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Scope;

    fn asked(
        audience: &str,
        headers: &[(&'static str, &str)],
        rejection: &AuthRejection,
    ) -> String {
        let headers = headers.iter().map(|(name, value)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, HeaderValue::try_from(*value).unwrap())
        });
        let challenge = Challenge::with_metadata(audience, &headers.collect());
        let value = challenge.to_value(rejection).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn it_names_the_metadata_where_the_audience_is() {
        for (audience, url) in [
            (
                "https://a.example/mcp",
                "https://a.example/.well-known/oauth-protected-resource/mcp",
            ),
            (
                "https://A.example:8443",
                "https://a.example:8443/.well-known/oauth-protected-resource",
            ),
        ] {
            let expected = format!(r#"Bearer resource_metadata="{url}""#);
            assert_eq!(asked(audience, &[], &AuthRejection::Missing), expected);
        }
    }

    #[test]
    fn an_audience_that_is_no_url_leaves_it_where_the_request_came_to() {
        let well_known = ".well-known/oauth-protected-resource/mcp";
        for audience in [
            "casemate",
            "api://casemate",
            "urn:a",
            "https://a\"b.example/mcp",
        ] {
            let host = [("host", "b.example:80")];
            let expected =
                format!(r#"Bearer resource_metadata="http://b.example:80/{well_known}""#);
            assert_eq!(asked(audience, &host, &AuthRejection::Missing), expected);
        }
        let proxied = [("host", "b.example"), ("x-forwarded-proto", "https")];
        let value = asked("casemate", &proxied, &AuthRejection::Missing);
        assert!(value.contains(r#""https://b.example/.well"#), "{value}");
    }

    #[test]
    fn it_says_what_is_wrong_with_a_token_and_nothing_where_none_came() {
        let plain = Challenge::plain();
        for (rejection, expected) in [
            (AuthRejection::Missing, Some(r#"Bearer realm="casemate""#)),
            (
                AuthRejection::Invalid("it has expired"),
                Some(
                    r#"Bearer realm="casemate", error="invalid_token", error_description="it has expired""#,
                ),
            ),
            (
                AuthRejection::Lacks(Scope::Files),
                Some(r#"Bearer realm="casemate", error="insufficient_scope", scope="files""#),
            ),
            (AuthRejection::WhichUser, None),
            (AuthRejection::NoKeys, None),
        ] {
            let value = plain.to_value(&rejection);
            assert_eq!(
                value.as_ref().map(|value| value.to_str().unwrap()),
                expected
            );
        }
    }
}
