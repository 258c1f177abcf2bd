//! Hellos in many records, a second one, and pieces of any size.

use proptest::prelude::*;

use super::*;

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
