//! The issuer's metadata, and what of it is accepted.

use serde::Deserialize;

use crate::config::HttpUrl;

/// The fields of the issuer's metadata that are needed (OpenID Connect Discovery, section 3).
#[derive(Debug, Deserialize)]
pub struct Metadata {
    issuer: String,
    /// Where a person signs in.
    pub authorization_endpoint: String,
    /// Where a code is exchanged for tokens.
    pub token_endpoint: String,
    /// Whether its answers carry `iss` (RFC 9207, section 3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Whether this is the metadata of `issuer`, and its endpoints are as safe as the issuer's URL.
    pub fn is_of(&self, issuer: &str) -> bool {
        let endpoints = [&self.authorization_endpoint, &self.token_endpoint];
        self.issuer == issuer && endpoints.iter().all(|url| is_safe(url, issuer))
    }
}

/// Whether `issuer` may name `url` as an endpoint. An issuer with https may only name https; plain
/// HTTP is for an issuer on this machine.
fn is_safe(url: &str, issuer: &str) -> bool {
    let is_https = |url: &HttpUrl| url.as_uri().scheme_str() == Some("https");
    let base = url.split('?').next().unwrap_or_default();
    match (base.parse(), issuer.parse()) {
        (Ok(base), Ok(issuer)) => !url.contains('#') && (is_https(&base) || !is_https(&issuer)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_as_safe_as_its_issuer() {
        let (far, here) = ("https://a.test", "http://127.0.0.1:8000");
        for (url, issuer, is_one) in [
            ("https://a.test/token", far, true),
            ("https://b.test/authorize?p=x", far, true),
            ("https://a.test/token", here, true),
            ("http://localhost:8000/token", here, true),
            ("http://localhost:8000/token", far, false),
            ("http://a.test/token", here, false),
            ("https://a.test/authorize#x", far, false),
            ("https://a.test/authorize?p=x#y", far, false),
            ("https://a@b.test/token", far, false),
            ("javascript:alert(1)", here, false),
            ("//a.test/token", far, false),
            ("", far, false),
        ] {
            assert_eq!(is_safe(url, issuer), is_one, "{url} of {issuer}");
        }
    }
}
