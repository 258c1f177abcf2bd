//! Handshakes of real programs, recorded by `hellos/record.py`.

use super::*;

/// The program, and the turns of its client and of its peer.
type Handshake = (&'static str, Vec<Vec<u8>>, Vec<Vec<u8>>);

macro_rules! recorded {
    ($($name:literal),* $(,)?) => {
        [$(($name, turns(include_bytes!(concat!("../../../hellos/", $name, ".client"))),
                   turns(include_bytes!(concat!("../../../hellos/", $name, ".peer"))))),*]
    };
}

/// A length of four bytes before each turn.
fn turns(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut turns = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (turn, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        turns.push(turn.to_vec());
        bytes = rest;
    }
    turns
}

fn direct() -> impl Iterator<Item = Handshake> {
    recorded![
        "openssl-tls13",
        "openssl-tls12",
        "python",
        "curl",
        "node",
        "go",
        "java"
    ]
    .into_iter()
}

fn with_retry() -> impl Iterator<Item = Handshake> {
    recorded![
        "openssl-retry",
        "curl-retry",
        "node-retry",
        "go-retry",
        "java-retry"
    ]
    .into_iter()
}

#[test]
fn real_handshakes_pass() {
    for (name, client, peer) in direct().chain(with_retry()) {
        let mut gate = gate();
        for (turn, (sent, answer)) in client.iter().zip(&peer).enumerate() {
            assert_eq!(gate.client(sent), Verdict::Pass, "{name}");
            assert_eq!(gate.take(), *sent, "{name}");
            assert_eq!(gate.peer(answer), Verdict::Pass, "{name}");
            assert_eq!(
                gate.is_open(),
                turn + 1 == client.len(),
                "{name}: only the last answer opens"
            );
        }
    }
}

#[test]
fn real_handshakes_for_another_host_are_refused() {
    for (name, client, _) in direct() {
        let mut gate = HelloGate::new(HostName::parse("other.example.com").expect("a name"));
        assert_eq!(
            gate.client(&client[0]),
            Verdict::Refuse(Reason::NameMismatch),
            "{name}"
        );
    }
}

#[test]
fn a_real_second_hello_with_another_name_is_refused() {
    for (name, client, peer) in with_retry() {
        let [first, second] = &client[..] else {
            panic!("{name}: two hellos")
        };
        let at = second
            .windows(HOST.len())
            .position(|window| window == HOST.as_bytes())
            .expect("the name");
        let mut second = second.clone();
        second[at] = b'q';
        let mut gate = gate();
        assert_eq!(gate.client(first), Verdict::Pass);
        assert_eq!(gate.peer(&peer[0]), Verdict::Pass);
        assert_eq!(
            gate.client(&second),
            Verdict::Refuse(Reason::NameMismatch),
            "{name}"
        );
    }
}
