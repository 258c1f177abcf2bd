//! More questions than anybody has.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::lab::{Lab, Talk};
use super::{said, start, started};
use crate::harness::eventually;

/// How long the flood goes on, in seconds.
const FLOOD: u32 = 10;

/// Questions of a sandbox that go to the server in a second (docs/egress.md).
const RATE: u32 = 50;

/// How long a command may take on a machine that is busy with the flood.
const PROMPT: Duration = Duration::from_secs(5);

/// As fast as Python can, from three processes: names that exist and do not, of every type, over
/// UDP and TCP, in mixed case, malformed, and cut.
const ATTACK: &str = r#"
import random
def junk(number):
    way = number % 10
    name = ["N%d" % random.getrandbits(40), "flood", "TEST"]
    if way < 3: return query(name, 1, number & 0xffff)
    if way == 3: return query(name, 255, number & 0xffff)
    if way == 4: return query(["a" * 255, "flood", "test"])
    if way == 5: return os.urandom(random.randrange(0, 600))
    if way == 6: return query(["x" * 63] * 4, 16)
    if way == 7: return query(name)[:random.randrange(0, 30)]
    if way == 8: return b"\0\1\0\0\xff\xff\0\0\0\0\0\0" + b"\xc0\x0c\0\1\0\1"
    return query(["refused%d" % random.getrandbits(40), "evil", "test"])

def udp(end):
    sent, answered = 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        stream.connect(("127.0.0.1", 53))
        stream.setblocking(False)
        while time.time() < end:
            try:
                stream.send(junk(sent))
                sent += 1
            except OSError:
                pass
            try:
                stream.recv(4096)
                answered += 1
            except OSError:
                pass
    return sent, answered

def tcp(end):
    held = []
    while time.time() < end:
        try:
            stream = socket.create_connection(("127.0.0.1", 53), timeout=1)
            message = junk(random.getrandbits(16))
            stream.sendall(struct.pack("!H", random.choice([len(message), 0, 65535])) + message)
            held.append(stream)
        except OSError:
            time.sleep(0.01)
        if len(held) > 100:
            held.pop(0).close()
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_questions_is_bounded_and_nothing_else_waits_for_it() {
    let lab = Lab::new();
    let target = lab.host("allowed.test", "93.184.1.1");
    let server = started(
        &lab,
        "[egress]\nallow = [\"allowed.test\", \"*.flood.test\"]\n",
    )
    .await;
    assert_eq!(said(&server, "say(tls('allowed.test'))").await, "ping");
    let container = server.instance.container();
    let script = format!(
        r#"{ATTACK}
end = time.time() + {FLOOD}
if os.fork() == 0:
    tcp(end)
    os._exit(0)
sent = udp(end)
os.wait()
say(sent)"#
    );
    let begin = Instant::now();
    let (_, running) = start(&server, &script).await;
    let mut slowest = Duration::ZERO;
    while begin.elapsed() < Duration::from_secs(FLOOD.into()) {
        let asked = Instant::now();
        assert_eq!(server.shell("echo lives").await.stdout(), "lives\n");
        slowest = slowest.max(asked.elapsed());
    }
    let ended = running.result().await;
    let took = begin.elapsed();
    let sent: Value = serde_json::from_str(ended.stdout()).expect("JSON");
    let lookups = lab.resolver.questions();
    let lookups = lookups.iter().filter(|name| name.ends_with(".test"));
    eprintln!("{sent} sent and answered; a command took {slowest:?}");
    assert!(sent[0].as_u64() > Some(10_000), "{sent}: no flood");
    assert!(slowest < PROMPT, "a command took {slowest:?}");
    // Each lookup asks for A and AAAA, and may ask again.
    let bound = u64::from(RATE) * (took.as_secs() + 2) * 4;
    assert!(
        (lookups.count() as u64) < bound,
        "more than {bound} questions"
    );
    let denied = ended.field("network")["denied"].as_array();
    assert!(
        denied.is_none_or(|denied| denied.len() <= 10),
        "{}",
        ended.0
    );

    assert_eq!(server.instance.container(), container, "PID 1 lives");
    eventually("names exist again", Duration::from_secs(20), async || {
        said(&server, "say(attempt(tls, 'allowed.test'))").await == "ping"
    })
    .await;
    assert!(target.count() >= 2);
}

#[tokio::test]
async fn questions_over_tcp_are_answered_as_those_over_udp() {
    let lab = Lab::new();
    lab.resolver.set("allowed.test", ["93.184.1.1"]);
    let _target = lab.tcp("93.184.1.1:443", Talk::Echo);
    let server = started(&lab, "[egress]\nallow = [\"allowed.test\"]\n").await;
    let found = said(
        &server,
        r#"
def over_tcp(queries):
    with socket.create_connection(("127.0.0.1", 53), timeout=LIMIT) as stream:
        for query in queries:
            stream.sendall(struct.pack("!H", len(query)) + query)
        answers = []
        for _ in queries:
            length, = struct.unpack("!H", stream.recv(2, socket.MSG_WAITALL))
            message = stream.recv(length, socket.MSG_WAITALL)
            answers.append((struct.unpack("!H", message[:2])[0], answer(message)))
        return sorted(answers)

mixed = query(["aLLowed", "TEST"], 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
    stream.connect(("127.0.0.1", 53))
    stream.settimeout(LIMIT)
    stream.send(mixed)
    echoed = mixed[12:] in stream.recv(4096)
say({"tcp": over_tcp([mixed, query(["refused", "test"], 1, 2), query(["allowed", "test"], 28, 3)]),
     "udp": ask(["allowed", "test"]), "echoed": echoed})"#,
    )
    .await;
    assert_eq!(
        found["echoed"], true,
        "the question comes back byte for byte"
    );
    assert_eq!(found["tcp"][0][1], found["udp"]);
    assert_eq!(found["tcp"][1][1], "NXDOMAIN");
    assert_eq!(found["tcp"][2][1], "NODATA");
}
