use proptest::prelude::*;

use super::*;

mod made;
mod recorded;

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
fn a_hello_over_many_records_is_read_whole() {
    for size in [1, 2, 100, 200, 16384] {
        let right = fragmented(&Hello::new(HOST).message(), size);
        let (mut gate, mut passed) = (gate(), Vec::new());
        for byte in &right {
            gate.client(&[*byte]);
            let taken = gate.take();
            assert!(
                taken.is_empty() || taken.len() == right.len(),
                "nothing passes before the end"
            );
            passed.extend(taken);
        }
        assert_eq!(passed, right, "fragments of {size}");
        assert_eq!(
            refusal(&fragmented(&Hello::new("evil.test").message(), size)),
            Some(Reason::NameMismatch)
        );
    }
}

#[test]
fn nothing_comes_between_fragments() {
    let message = Hello::new(HOST).message();
    let (front, back) = message.split_at(50);
    for between in [alert(), change_cipher_spec(), record(23, b"data")] {
        let bytes = [record(22, front), between, record(22, back)].concat();
        assert_eq!(refusal(&bytes), Some(Reason::NotTls));
    }
}

#[test]
fn a_hello_of_64_kib_is_the_longest() {
    let longest = Hello::new(HOST).padded_to(MESSAGE_LIMIT);
    assert_eq!(refusal(&fragmented(&longest, 16384)), None);
    let (mut gate, bytes) = (gate(), fragmented(&longest, 16384));
    assert_eq!(gate.client(&bytes), Verdict::Pass);
    assert_eq!(gate.take(), bytes);
    let longer = fragmented(&Hello::new(HOST).padded_to(MESSAGE_LIMIT + 1), 16384);
    assert_eq!(
        refusal(&longer[..5 + 16384]),
        Some(Reason::NotTls),
        "with its first record"
    );
    assert_eq!(
        refusal(&fragmented(&longest, 1)),
        Some(Reason::NotTls),
        "over the limit of held bytes"
    );
}

#[test]
fn the_second_hello_names_the_same_host() {
    // As servers send it: https://www.rfc-editor.org/rfc/rfc8446#appendix-D.4
    for request in [retry(), [retry(), change_cipher_spec()].concat()] {
        for (name, verdict) in [
            (HOST, Verdict::Pass),
            ("evil.test", Verdict::Refuse(Reason::NameMismatch)),
        ] {
            let mut gate = gate();
            assert_eq!(gate.client(&hello(HOST)), Verdict::Pass);
            gate.take();
            assert_eq!(gate.peer(&request), Verdict::Pass);
            assert!(!gate.is_open());
            let second = [change_cipher_spec(), hello(name)].concat();
            assert_eq!(gate.client(&second), verdict, "{name}");
            let passed = gate.take();
            assert_eq!(
                passed,
                if verdict == Verdict::Pass {
                    second
                } else {
                    Vec::new()
                }
            );
        }
    }
}

#[test]
fn a_second_hello_that_nobody_asked_for_is_read_too() {
    let both = |second| [hello(HOST), record(23, b"early data"), hello(second)].concat();
    assert_eq!(refusal(&both(HOST)), None);
    assert_eq!(refusal(&both("evil.test")), Some(Reason::NameMismatch));
    let in_one_record = [
        Hello::new(HOST).message(),
        Hello::new("evil.test").message(),
    ]
    .concat();
    assert_eq!(
        refusal(&record(22, &in_one_record)),
        Some(Reason::NameMismatch)
    );
    let three = [hello(HOST), hello(HOST), hello(HOST)].concat();
    assert_eq!(refusal(&three), Some(Reason::NotTls));
}

#[test]
fn an_alert_of_the_peer_ends_nothing() {
    let mut gate = gate();
    gate.client(&hello(HOST));
    assert_eq!(gate.peer(&alert()), Verdict::Pass);
    assert_eq!(
        gate.client(&hello("evil.test")),
        Verdict::Refuse(Reason::NameMismatch)
    );
}

#[test]
fn a_message_that_began_before_the_answer_does_not_pass_with_it() {
    let second = hello("evil.test");
    for cut in [1, 5, 6, 60] {
        let mut gate = gate();
        gate.client(&hello(HOST));
        gate.take();
        assert_eq!(gate.client(&second[..cut]), Verdict::NeedMore);
        assert_eq!(
            gate.peer(&server_hello()),
            Verdict::Refuse(Reason::NotTls),
            "{cut} bytes"
        );
        assert!(gate.take().is_empty());
    }
    let mut gate = gate();
    assert_eq!(
        gate.peer(&server_hello()),
        Verdict::Refuse(Reason::NotTls),
        "an answer to nothing"
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

/// The verdict and what passed, for pieces that end at `cuts`.
fn outcome(bytes: &[u8], cuts: &[usize]) -> (Verdict, Vec<u8>) {
    let (mut gate, mut passed, mut begin) = (gate(), Vec::new(), 0);
    let mut verdict = Verdict::NeedMore;
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(bytes.len());
    for end in ends {
        verdict = gate.client(&bytes[begin..end]);
        passed.extend(gate.take());
        begin = end;
    }
    (verdict, passed)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answer(
        first in prop::sample::select(vec![HOST, "evil.test"]),
        second in prop::sample::select(vec![None, Some(HOST), Some("evil.test")]),
        size in 1_usize..400,
        cuts in prop::collection::vec(any::<usize>(), 0..40),
        flip in prop::option::of((any::<usize>(), any::<u8>())),
    ) {
        let mut bytes = fragmented(&Hello::new(first).message(), size);
        if let Some(second) = second {
            bytes.extend(change_cipher_spec());
            bytes.extend(fragmented(&Hello::new(second).message(), size));
        }
        if let Some((at, mask)) = flip {
            let at = at % bytes.len();
            bytes[at] ^= mask;
        }
        let (whole, pieces) = (outcome(&bytes, &[]), outcome(&bytes, &cuts));
        prop_assert_eq!(whole.0, pieces.0);
        if !matches!(whole.0, Verdict::Refuse(_)) {
            prop_assert_eq!(&whole.1, &pieces.1);
        }
        // Of what is refused, whole hellos that were right may have passed, and nothing else.
        prop_assert!(bytes.starts_with(&pieces.1));
    }

    #[test]
    fn any_bytes_are_survived(
        turns in prop::collection::vec((any::<bool>(), 20_u8..25, prop::collection::vec(any::<u8>(), 0..200), any::<bool>()), 0..20)
    ) {
        let mut gate = gate();
        for (is_client, kind, bytes, is_record) in turns {
            let bytes = if is_record { record(kind, &bytes) } else { bytes };
            let verdict = if is_client { gate.client(&bytes) } else { gate.peer(&bytes) };
            let is_refused = matches!(verdict, Verdict::Refuse(_));
            prop_assert!(!is_refused || gate.take().is_empty());
        }
    }
}
