//! What no sandbox may reach, as far as a server knows it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::error::unavailable;
use crate::engine::error::EngineError;

/// Where clouds give a machine's credentials to any process on it.
pub const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// Where a Pod finds the API server, by its first service.
const RESOLVERS: &str = "/etc/resolv.conf";

/// A file that is only in a Pod.
const IN_POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The API server, and the cluster's DNS, which a server that is a Pod asks itself. Another server may know
/// them by other addresses.
///
/// # Errors
/// The API server's name has no address.
pub async fn of_cluster(api_server: &http::Uri) -> Result<Vec<SocketAddr>, EngineError> {
    let host = api_server.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = api_server.port_u16().unwrap_or(443);
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|error| unavailable(&api_server.to_string(), error))?;
    let mut all: Vec<_> = found.filter(|found| can_be_tried(found.ip())).collect();
    if std::path::Path::new(IN_POD).exists() {
        let text = std::fs::read_to_string(RESOLVERS).unwrap_or_default();
        all.extend(resolvers(&text));
    }
    Ok(all)
}

/// At a loopback address a sandbox reaches only itself: a tunnel, and a cluster on this machine, have one.
pub fn can_be_tried(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !address.is_loopback() && !address.is_unspecified()
}

/// resolv.conf(5).
fn resolvers(text: &str) -> impl Iterator<Item = SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
    });
    let outside = addresses.filter(|address: &IpAddr| can_be_tried(*address));
    outside.map(|address| SocketAddr::new(address, 53))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_api_server_is_among_them_by_each_address_that_a_sandbox_can_try() {
        for (uri, expected) in [
            ("https://10.0.0.1:6443", "10.0.0.1:6443"),
            ("https://10.0.0.1", "10.0.0.1:443"),
            ("https://[fd00::1]:6443/prefix", "[fd00::1]:6443"),
        ] {
            let found = of_cluster(&uri.parse().expect("a URI")).await;
            let found = found.expect("an address needs no resolver");
            assert!(
                found.contains(&expected.parse().expect("an address")),
                "{uri}: {found:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_api_server_without_an_address_is_an_error() {
        let unknown = "https://api.invalid:6443".parse().expect("a URI");
        let found = of_cluster(&unknown).await;
        assert!(
            matches!(found, Err(EngineError::Unavailable { .. })),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn a_tunnel_to_the_api_server_is_no_address_that_a_sandbox_could_reach() {
        for uri in [
            "https://127.0.0.1:6443",
            "https://[::1]:6443",
            "https://0.0.0.0:6443",
        ] {
            let found = of_cluster(&uri.parse().expect("a URI")).await;
            assert_eq!(found.expect("an address"), [], "{uri}");
        }
    }

    #[test]
    fn the_clusters_dns_is_read_from_resolv_conf() {
        let text = "search a.svc\nnameserver 10.96.0.10\n# nameserver 1.1.1.1\n\
                    nameserver 127.0.0.1\nnameserver ::1\nnameserver fd00::a\n";
        let found: Vec<String> = resolvers(text).map(|one| one.to_string()).collect();
        assert_eq!(found, ["10.96.0.10:53", "[fd00::a]:53"]);
    }
}
