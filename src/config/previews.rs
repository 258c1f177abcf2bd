//! Previews: where their hosts are, and who may show them in a frame.

use std::net::IpAddr;

use super::error::ConfigError;
use super::layer::Layer;
use super::setting::Setting;
use super::value_error::ValueError;
use super::web::{AllowedHost, WebOrigin};

const DOMAIN: ValueError = ValueError::Form(
    "a domain of previews is a name below which every name leads to this server, with or without \
     a port, such as `preview.example.com`",
);

/// The settings of previews.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreviewSettings {
    /// Below it each preview has a name; `None`: only on this machine there are any.
    pub domain: Option<AllowedHost>,
    /// Origins whose pages may show a preview in a frame.
    pub frame_ancestors: Vec<WebOrigin>,
}

impl PreviewSettings {
    /// # Errors
    ///
    /// A value that is not allowed.
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        let ancestors = super::http::list(given, Setting::PreviewFrameAncestors)?;
        Ok(Self {
            domain: given.value(Setting::PreviewDomain, None, |text| domain(text).map(Some))?,
            frame_ancestors: ancestors.unwrap_or_default(),
        })
    }
}

/// Browsers keep these names on the machine itself (RFC 6761, section 6.3), and treat them as secure
/// without TLS.
pub fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

/// Addresses have no names below them. Without the default port of the scheme, which browsers leave
/// out of `Host`.
fn domain(text: &str) -> Result<AllowedHost, ValueError> {
    let mut domain: AllowedHost = text.parse().map_err(|_| DOMAIN)?;
    let default = match is_localhost(&domain.host) {
        true => 80,
        false => 443,
    };
    domain.port = domain.port.filter(|port| *port != default);
    let is_name = domain.host.parse::<IpAddr>().is_err() && !domain.host.starts_with('[');
    let is_whole = !domain.host.starts_with('.') && !domain.host.ends_with('.');
    (is_name && is_whole).then_some(domain).ok_or(DOMAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_no_port_that_browsers_leave_out() {
        for (text, port) in [
            ("preview.example.com:443", None),
            ("preview.example.com", None),
            ("preview.example.com:80", Some(80)),
            ("preview.example.com:8443", Some(8443)),
            ("localhost:80", None),
            ("p.localhost:80", None),
            ("localhost:443", Some(443)),
        ] {
            assert_eq!(domain(text).map(|domain| domain.port), Ok(port), "{text}");
        }
    }

    #[test]
    fn a_domain_is_a_name_with_or_without_a_port() {
        for good in ["preview.example.com", "localhost:8080", "p.test:8443"] {
            assert!(domain(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1",
            "[::1]:80",
            "*.example.com",
            ".example.com",
            "https://a",
            "a/b",
        ] {
            assert_eq!(domain(bad), Err(DOMAIN), "{bad}");
        }
    }
}
