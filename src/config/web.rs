//! URLs, hosts and origins, each with one spelling.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

use super::value_error::ValueError;

const ADDRESS: ValueError = ValueError::Form(
    "an address is `127.0.0.1:9464` or `[::1]:9464`, or a port of 127.0.0.1 such as `9464`",
);
const URL: ValueError = ValueError::Form(
    "a URL is `https://host/path` without user, query and fragment; `http` only with a \
     loopback address or localhost",
);
const HOST: ValueError = ValueError::Form(
    "a host is a name or an address, with or without a port, such as `mcp.example.com:8080`; \
     separate several by commas",
);
const WEB_ORIGIN: ValueError = ValueError::Form(
    "an origin is `https://host` or `https://host:port`, without a path and without wildcards; \
     separate several by commas",
);

/// `https://…` without user, query and fragment; `http://…` where the host is loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(Uri);

/// A name that a `Host` header may have, in lower case; without a port it fits every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// A name or an address; an IPv6 address in brackets.
    pub host: String,
    /// The only port that fits.
    pub port: Option<u16>,
}

/// The value of an `Origin` header, as browsers write it (RFC 6454 section 6.2): lower case,
/// without the default port of the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

/// Where to listen: an address and a port (`0.0.0.0:8080`, `[::1]:8080`), or a port of 127.0.0.1:
/// `8080`, `:8080`, `localhost:8080`. A port alone never means all addresses.
///
/// # Errors
/// `ADDRESS`.
pub fn listen_address(text: &str) -> Result<SocketAddr, ValueError> {
    let port = match text.rsplit_once(':') {
        Some(("", port)) => port,
        Some((host, port)) if host.eq_ignore_ascii_case("localhost") => port,
        _ => text,
    };
    let port = port.parse().map(|port| (Ipv4Addr::LOCALHOST, port).into());
    port.or_else(|_| text.parse()).map_err(|_| ADDRESS)
}

impl HttpUrl {
    /// The URL.
    pub fn as_uri(&self) -> &Uri {
        &self.0
    }

    /// The same URL without the default port of its scheme, as browsers write it.
    #[must_use]
    pub fn without_default_port(self) -> Self {
        let default = match self.0.scheme_str() {
            Some("https") => Some(443),
            _ => Some(80),
        };
        let host = self.0.host().filter(|_| self.0.port_u16() == default);
        let Some(host) = host.and_then(|host| host.parse::<Authority>().ok()) else {
            return self;
        };
        let mut parts = self.0.clone().into_parts();
        parts.authority = Some(host);
        // Only the port is gone.
        Uri::from_parts(parts).map_or(self, Self)
    }
}

impl FromStr for HttpUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        // `Uri` drops a fragment. An issuer is compared byte for byte, so it must not have one.
        let uri: Uri = text.parse().map_err(|_| URL)?;
        let host = uri.host().ok_or(URL)?;
        let safe = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => is_loopback(host),
            _ => false,
        };
        let plain = !text.contains(['@', '?', '#']) && !host.is_empty();
        (safe && plain).then_some(Self(uri)).ok_or(URL)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |ip| {
        ip.is_loopback()
    })
}

impl FromStr for AllowedHost {
    type Err = ValueError;

    /// Also parses a `Host` header: only a host and a port (RFC 9110 section 7.2).
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let authority: Authority = text.parse().map_err(|_| HOST)?;
        let host = authority.host().to_ascii_lowercase();
        // An authority may have a user, an empty port or none, and `*` in its name.
        let port = authority.port_u16();
        let spelled = match port {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        let exact = spelled.eq_ignore_ascii_case(text) && text.chars().all(known);
        (exact && !host.is_empty())
            .then_some(Self { host, port })
            .ok_or(HOST)
    }
}

impl AllowedHost {
    /// Whether this name allows a request to `other`.
    pub fn fits(&self, other: &Self) -> bool {
        self.host == other.host && (self.port.is_none() || self.port == other.port)
    }
}

impl WebOrigin {
    /// As in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (scheme, rest) = text.split_once("://").ok_or(WEB_ORIGIN)?;
        let scheme = scheme.to_ascii_lowercase();
        let own = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err(WEB_ORIGIN),
        };
        let host: AllowedHost = rest.parse().map_err(|_| WEB_ORIGIN)?;
        Ok(Self(match host.port.filter(|&port| port != own) {
            Some(port) => format!("{scheme}://{}:{port}", host.host),
            None => format!("{scheme}://{}", host.host),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_loopback_and_only_a_place() {
        for good in [
            "https://id.example.com",
            "https://id.example.com/realms/a/",
            "https://id.example.com:8443/keys.json",
            "http://127.0.0.1:9/keys",
            "http://[::1]:9/keys",
            "http://localhost/keys",
        ] {
            assert!(good.parse::<HttpUrl>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "local",
            "id.example.com",
            "/keys",
            "https://",
            "https:///keys",
            "ftp://a/b",
            "http://id.example.com/keys",
            "http://127.0.0.1.example.com/",
            "http://localhost.a/",
            "https://user@id.example.com/",
            "https://a/keys?x=1",
            "https://a/#b",
            "http://128.0.0.1/",
        ] {
            assert_eq!(bad.parse::<HttpUrl>(), Err(URL), "{bad}");
        }
    }

    #[test]
    fn a_default_port_is_left_out_and_no_other() {
        for (text, plain) in [
            ("https://a.example.com:443", "https://a.example.com/"),
            ("https://a.example.com:443/b", "https://a.example.com/b"),
            ("https://a.example.com:80", "https://a.example.com:80/"),
            ("https://a.example.com", "https://a.example.com/"),
            ("http://localhost:80/", "http://localhost/"),
            ("http://[::1]:80/", "http://[::1]/"),
            ("http://localhost:443/", "http://localhost:443/"),
        ] {
            let url: HttpUrl = text.parse().expect("a URL");
            assert_eq!(url.without_default_port().as_uri().to_string(), plain);
        }
    }

    #[test]
    fn a_host_has_no_user_no_path_and_no_wildcard() {
        for (text, host, port) in [
            ("MCP.example.com", "mcp.example.com", None),
            ("mcp.example.com:8080", "mcp.example.com", Some(8080)),
            ("127.0.0.1", "127.0.0.1", None),
            ("[::1]:80", "[::1]", Some(80)),
        ] {
            let host = host.to_owned();
            assert_eq!(text.parse(), Ok(AllowedHost { host, port }), "{text}");
        }
        for bad in [
            "",
            "*",
            "*.example.com",
            "a b",
            "a/b",
            "user@a",
            "a:",
            "a:x",
            "a:99999",
            ":80",
            "::1",
            "a:080",
            "http://a",
            "a,b",
            "é",
        ] {
            assert_eq!(bad.parse::<AllowedHost>(), Err(HOST), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_spelled_as_browsers_spell_it() {
        for (text, origin) in [
            ("https://Chat.Example.com", "https://chat.example.com"),
            ("https://chat.example.com:443", "https://chat.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("HTTP://[::1]:8080", "http://[::1]:8080"),
        ] {
            let parsed: WebOrigin = text.parse().unwrap();
            assert_eq!(parsed.as_str(), origin);
        }
        for bad in [
            "*",
            "null",
            "",
            "chat.example.com",
            "https://a/",
            "https://a/b",
            "file://",
            "https://*",
            "https://*.example.com",
        ] {
            assert_eq!(bad.parse::<WebOrigin>(), Err(WEB_ORIGIN), "{bad}");
        }
    }
}
