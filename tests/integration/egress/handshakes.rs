//! How a connection by a rule for TLS has to begin: with a handshake for the name of the rule.
//! Other connections end before the target hears of them.

use std::time::{Duration, Instant};

use super::lab::{Lab, Talk};
use super::{assert_denied, denied, run, said, started};

const ALLOW: &str = "[egress]\nallow = [\"allowed.test\"]\n";

/// What the scripts here have besides.
const HELLOS: &str = r#"
def record(message):
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message

def message_of(hello):
    return hello[5:]

def with_extension(hello, kind, data):
    """A ClientHello with one more extension at its end (RFC 8446, section 4.1.2)."""
    message = message_of(hello)
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + struct.unpack("!H", message[at:at + 2])[0]
    at += 1 + message[at]
    extensions = message[at + 2:] + struct.pack("!2H", kind, len(data)) + data
    body = message[4:at] + struct.pack("!H", len(extensions)) + extensions
    return record(b"\x01" + struct.pack("!I", len(body))[1:] + body)

def ech():
    """Outer, HKDF-SHA256, AES-128-GCM, a configuration, a key, a payload."""
    return b"\0\0\1\0\1\x2a\0\x20" + os.urandom(32) + b"\0\xa0" + os.urandom(160)

def first(pieces, pause=0):
    """The kind of the first record that comes back: a handshake's, or nothing."""
    answer = attempt(exchange, "allowed.test", 443, pieces, pause)
    if isinstance(answer, str):
        return answer
    return "handshake" if answer[:1] == b"\x16" else repr(answer[:80])
"#;

#[tokio::test]
async fn a_handshake_for_another_name_or_none_reaches_no_target() {
    for (what, pieces) in [
        ("another", r#"[hello("refused.test")]"#),
        ("none", "[hello(None)]"),
        ("a part", r#"[hello("test")]"#),
        ("longer", r#"[hello("allowed.test.refused.test")]"#),
        ("under it", r#"[hello("www.allowed.test")]"#),
        (
            "the outer one of an ECH",
            r#"[with_extension(hello("refused.test"), 0xfe0d, ech())]"#,
        ),
    ] {
        let lab = Lab::new();
        let target = lab.host("allowed.test", "93.184.1.1");
        let server = started(&lab, ALLOW).await;
        let run = run(&server, &format!("{HELLOS}\nsay(first({pieces}))")).await;
        let ended = ["ECONNRESET", "b''"].map(serde_json::Value::from);
        assert!(ended.contains(&run.said), "{what}: {}", run.said);
        assert_denied(&run.result, "allowed.test", "name_mismatch");
        assert_eq!(target.count(), 0, "{what}: it was not even dialled");
    }
}

#[tokio::test]
async fn what_is_not_tls_reaches_no_target() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, ALLOW).await;
    for (what, pieces) in [
        ("SSH", r#"[b"SSH-2.0-OpenSSH_9.2\r\n"]"#),
        (
            "HTTP",
            r#"[b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n"]"#,
        ),
        ("its name in clear", r#"[b"\0\0\0\0allowed.test"]"#),
        ("an alert", r#"[b"\x15\x03\x01\0\2\1\0"]"#),
        (
            "SSL 2",
            r#"[b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + b"\0" * 37]"#,
        ),
        (
            "64 KiB of hello",
            r#"[record(b"\1\1\x04\0" + b"\3\3" + b"\0" * 16000)] + [record(b"\0" * 16000)] * 5"#,
        ),
    ] {
        let run = run(&server, &format!("{HELLOS}\nsay(first({pieces}))")).await;
        let ended = ["ECONNRESET", "b''", "EPIPE"].map(serde_json::Value::from);
        assert!(ended.contains(&run.said), "{what}: {}", run.said);
        assert_denied(&run.result, "allowed.test", "not_tls");
        assert_eq!(target.count(), 0, "{what}");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_is_ended_after_ten_seconds() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, ALLOW).await;
    let begin = Instant::now();
    let script = format!("{HELLOS}\nsay([first([]), first([hello('allowed.test')[:60]])])");
    let run = run(&server, &script).await;
    for end in run.said.as_array().expect("a list") {
        let ended = ["ECONNRESET", "b''"].map(serde_json::Value::from);
        assert!(ended.contains(end), "{}", run.said);
    }
    let took = begin.elapsed();
    assert!(
        (Duration::from_secs(19)..Duration::from_secs(30)).contains(&took),
        "{took:?}"
    );
    assert_denied(&run.result, "allowed.test", "handshake_timeout");
    assert_eq!(target.count(), 0);
}

#[tokio::test]
async fn a_handshake_for_the_name_passes_in_any_form() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(&lab, ALLOW).await;
    let script = format!(
        r#"{HELLOS}
whole = hello("allowed.test")
message = message_of(whole)
third = len(message) // 3
parts = [message[:third], message[third:2 * third], message[2 * third:]]
say({{
    "whole": first([whole]),
    "bytes": first([whole[n:n + 1] for n in range(len(whole))], 0.002),
    "records": first([b"".join(map(record, parts))]),
    "records apart": first([record(part) for part in parts], 0.2),
    "a decoy ECH": first([with_extension(whole, 0xfe0d, ech())]),
    "upper case": first([hello("ALLOWED.test")]),
}})"#
    );
    let run = run(&server, &script).await;
    for (form, answer) in run.said.as_object().expect("an object") {
        assert_eq!(answer, "handshake", "{form}");
    }
    assert!(denied(&run.result).is_empty(), "{}", run.result.0);
    assert_eq!(target.count(), 6);
}

#[tokio::test]
async fn a_second_hello_after_a_retry_request_is_read_too() {
    let lab = Lab::new();
    lab.resolver.set("allowed.test", ["93.184.1.1"]);
    lab.resolver.set("raw.test", ["93.184.1.2"]);
    let _retrying = lab.retrying("93.184.1.1:443", &["allowed.test"], Talk::Echo);
    let raw = lab.tcp("93.184.1.2:443", Talk::Retry);
    let allow = "[egress]\nallow = [\"allowed.test\", \"raw.test\"]\n";
    let server = started(&lab, allow).await;
    let through = run(&server, "say(attempt(tls, 'allowed.test'))").await;
    assert_eq!(through.said, "ping", "a retry as such is no reason");
    assert!(denied(&through.result).is_empty(), "{}", through.result.0);

    let script = |second: &str| {
        format!(
            r#"
with socket.create_connection(("raw.test", 443), timeout=LIMIT) as stream:
    stream.sendall(hello("raw.test"))
    told = [len(stream.recv(1 << 16))]
    stream.sendall({second})
    stream.shutdown(socket.SHUT_WR)
    told.append(attempt(lambda: len(read(stream))))
say(told)"#
        )
    };
    let same = said(&server, &script(r#"hello("raw.test")"#)).await;
    assert!(same[0].as_u64() > Some(0) && same[1] == 0, "{same}");
    let seen = &raw.only().await;
    let names = seen.head.windows(8).filter(|part| part == b"raw.test");
    assert_eq!(names.count(), 2, "both hellos came");

    for (second, reason) in [
        (r#"hello("refused.test")"#, "name_mismatch"),
        ("hello(None)", "name_mismatch"),
        (r#"b"refused.test" * 99"#, "not_tls"),
    ] {
        let run = run(&server, &script(second)).await;
        assert!(run.said[0].as_u64() > Some(0), "{second}: {}", run.said);
        let ended = ["ECONNRESET", "EPIPE"].map(serde_json::Value::from);
        assert!(ended.contains(&run.said[1]), "{second}: {}", run.said);
        assert_denied(&run.result, "raw.test", reason);
    }
    raw.ended().await;
    for seen in &raw.seen()[1..] {
        let first = seen.head.windows(8).filter(|part| part == b"raw.test");
        assert_eq!(first.count(), 1, "the first hello came");
        assert!(!seen.head.windows(7).any(|part| part == b"refused"));
        // The hello of the handshake is one record.
        let length = u16::from_be_bytes([seen.head[3], seen.head[4]]);
        assert_eq!(seen.received, u64::from(length) + 5, "and nothing after it");
    }
}
