use std::fmt;
use std::net::IpAddr;

use super::{Problem, ProxyTable, ResolvedBy};
use crate::HostName;

/// The proxy that connections are made through.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password`, percent-encoded as in the URL.
    pub credentials: Option<String>,
    /// The side that resolves names.
    pub resolved_by: ResolvedBy,
}

/// Without the password.
impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => write!(formatter, "http://[{host}]:{port}"),
            false => write!(formatter, "http://{host}:{port}"),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxy({self}, {:?})", self.resolved_by)
    }
}

impl Proxy {
    pub(super) fn parse(table: &ProxyTable) -> Result<Self, Problem> {
        let parsed = parts(&table.url).map(|(credentials, host, port)| Self {
            host,
            port,
            credentials,
            resolved_by: table.resolve,
        });
        parsed.ok_or(Problem::Proxy)
    }
}

/// Of `http://[user:password@]host:port`.
fn parts(url: &str) -> Option<(Option<String>, String, u16)> {
    let rest = url.strip_prefix("http://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (credentials, authority) = match rest.rsplit_once('@') {
        Some((credentials, authority)) => (Some(credentials), authority),
        None => (None, rest),
    };
    let is_pair =
        |text: &str| text.contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !credentials.is_none_or(is_pair) {
        return None;
    }
    let (host, port) = authority.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let host = match address.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => HostName::parse(host).ok()?.as_str().to_owned(),
    };
    Some((credentials.map(str::to_owned), host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Proxy, Problem> {
        Proxy::parse(&ProxyTable {
            url: url.to_owned(),
            resolve: ResolvedBy::Here,
        })
    }

    #[test]
    fn a_proxy_is_an_http_url_with_a_port_and_its_password_is_shown_nowhere() {
        for (url, shown) in [
            (
                "http://Proxy.example.com:3128",
                "http://proxy.example.com:3128",
            ),
            ("http://127.0.0.1:3128/", "http://127.0.0.1:3128"),
            ("http://[::1]:3128", "http://[::1]:3128"),
            (
                "http://ada:s%40crets@proxy.example.com:80",
                "http://proxy.example.com:80",
            ),
        ] {
            let proxy = parse(url).expect(url);
            assert_eq!(proxy.to_string(), shown);
            assert!(!format!("{proxy:?}").contains("crets"), "{proxy:?}");
        }
        let ada = parse("http://ada:s%40crets@proxy.example.com:80").expect("a proxy");
        assert_eq!(ada.credentials.as_deref(), Some("ada:s%40crets"));
        for bad in [
            "",
            "proxy.example.com:3128",
            "https://proxy.example.com:3128",
            "http://proxy.example.com",
            "http://proxy.example.com:0",
            "http://proxy.example.com:3128/path",
            "http://:3128",
            "http://ada@proxy.example.com:3128",
            "http://a b:3128",
        ] {
            assert_eq!(parse(bad), Err(Problem::Proxy), "{bad}");
        }
    }
}
