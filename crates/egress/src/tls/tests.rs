mod made;
mod pieces;
mod recorded;

use super::*;
use made::{Hello, alert, change_cipher_spec, fragmented, handshake, record};

const HOST: &str = "packages.example.com";

fn gate() -> HelloGate {
    HelloGate::new(HostName::parse(HOST).expect("a name"))
}

fn hello(name: &str) -> Vec<u8> {
    record(22, &Hello::new(name).message())
}

/// A HelloRetryRequest in a record.
fn retry() -> Vec<u8> {
    let random: Vec<u8> = (0..RETRY.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&RETRY[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    record(
        22,
        &handshake(2, &[&[3, 3], &random[..], &[0, 0x13, 1, 0, 0, 0]].concat()),
    )
}

const RETRY: &str = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c";

fn server_hello() -> Vec<u8> {
    record(
        22,
        &handshake(2, &[&[3, 3], &[7; 32][..], &[0, 0x13, 1, 0, 0, 0]].concat()),
    )
}

fn refusal(client: &[u8]) -> Option<Reason> {
    let mut gate = gate();
    match gate.client(client) {
        Verdict::Refuse(reason) => {
            assert!(gate.take().is_empty(), "nothing passes after a refusal");
            Some(reason)
        }
        Verdict::NeedMore | Verdict::Pass => None,
    }
}

#[test]
fn the_right_name_passes_byte_for_byte() {
    for name in [HOST, "Packages.Example.COM", "packages.example.com."] {
        let (mut gate, bytes) = (gate(), hello(name));
        assert_eq!(gate.client(&bytes), Verdict::Pass, "{name}");
        assert_eq!(gate.take(), bytes);
        assert_eq!(gate.peer(&server_hello()), Verdict::Pass);
        assert!(gate.is_open());
        assert_eq!(gate.client(b"anything"), Verdict::Pass);
        assert_eq!(gate.take(), b"anything");
    }
}

#[test]
fn another_name_or_none_is_refused() {
    for name in [
        "other.example.com",
        "example.com",
        "x.packages.example.com",
        "packages.example.com..",
        "packages.example.com\0",
        "packages\u{3002}example\u{3002}com",
        " packages.example.com",
        "",
    ] {
        assert_eq!(
            refusal(&hello(name)),
            Some(Reason::NameMismatch),
            "{name:?}"
        );
    }
    assert_eq!(
        refusal(&record(22, &Hello::nameless().message())),
        Some(Reason::NameMismatch)
    );
    let old = handshake(
        1,
        &[&[3, 3], &[7; 32][..], &[0, 0, 2, 0x13, 1, 1, 0]].concat(),
    );
    assert_eq!(
        refusal(&record(22, &old)),
        Some(Reason::NameMismatch),
        "without extensions"
    );
}

#[test]
fn two_names_are_refused_in_either_order() {
    for names in [[HOST, "evil.test"], ["evil.test", HOST], [HOST, HOST]] {
        let one_list = record(22, &Hello::nameless().names_in_one_list(&names).message());
        assert_eq!(
            refusal(&one_list),
            Some(Reason::NameMismatch),
            "{names:?} in one list"
        );
        let two_extensions = record(22, &Hello::new(names[0]).name(names[1]).message());
        assert_eq!(
            refusal(&two_extensions),
            Some(Reason::NameMismatch),
            "{names:?} in two extensions"
        );
    }
    let other_type = record(22, &Hello::nameless().name_of_type(1, HOST).message());
    assert_eq!(refusal(&other_type), Some(Reason::NameMismatch));
}

#[test]
fn with_encrypted_client_hello_the_outer_name_counts() {
    const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
    let with = |name| {
        record(
            22,
            &Hello::new(name)
                .extension(ENCRYPTED_CLIENT_HELLO, &[0; 200])
                .message(),
        )
    };
    assert_eq!(refusal(&with(HOST)), None, "a decoy");
    assert_eq!(
        refusal(&with("public.example.net")),
        Some(Reason::NameMismatch)
    );
}

#[test]
fn what_is_no_tls_is_refused_at_its_first_byte() {
    for text in [
        &b"S"[..],
        b"SSH-2.0-OpenSSH",
        b"GET / HTTP/1.1\r\n",
        b"\0",
        b"\x80\x2e\x01\x03\x01",
    ] {
        assert_eq!(refusal(text), Some(Reason::NotTls), "{text:?}");
    }
    for first in [
        alert(),
        change_cipher_spec(),
        record(23, b"data"),
        record(22, &handshake(2, &[0; 40])),
    ] {
        assert_eq!(refusal(&first), Some(Reason::NotTls), "{first:?}");
    }
    assert_eq!(
        refusal(&[22, 2]),
        Some(Reason::NotTls),
        "a version that TLS never had"
    );
    assert_eq!(
        refusal(&[22, 3, 1, 0, 0]),
        Some(Reason::NotTls),
        "an empty fragment"
    );
    assert_eq!(
        refusal(&[22, 3, 1, 0x40, 1]),
        Some(Reason::NotTls),
        "a fragment over 16 KiB"
    );
}

#[test]
fn early_data_passes_with_the_hello() {
    let (mut gate, early) = (gate(), record(23, b"early data"));
    gate.client(&hello(HOST));
    gate.take();
    assert_eq!(gate.client(&early), Verdict::Pass);
    assert_eq!(gate.take(), early);
    assert_eq!(gate.client(&early[..7]), Verdict::NeedMore);
    assert_eq!(gate.peer(&server_hello()), Verdict::Pass);
    assert_eq!(gate.take(), early[..7]);
}

#[test]
fn a_refusal_stays() {
    let mut gate = gate();
    assert_eq!(
        gate.client(&hello("evil.test")),
        Verdict::Refuse(Reason::NameMismatch)
    );
    assert_eq!(
        gate.client(&hello(HOST)),
        Verdict::Refuse(Reason::NameMismatch)
    );
    assert_eq!(
        gate.peer(&server_hello()),
        Verdict::Refuse(Reason::NameMismatch)
    );
    assert!(gate.take().is_empty());
}

#[test]
fn every_cut_of_a_hello_is_no_hello() {
    let body = Hello::new(HOST).message()[4..].to_vec();
    for length in 0..body.len() {
        let found = refusal(&record(22, &handshake(1, &body[..length])));
        assert!(found.is_some(), "{length} of {} bytes", body.len());
    }
    let longer = [&body[..], &[0]].concat();
    assert_eq!(
        refusal(&record(22, &handshake(1, &longer))),
        Some(Reason::NotTls),
        "bytes after the end"
    );
}
