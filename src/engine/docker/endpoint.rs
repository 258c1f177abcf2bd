//! The address of an Engine, parsed.

use std::path::PathBuf;

/// Docker's own port for plain HTTP.
const DEFAULT_PORT: &str = "2375";

/// Why an address with TLS is refused, and what to do instead.
pub(super) const TLS: &str = "TLS is not supported yet; use the Engine's unix socket, \
                   or a tunnel to it (ssh -L ./docker.sock:/var/run/docker.sock HOST)";
const ACCEPTED: &str = "use unix:///path/to/docker.sock or tcp://host:port";

/// An address that bollard and we can connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl Endpoint {
    /// Accepts `unix://`, `tcp://` and `http://`. The error names the problem and an alternative.
    pub(super) fn parse(uri: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = uri.split_once("://") else {
            return Err(format!("it has no scheme; {ACCEPTED}"));
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(format!(
                "the path of the socket is not absolute; {ACCEPTED}"
            )),
            "tcp" | "http" => Self::parse_authority(rest),
            "https" => Err(TLS.to_owned()),
            "ssh" => Err(format!(
                "ssh is not supported yet; forward the socket \
                 (ssh -L ./docker.sock:/var/run/docker.sock HOST) and use that: {ACCEPTED}"
            )),
            _ => Err(format!("the scheme {scheme} is not supported; {ACCEPTED}")),
        }
    }

    fn parse_authority(rest: &str) -> Result<Self, String> {
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ']) {
            return Err(format!("it is not host:port; {ACCEPTED}"));
        }
        let after_host = authority.rsplit(']').next().unwrap_or(authority);
        if after_host.contains(':') {
            Ok(Self::Tcp(authority.to_owned()))
        } else {
            Ok(Self::Tcp(format!("{authority}:{DEFAULT_PORT}")))
        }
    }
}
