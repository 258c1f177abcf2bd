use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why an address is not a public one, for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotPublic {
    /// A private network (RFC 1918) or unique local (RFC 4193).
    Private,
    /// Shared by a provider's customers (RFC 6598).
    CarrierNat,
    /// Reaches only the same link (RFC 3927, RFC 4291).
    LinkLocal,
    /// This machine (RFC 1122, RFC 4291).
    Loopback,
    /// No address: Linux connects it to this machine (RFC 1122, RFC 4291).
    Unspecified,
    /// For benchmarks of networks (RFC 2544, RFC 5180).
    Benchmark,
    /// For documents (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// To many (RFC 5771, RFC 4291).
    Multicast,
    /// Reserved, or for a protocol's own use (RFC 6890).
    Reserved,
}

const fn four(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn six(a: u16, b: u16, c: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0),
        length,
    ))
}

const LOOPBACK: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128));

/// Everything of IPv6 that is given out to networks (RFC 4291, section 2.4, and IANA's registry).
const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Refused unless the rule's `allow_cidrs` has it, with the reason; the first that holds counts.
/// From IANA's special-purpose registries:
/// <https://www.iana.org/assignments/iana-ipv4-special-registry> and `iana-ipv6-special-registry`.
pub const NOT_PUBLIC: &[(IpNet, NotPublic)] = &[
    (four(0, 0, 0, 0, 8), NotPublic::Unspecified),
    (four(10, 0, 0, 0, 8), NotPublic::Private),
    (four(100, 64, 0, 0, 10), NotPublic::CarrierNat),
    (four(127, 0, 0, 0, 8), NotPublic::Loopback),
    (four(169, 254, 0, 0, 16), NotPublic::LinkLocal),
    (four(172, 16, 0, 0, 12), NotPublic::Private),
    (four(192, 0, 0, 0, 24), NotPublic::Reserved),
    (four(192, 0, 2, 0, 24), NotPublic::Documentation),
    (four(192, 88, 99, 0, 24), NotPublic::Reserved),
    (four(192, 168, 0, 0, 16), NotPublic::Private),
    (four(198, 18, 0, 0, 15), NotPublic::Benchmark),
    (four(198, 51, 100, 0, 24), NotPublic::Documentation),
    (four(203, 0, 113, 0, 24), NotPublic::Documentation),
    (four(224, 0, 0, 0, 4), NotPublic::Multicast),
    (four(240, 0, 0, 0, 4), NotPublic::Reserved),
    (six(0, 0, 0, 128), NotPublic::Unspecified),
    (LOOPBACK, NotPublic::Loopback),
    (six(0x2001, 2, 0, 48), NotPublic::Benchmark),
    (six(0x2001, 0, 0, 23), NotPublic::Reserved),
    (six(0x2001, 0xdb8, 0, 32), NotPublic::Documentation),
    (six(0x3fff, 0, 0, 20), NotPublic::Documentation),
    (six(0xfc00, 0, 0, 7), NotPublic::Private),
    (six(0xfe80, 0, 0, 10), NotPublic::LinkLocal),
    (six(0xfec0, 0, 0, 10), NotPublic::Private),
    (six(0xff00, 0, 0, 8), NotPublic::Multicast),
];

/// Metadata services of clouds, which hand out credentials: no rule can allow them.
/// AWS, Azure, Google and others; AWS for tasks; Alibaba; Azure's platform; AWS over IPv6.
pub const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Why `address` is not public; `None` where it is. `address` is unwrapped.
pub(super) fn not_public(address: IpAddr) -> Option<NotPublic> {
    let listed = NOT_PUBLIC
        .iter()
        .find(|(network, _)| network.contains(&address))
        .map(|(_, why)| *why);
    match address {
        // A range that is unassigned today may be assigned for any use.
        IpAddr::V6(six) if !GLOBAL_UNICAST.contains(&six) => listed.or(Some(NotPublic::Reserved)),
        _ => listed,
    }
}
