use std::collections::BTreeSet;
use std::fmt;

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Pattern, Problem};

/// Port of a rule that names none: HTTPS.
pub const DEFAULT_PORT: u16 = 443;

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Which names.
    pub pattern: Pattern,
    /// Which port; never 0.
    pub port: u16,
    /// The content that may pass.
    pub protocol: Protocol,
    /// Networks that are not public and that the name may resolve to.
    pub allow_cidrs: Vec<IpNet>,
}

/// What a rule lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TLS whose server name is the host's.
    Tls,
    /// Any bytes.
    Tcp,
}

impl Rule {
    /// `host`, `*.host:port` or `host:port/tcp`.
    ///
    /// # Errors
    ///
    /// If `text` has another form.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let (target, protocol) = match text.rsplit_once('/') {
            Some((target, protocol)) => (target, Protocol::parse(protocol)?),
            None => (text, Protocol::Tls),
        };
        let (host, port) = match target.rsplit_once(':') {
            // An IPv6 address: refused as a host, with all of it shown.
            Some((front, _)) if front.contains(':') => (target, None),
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (target, None),
        };
        Self::new(host, port, protocol, Vec::new())
    }

    /// The parts of a rule that is written as a table.
    ///
    /// # Errors
    ///
    /// Where a part is no valid one, or opaque bytes are allowed without a port.
    pub fn new(
        host: &str,
        port: Option<u16>,
        protocol: Protocol,
        allow_cidrs: Vec<IpNet>,
    ) -> Result<Self, Problem> {
        let pattern = Pattern::parse(host)?;
        if protocol == Protocol::Tcp && port.is_none() {
            return Err(Problem::PortMissing);
        }
        if port == Some(0) {
            return Err(Problem::Port);
        }
        // It would lift every range at once.
        if allow_cidrs.iter().any(|network| network.prefix_len() == 0) {
            return Err(Problem::EveryAddress);
        }
        let allow_cidrs: BTreeSet<_> = allow_cidrs.iter().map(IpNet::trunc).collect();
        let allow_cidrs = allow_cidrs.into_iter().collect();
        Ok(Self {
            pattern,
            port: port.unwrap_or(DEFAULT_PORT),
            protocol,
            allow_cidrs,
        })
    }

    /// What two rules of one user cannot both be about.
    pub(super) fn target(&self) -> (&Pattern, u16) {
        (&self.pattern, self.port)
    }
}

impl Protocol {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "tls" => Ok(Self::Tls),
            "tcp" => Ok(Self::Tcp),
            _ => Err(Problem::Protocol),
        }
    }
}

/// Digits alone: `u16::from_str` accepts a sign too.
fn parse_port(text: &str) -> Result<u16, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_number);
    port.ok_or(Problem::Port)
}

/// As in the settings, the default port left out; with `{:#}` everything is spelled out.
impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.pattern)?;
        let is_default = self.port == DEFAULT_PORT && self.protocol == Protocol::Tls;
        if formatter.alternate() || !is_default {
            write!(formatter, ":{}", self.port)?;
        }
        match self.protocol {
            Protocol::Tcp => formatter.write_str("/tcp"),
            Protocol::Tls if formatter.alternate() => formatter.write_str("/tls"),
            Protocol::Tls => Ok(()),
        }
    }
}

/// A network, or an address that is one by itself.
pub(super) fn parse_network(text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).ok_or(Problem::Network)
}
