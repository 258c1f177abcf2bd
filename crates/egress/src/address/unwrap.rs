use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Bits before the IPv4 address in an IPv4-mapped one.
const MAPPED_PREFIX: u8 = 96;

/// The IPv4 address that an IPv6 address stands for, where it does: mapped (`::ffff:0:0/96`, RFC
/// 4291), compatible (`::/96`, same), NAT64 (`64:ff9b::/96`, RFC 6052), 6to4 (`2002::/16`, RFC
/// 3056). Every other address is returned as it is, `::` and `::1` among them.
#[must_use]
pub fn unwrap(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => embedded(six).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // `::` and `::1` are addresses in their own right.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

/// A network of IPv4-mapped addresses as the IPv4 network it means; every other as it is.
pub(super) fn unwrap_net(network: IpNet) -> IpNet {
    let IpNet::V6(six) = network else {
        return network;
    };
    let mapped = six.addr().to_ipv4_mapped();
    mapped
        .zip(six.prefix_len().checked_sub(MAPPED_PREFIX))
        .and_then(|(four, length)| Ipv4Net::new(four, length).ok())
        .map_or(network, IpNet::V4)
}
