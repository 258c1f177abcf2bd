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

/// Addresses have no names below them.
fn domain(text: &str) -> Result<AllowedHost, ValueError> {
    let domain: AllowedHost = text.parse().map_err(|_| DOMAIN)?;
    let is_name = domain.host.parse::<IpAddr>().is_err() && !domain.host.starts_with('[');
    let is_whole = !domain.host.starts_with('.') && !domain.host.ends_with('.');
    (is_name && is_whole).then_some(domain).ok_or(DOMAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

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
