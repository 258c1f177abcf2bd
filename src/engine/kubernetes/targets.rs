//! What no sandbox may reach, as far as a server knows it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

/// Where clouds give a machine's credentials to any process on it.
const METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// Where a Pod finds the API server, by its first service.
const RESOLVERS: &str = "/etc/resolv.conf";

/// A file that is only in a Pod.
const IN_POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The API server, the metadata service, and the cluster's DNS, which a server that is a Pod asks itself.
/// Blocks on the name of the API server, if it has one.
pub fn known(api_server: &http::Uri) -> Vec<SocketAddr> {
    let mut known = vec![METADATA];
    let host = api_server.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = api_server.port_u16().unwrap_or(443);
    // A name that is not known here is reported by the first request.
    known.extend((host, port).to_socket_addrs().into_iter().flatten());
    if std::path::Path::new(IN_POD).exists() {
        let text = std::fs::read_to_string(RESOLVERS).unwrap_or_default();
        known.extend(resolvers(&text));
    }
    known
}

/// resolv.conf(5).
fn resolvers(text: &str) -> impl Iterator<Item = SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
    });
    // At a loopback address a sandbox reaches only itself.
    let outside = addresses.filter(|address: &IpAddr| !address.is_loopback());
    outside.map(|address| SocketAddr::new(address, 53))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_and_the_metadata_service_are_always_among_them() {
        for (uri, expected) in [
            ("https://10.0.0.1:6443", "10.0.0.1:6443"),
            ("https://10.0.0.1", "10.0.0.1:443"),
            ("https://[fd00::1]:6443/prefix", "[fd00::1]:6443"),
        ] {
            let found = known(&uri.parse().expect("a URI"));
            assert!(found.contains(&METADATA));
            assert!(
                found.contains(&expected.parse().expect("an address")),
                "{uri}: {found:?}"
            );
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
