//! Ways past the rules: without a name, with other protocols, by a detour.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::json;

use super::lab::{Lab, Talk};
use super::{assert_denied, run, said, started};

#[tokio::test]
async fn an_address_instead_of_a_name_has_no_route() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let six = lab.tcp("[2a00:1450::7]:443", Talk::Echo);
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    let found = said(
        &server,
        r#"
radixes = ["93.184.1.1", "0x5db80101", "1572339969", "0%o" % 0x5db80101, "0135.0270.01.01",
           "0x5d.0xb8.0x1.0x1", "93.184.257", "93.12058881", "::ffff:93.184.1.1", "2a00:1450::7"]
known = attempt(addresses, "allowed.test")
say({"known": known, "direct": {text: attempt(plain, text, 443) for text in radixes}})"#,
    )
    .await;
    assert!(found["known"].is_array(), "{found}");
    for (text, failure) in found["direct"].as_object().expect("an object") {
        let routeless = ["ENETUNREACH", "EADDRNOTAVAIL"].map(serde_json::Value::from);
        assert!(routeless.contains(failure), "{text}: {failure}");
    }
    assert_eq!((target.count(), six.count()), (0, 0));
}

#[tokio::test]
async fn nothing_but_tcp_by_a_name_leaves() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let received = Arc::new(AtomicUsize::new(0));
    for address in ["93.184.1.1:443", "93.184.1.1:53", "[2a00:1450::7]:443"] {
        let socket = lab.there.udp(address.parse().expect("an address"));
        let received = received.clone();
        tokio::spawn(async move {
            while socket.recv_from(&mut [0; 2048]).await.is_ok() {
                received.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    let found = said(
        &server,
        r#"
def datagram(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as stream:
        stream.settimeout(3)
        stream.connect(address)
        stream.send(b"\xc3" + b"\0" * 1199)
        return stream.recv(2048).decode()

own = addresses("allowed.test")[0]
four, six = socket.AF_INET, socket.AF_INET6
say({
    "udp": attempt(datagram, four, ("93.184.1.1", 443)),
    "dns": attempt(datagram, four, ("93.184.1.1", 53)),
    "udp6": attempt(datagram, six, ("2a00:1450::7", 443)),
    "quic": attempt(datagram, four, (own, 443)),
    "icmp": errno_of(four, socket.SOCK_DGRAM, ("93.184.1.1", 0), socket.IPPROTO_ICMP),
    "raw": errno_of(four, socket.SOCK_RAW, ("93.184.1.1", 0), socket.IPPROTO_ICMP),
    "sctp": errno_of(four, socket.SOCK_STREAM, ("93.184.1.1", 443), 132),
    "packet": errno_of(17, socket.SOCK_RAW, ("lo", 0), 0),
    "six": errno_of(six, socket.SOCK_STREAM, ("2a00:1450::7", 443)),
    "types": {kind: attempt(ask, ["allowed", "test"], number)
              for kind, number in {"AAAA": 28, "TXT": 16, "SRV": 33, "MX": 15, "HTTPS": 65, "ANY": 255}.items()},
})"#,
    )
    .await;
    for way in [
        "udp", "dns", "udp6", "quic", "icmp", "raw", "sctp", "packet", "six",
    ] {
        let failure = found[way].as_str().expect("a failure");
        assert!(failure.starts_with('E'), "{way}: {failure}");
    }
    for (kind, answer) in found["types"].as_object().expect("an object") {
        assert_eq!(
            answer, "NODATA",
            "{kind}: the name exists, without such a record"
        );
    }
    assert_eq!(received.load(Ordering::Relaxed), 0);
    assert_eq!(target.count(), 0);
}

#[tokio::test]
async fn a_relay_in_the_sandbox_gets_the_same_answers() {
    let lab = Lab::new();
    let allowed = lab.host("allowed.test", "93.184.1.1");
    let refused = lab.host("refused.test", "93.184.1.2");
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    let run = run(
        &server,
        r#"
def pump(source, sink):
    while piece := source.recv(1 << 16):
        sink.sendall(piece)
    sink.shutdown(socket.SHUT_WR)

def relay(listener):
    while True:
        here, _ = listener.accept()
        host = here.makefile("rb", 0).readline().decode().strip()
        try:
            there = socket.create_connection((host, 443), timeout=LIMIT)
        except OSError as error:
            here.sendall(failure(error).encode() + b"\n")
            here.close()
            continue
        here.sendall(b"ok\n")
        threading.Thread(target=pump, args=(there, here), daemon=True).start()
        threading.Thread(target=pump, args=(here, there), daemon=True).start()

def through(host, server_name):
    with socket.create_connection(listener.getsockname(), timeout=LIMIT) as raw:
        raw.sendall(host.encode() + b"\n")
        told = raw.makefile("rb", 0).readline().decode().strip()
        if told != "ok":
            return told
        with context().wrap_socket(raw, server_hostname=server_name) as stream:
            stream.sendall(b"ping")
            return stream.recv(100).decode()

listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=relay, args=(listener,), daemon=True).start()
say([attempt(through, "allowed.test", "allowed.test"), attempt(through, "refused.test", "refused.test"),
     attempt(through, "93.184.1.2", "refused.test"), attempt(through, "allowed.test", "refused.test")])"#,
    )
    .await;
    let by_name_alone = json!(["ping", "EAI_NONAME", "ENETUNREACH"]);
    assert_eq!(
        run.said.as_array().expect("a list")[..3],
        *by_name_alone.as_array().expect("a list")
    );
    assert_ne!(run.said[3], "ping");
    let denied = super::denied(&run.result);
    for (host, reason) in [
        ("refused.test", "not_allowed"),
        ("allowed.test", "name_mismatch"),
    ] {
        assert!(
            denied.contains(&(host.to_owned(), reason.to_owned())),
            "{denied:?}"
        );
    }
    assert_eq!((allowed.count(), refused.count()), (1, 0));
}

#[tokio::test]
async fn a_redirect_to_a_refused_host_ends_there() {
    let lab = Lab::new();
    lab.resolver.set("allowed.test", ["93.184.1.1"]);
    let refused = lab.host("refused.test", "93.184.1.2");
    let allowed = lab.https("93.184.1.1:443", &["allowed.test"], |path| match path {
        "/here" => (200, Vec::new(), Bytes::from_static(b"welcome")),
        _ => {
            let elsewhere = "https://refused.test/elsewhere".to_owned();
            (302, vec![("location", elsewhere)], Bytes::new())
        }
    });
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    let run = run(
        &server,
        r#"
import urllib.error, urllib.request
def get(url):
    try:
        return urllib.request.urlopen(url, context=context(), timeout=LIMIT).read().decode()
    except urllib.error.URLError as error:
        return failure(error.reason)
say([get("https://allowed.test/here"), get("https://allowed.test/away")])"#,
    )
    .await;
    assert_eq!(run.said, json!(["welcome", "EAI_NONAME"]));
    assert_denied(&run.result, "refused.test", "not_allowed");
    assert_eq!((allowed.count(), refused.count()), (2, 0));
}
