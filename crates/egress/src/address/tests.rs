use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const PUBLIC: &str = "93.184.215.14";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts
        .iter()
        .map(|text| text.parse().expect("a network"))
        .collect()
}

fn policy(deny: &[&str], machine: &[&str], sockets: &[&str]) -> AddressPolicy {
    let own = OwnAddresses {
        machine: machine.iter().map(|text| ip(text)).collect(),
        sockets: sockets
            .iter()
            .map(|text| text.parse().expect("a socket"))
            .collect(),
    };
    AddressPolicy::new(nets(deny), own)
}

fn judge(
    policy: &AddressPolicy,
    resolved: &[&str],
    port: u16,
    allow: &[&str],
) -> Result<Vec<String>, Reason> {
    let judged = policy.judge(resolved.iter().map(|text| ip(text)), port, &nets(allow))?;
    Ok(judged.as_slice().iter().map(ToString::to_string).collect())
}

fn refusal(policy: &AddressPolicy, address: &str, allow: &[&str]) -> Option<Reason> {
    judge(policy, &[address], 443, allow).err()
}

/// Every way in which IPv6 wraps `four`.
fn wrapped(four: Ipv4Addr) -> [IpAddr; 4] {
    let [a, b, c, d] = four.octets();
    let [high, low] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    [
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ]
    .map(IpAddr::V6)
}

#[test]
fn what_is_not_public_is_refused_bare_and_wrapped() {
    let policy = policy(&[], &[], &[]);
    for text in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        assert_eq!(
            refusal(&policy, text, &[]),
            Some(Reason::PrivateAddress),
            "{text}"
        );
        for address in wrapped(text.parse().expect("IPv4")) {
            let text = address.to_string();
            assert_eq!(
                refusal(&policy, &text, &[]),
                Some(Reason::PrivateAddress),
                "{text}"
            );
        }
    }
    for text in [
        "::",
        "::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "2001::1",
        "2001:2::1",
        "2001:20::1",
        "100::1",
        "64:ff9b:1::1",
        "5f00::1",
        "4000::1",
        "1::1",
        "::ffff:0:7f00:1",
    ] {
        assert_eq!(
            refusal(&policy, text, &[]),
            Some(Reason::PrivateAddress),
            "{text}"
        );
    }
}

#[test]
fn neighbours_of_the_ranges_are_public() {
    let policy = policy(&[], &[], &[]);
    for text in [
        "1.0.0.1",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.255.255",
        "192.169.0.1",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::1",
        "2001:db7::1",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ] {
        assert_eq!(refusal(&policy, text, &[]), None, "{text}");
    }
}

#[test]
fn a_rule_lifts_the_ranges_that_it_names_and_no_other() {
    let policy = policy(&[], &["10.1.2.9", "127.0.0.1"], &[]);
    assert_eq!(refusal(&policy, "10.1.2.3", &["10.1.2.0/24"]), None);
    assert_eq!(refusal(&policy, "::ffff:10.1.2.3", &["10.1.2.0/24"]), None);
    assert_eq!(
        refusal(&policy, "2002:a01:203::1", &["2000::/3"]),
        Some(Reason::PrivateAddress)
    );
    assert_eq!(
        refusal(&policy, "10.1.3.3", &["10.1.2.0/24"]),
        Some(Reason::PrivateAddress)
    );
    assert_eq!(
        refusal(&policy, "10.1.2.9", &["10.1.2.0/24"]),
        None,
        "an address of this machine, named"
    );
    assert_eq!(refusal(&policy, "10.1.2.9", &[]), Some(Reason::OwnAddress));
    assert_eq!(
        refusal(&policy, "::ffff:10.1.2.9", &[]),
        Some(Reason::OwnAddress)
    );
}

#[test]
fn metadata_is_refused_whatever_a_rule_says() {
    let policy = policy(&[], &[], &[]);
    let everything = ["0.0.0.0/0", "::/0"];
    for text in [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
    ] {
        assert_eq!(
            refusal(&policy, text, &everything),
            Some(Reason::MetadataAddress),
            "{text}"
        );
        if let Ok(four) = text.parse() {
            for address in wrapped(four) {
                let refused = refusal(&policy, &address.to_string(), &everything);
                assert_eq!(refused, Some(Reason::MetadataAddress), "{address}");
            }
        }
    }
}

#[test]
fn no_rule_lifts_deny() {
    let policy = policy(
        &["93.184.215.0/24", "::ffff:1.2.3.0/120", "2606:4700::/32"],
        &[],
        &[],
    );
    for text in [
        PUBLIC,
        "::ffff:93.184.215.14",
        "1.2.3.4",
        "64:ff9b::1.2.3.4",
        "2606:4700::1",
    ] {
        assert_eq!(
            refusal(&policy, text, &["0.0.0.0/0", "::/0"]),
            Some(Reason::DeniedAddress),
            "{text}"
        );
    }
    assert_eq!(refusal(&policy, "1.2.4.4", &[]), None);
}

#[test]
fn the_servers_own_sockets_are_refused_whatever_a_rule_says() {
    let policy = policy(
        &[],
        &["93.184.215.14", "2606:4700::9"],
        &["0.0.0.0:8443", "[::]:9000", "93.184.215.14:22"],
    );
    let everything = ["0.0.0.0/0", "::/0"];
    for (address, port, refused) in [
        (PUBLIC, 8443, true),
        ("127.0.0.1", 8443, true),
        ("127.9.9.9", 8443, true),
        ("::ffff:127.0.0.1", 8443, true),
        ("0.0.0.0", 8443, true),
        ("2606:4700::9", 9000, true),
        ("::1", 9000, true),
        (PUBLIC, 9000, true),
        (PUBLIC, 22, true),
        (PUBLIC, 443, false),
        ("127.0.0.1", 22, false),
        ("1.1.1.1", 8443, false),
    ] {
        let answer = judge(&policy, &[address], port, &everything).err();
        assert_eq!(
            answer,
            refused.then_some(Reason::OwnAddress),
            "{address} {port}"
        );
    }
}

#[test]
fn what_passes_keeps_the_order_of_the_resolver() {
    let policy = policy(&[], &[], &[]);
    let resolved = [
        "10.0.0.1",
        "1.1.1.1",
        "2606:4700::1",
        "::1",
        "1.1.1.1",
        "1.0.0.1",
    ];
    assert_eq!(
        judge(&policy, &resolved, 443, &[]),
        Ok(["1.1.1.1", "2606:4700::1", "1.0.0.1"]
            .map(str::to_owned)
            .to_vec())
    );
    assert_eq!(
        judge(&policy, &["10.0.0.1", "169.254.169.254"], 443, &[]),
        Err(Reason::PrivateAddress)
    );
    assert_eq!(judge(&policy, &[], 443, &[]), Err(Reason::Unresolved));
}

#[test]
fn of_many_addresses_a_bounded_number_is_kept() {
    let policy = policy(&[], &[], &[]);
    let many = (0..1000_u32).map(|low| IpAddr::V4(Ipv4Addr::from(0x0101_0000 + low)));
    let judged = policy.judge(many, 443, &[]).expect("public");
    assert_eq!(judged.as_slice().len(), ADDRESS_LIMIT);
}

proptest! {
    #[test]
    fn wrapping_changes_no_judgement(bits in any::<u32>()) {
        let policy = policy(&["8.0.0.0/6"], &["1.1.1.1"], &["0.0.0.0:443"]);
        let four = Ipv4Addr::from(bits);
        let bare = refusal(&policy, &four.to_string(), &[]);
        for address in wrapped(four) {
            // `::` and `::1` are IPv6's own, and as private as 0.0.0.0 and 0.0.0.1.
            prop_assert_eq!(refusal(&policy, &address.to_string(), &[]), bare, "{}", address);
        }
    }
}
