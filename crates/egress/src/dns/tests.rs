use proptest::prelude::*;

use super::*;

const AAAA: u16 = 28;
const HTTPS: u16 = 65;

fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).expect("a short label"));
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

fn section(wire_name: &[u8], kind: u16, class: u16) -> Vec<u8> {
    [wire_name, &kind.to_be_bytes(), &class.to_be_bytes()].concat()
}

fn query(section: &[u8]) -> Vec<u8> {
    [&[0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], section].concat()
}

fn question(name: &str, kind: u16) -> Question {
    Question::parse(&query(&section(&wire_name(name), kind, CLASS_IN))).expect("a question")
}

#[test]
fn an_allowed_name_has_an_address() {
    let asked = query(&section(
        &wire_name("Packages.eXample.COM"),
        TYPE_A,
        CLASS_IN,
    ));
    let question = Question::parse(&asked).expect("a question");
    assert_eq!(question.name(), Some("packages.example.com"));
    let reply = question.reply(Answer::Address(Ipv4Addr::new(127, 64, 0, 7), 60));
    let header = [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 64, 0, 7];
    assert_eq!(reply, [&header[..], &asked[12..], &record].concat());
}

#[test]
fn other_types_of_an_allowed_name_have_no_records() {
    for kind in [AAAA, HTTPS, 255, 16, 33, 2, 6, 15, 5] {
        let reply = question("a.example.com", kind).reply(Answer::Address(Ipv4Addr::LOCALHOST, 60));
        assert_eq!(reply[2..8], [0x81, 0x80, 0, 1, 0, 0], "type {kind}");
        assert_eq!(
            reply[12..],
            section(&wire_name("a.example.com"), kind, CLASS_IN)
        );
    }
    let chaos = query(&section(&wire_name("version.bind"), TYPE_A, 3));
    let reply = Question::parse(&chaos)
        .expect("a question")
        .reply(Answer::Address(Ipv4Addr::LOCALHOST, 60));
    assert_eq!(reply[7], 0, "no record in another class");
}

#[test]
fn the_other_answers_repeat_the_question_alone() {
    let question = question("a.example.com", TYPE_A);
    for (answer, code) in [
        (Answer::NoRecords, 0),
        (Answer::ServerFailure, 2),
        (Answer::NoSuchName, 3),
    ] {
        let reply = question.reply(answer);
        assert_eq!(
            reply[..12],
            [0xab, 0xcd, 0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(reply[12..], question.wire);
    }
}

#[test]
fn edns_is_ignored() {
    // One additional record: OPT, 1,232 bytes, DO, a cookie.
    let option = [
        0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    let mut asked = query(&section(&wire_name("a.example.com"), TYPE_A, CLASS_IN));
    asked[11] = 1;
    asked.extend_from_slice(&option);
    let reply = Question::parse(&asked)
        .expect("a question")
        .reply(Answer::NoSuchName);
    assert_eq!(
        reply,
        question("a.example.com", TYPE_A).reply(Answer::NoSuchName)
    );
}

#[test]
fn what_is_no_question_is_rejected_or_dropped() {
    let good = query(&section(&wire_name("a.example.com"), TYPE_A, CLASS_IN));
    let changed = |at: usize, value: u8| {
        let mut message = good.clone();
        message[at] = value;
        Question::parse(&message)
    };
    let rejected = |code: u8| {
        Err(Malformed::Reply([
            0xab,
            0xcd,
            0x81,
            0x80 | code,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]))
    };
    assert_eq!(changed(2, 0x81), Err(Malformed::Silent), "an answer");
    assert_eq!(changed(2, 0x29), rejected(4), "an update");
    assert_eq!(changed(5, 0), rejected(1), "no question");
    assert_eq!(changed(5, 2), rejected(1), "two questions");
    assert_eq!(changed(4, 1), rejected(1), "257 questions");
    assert_eq!(changed(12, 0xc0), rejected(1), "a compressed name");
    assert_eq!(changed(12, 64), rejected(1), "a label of 64 bytes");
    for length in 0..good.len() {
        let expected = if length < 12 {
            Err(Malformed::Silent)
        } else {
            rejected(1)
        };
        assert_eq!(Question::parse(&good[..length]), expected, "{length} bytes");
    }
}

#[test]
fn a_name_has_255_bytes_on_the_wire_at_most() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(question(&longest, TYPE_A).name(), Some(longest.as_str()));
    let reply = question(&longest, TYPE_A).reply(Answer::Address(Ipv4Addr::LOCALHOST, 60));
    assert!(reply.len() <= 512);
    let longer = query(&section(
        &wire_name(&format!("{longest}a")),
        TYPE_A,
        CLASS_IN,
    ));
    assert!(matches!(Question::parse(&longer), Err(Malformed::Reply(_))));
}

#[test]
fn a_part_that_is_no_text_makes_no_name() {
    for label in [&b"a.b"[..], b"a\0b", b"a\nb", b"\xff\xfe"] {
        let length = u8::try_from(label.len()).expect("short");
        let wire = [&[length], label, &[3], b"com", &[0]].concat();
        let question =
            Question::parse(&query(&section(&wire, TYPE_A, CLASS_IN))).expect("a question");
        assert_eq!(question.name(), None, "{label:?}");
        assert_eq!(
            question.reply(Answer::NoSuchName)[12..],
            section(&wire, TYPE_A, CLASS_IN)
        );
    }
    assert_eq!(question("", 2).name(), Some(""));
}

#[test]
fn local_names_are_answered_without_the_server() {
    let here = Some(Answer::Address(Ipv4Addr::LOCALHOST, 60));
    for (name, answer) in [
        ("casemate", here),
        ("localhost", here),
        ("app.localhost", here),
        ("", Some(Answer::NoRecords)),
        ("printer", Some(Answer::NoSuchName)),
        ("com", Some(Answer::NoSuchName)),
        ("nas.local", Some(Answer::NoSuchName)),
        ("host.docker.internal", Some(Answer::NoSuchName)),
        ("wpad", Some(Answer::NoSuchName)),
        ("wpad.corp.example", Some(Answer::NoSuchName)),
        ("7.0.64.127.in-addr.arpa", Some(Answer::NoSuchName)),
        ("1.0.0.0.ip6.arpa", Some(Answer::NoSuchName)),
        ("packages.example.com", None),
        ("mylocalhost.example", None),
        ("local.example.com", None),
        ("wpads.example.com", None),
    ] {
        assert_eq!(local_answer(name, "casemate"), answer, "{name}");
    }
}

#[test]
fn messages_over_tcp_are_bounded() {
    let mut messages = TcpMessages::default();
    messages.push(&[0]);
    assert_eq!(messages.take(), Ok(None));
    messages.push(&[2, b'a']);
    assert_eq!(messages.take(), Ok(None));
    messages.push(&[b'b', 0, 0, 0, 1, b'c', 0x10]);
    assert_eq!(messages.take(), Ok(Some(b"ab".to_vec())));
    assert_eq!(messages.take(), Ok(Some(Vec::new())));
    assert_eq!(messages.take(), Ok(Some(b"c".to_vec())));
    messages.push(&[1]);
    assert_eq!(messages.take(), Err(TooLong), "4,097 bytes");
    assert_eq!(to_tcp(b"ab"), [0, 2, b'a', b'b']);
}

proptest! {
    #[test]
    fn no_message_panics_and_every_reply_echoes(
        header in any::<[u8; 2]>(), flags in 0_u8..0x80, tail in proptest::collection::vec(any::<u8>(), 0..600)
    ) {
        let message = [&header[..], &[flags & 0x87, 0, 0, 1, 0, 0, 0, 0, 0, 0], &tail].concat();
        match Question::parse(&message) {
            Ok(question) => {
                let reply = question.reply(Answer::Address(Ipv4Addr::LOCALHOST, 0));
                prop_assert!(reply.len() <= 512);
                prop_assert_eq!(&reply[..2], &header);
                prop_assert!(message[12..].starts_with(&question.wire));
                prop_assert_eq!(&reply[12..12 + question.wire.len()], &question.wire);
            }
            Err(Malformed::Reply(reply)) => prop_assert_eq!(&reply[..2], &header),
            Err(Malformed::Silent) => prop_assert!(false, "a query is answered"),
        }
    }

    #[test]
    fn any_bytes_are_survived(message in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Question::parse(&message);
        let mut messages = TcpMessages::default();
        messages.push(&message);
        while let Ok(Some(message)) = messages.take() {
            prop_assert!(message.len() <= MESSAGE_LIMIT);
        }
    }

    #[test]
    fn every_name_comes_back_in_lower_case(name in "[a-zA-Z0-9_-]{1,63}(\\.[a-zA-Z0-9-]{1,20}){0,5}") {
        let question = question(&name, TYPE_A);
        let lower = name.to_ascii_lowercase();
        prop_assert_eq!(question.name(), Some(lower.as_str()));
        prop_assert_eq!(&question.wire[..name.len() + 2], &wire_name(&name)[..]);
    }
}
