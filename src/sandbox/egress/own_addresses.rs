//! The addresses of this machine, which rules do not reach.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use casemate_egress::address::OwnAddresses;
use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tracing::warn;

use crate::engine::Engine;

/// How long the lookups of names may take, which run at once. A command may wait for them, once.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// What Docker and Podman make in each container.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// The names of the host inside a container.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

/// The kernel's table of IPv4 routes.
const ROUTES: &str = "/proc/net/route";

/// Every address of this machine now; in a container also those of its host, as far as they can be
/// known. `listeners`: this server's.
pub async fn look(
    listeners: Vec<SocketAddr>,
    engine: &Engine,
    public_host: Option<&str>,
) -> OwnAddresses {
    let mut machine = interfaces();
    let mut names: Vec<&str> = public_host.into_iter().collect();
    if CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists()) {
        let routes = fs::read_to_string(ROUTES).unwrap_or_default();
        machine.extend(default_gateways(&routes));
        names.extend(HOST_NAMES);
    }
    let lookups = join_all(names.into_iter().map(addresses_of));
    let engine = async {
        match engine.control_address() {
            Some(address) => resolved(address.to_owned()).await,
            None => Vec::new(),
        }
    };
    let (found, engine) = tokio::join!(lookups, engine);
    machine.extend(found.into_iter().flatten());
    machine.sort_unstable();
    machine.dedup();
    let mut sockets = listeners;
    sockets.extend(engine);
    sockets.sort_unstable();
    sockets.dedup();
    OwnAddresses { machine, sockets }
}

fn interfaces() -> Vec<IpAddr> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            warn!(error, "the addresses of this machine cannot be read");
            Vec::new()
        }
    }
}

async fn addresses_of(name: &str) -> Vec<IpAddr> {
    if let Ok(address) = name.trim_matches(['[', ']']).parse() {
        return vec![address];
    }
    let found = resolved(format!("{name}:0")).await;
    found.into_iter().map(|socket| socket.ip()).collect()
}

/// None where it is not known.
async fn resolved(host_and_port: String) -> Vec<SocketAddr> {
    match timeout(LOOKUP_TIMEOUT, lookup_host(host_and_port)).await {
        Ok(Ok(found)) => found.collect(),
        _ => Vec::new(),
    }
}

/// The gateways of the routes to everywhere: the second and the third column in hexadecimal, in the
/// machine's byte order.
fn default_gateways(routes: &str) -> Vec<IpAddr> {
    let gateway = |line: &str| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (to, gateway) = (columns.next()?, columns.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        let is_default = to == "00000000" && gateway != 0;
        is_default.then(|| IpAddr::from(Ipv4Addr::from(gateway.to_ne_bytes())))
    };
    routes.lines().skip(1).filter_map(gateway).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineAddress;

    #[test]
    fn the_gateway_of_the_default_route_is_found() {
        let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                      eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n\
                      eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n";
        let gateway = IpAddr::from(Ipv4Addr::from(0x0100_11AC_u32.to_ne_bytes()));
        assert_eq!(default_gateways(routes), [gateway]);
        assert_eq!(default_gateways(""), Vec::<IpAddr>::new());
    }

    #[tokio::test]
    async fn loopback_and_listeners_are_among_them() {
        let engine = Engine::new(EngineAddress {
            uri: "unix:///nowhere".to_owned(),
            found_by: "the test".to_owned(),
        })
        .expect("an address");
        let listener = "127.0.0.1:8080".parse().expect("an address");
        let own = look(vec![listener, listener], &engine, Some("[2001:db8::7]")).await;
        assert!(own.machine.contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(own.machine.contains(&"2001:db8::7".parse().expect("v6")));
        assert_eq!(own.sockets, [listener]);
    }
}
