//! Bytes through a connection: all of them, in both directions, with their ends.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::lab::{Lab, Talk, Target};
use super::{denied, run, said, start, started};
use crate::harness::{Server, eventually};

/// What is sent each way.
const MIB: usize = 64;

/// What the server's memory may grow by (docs/egress.md).
const GROWTH_KIB: u64 = 8 << 10;

/// A TCP server under a name with a rule.
fn raw(lab: &Lab, name: &str, address: &str, talk: Talk) -> Target {
    lab.resolver.set(name, [address]);
    lab.tcp(&format!("{address}:5432"), talk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bytes_pass_both_ways_at_once_unchanged() {
    let lab = Lab::new();
    let echo = lab.host("echo.test", "93.184.1.1");
    let raw = raw(&lab, "raw.test", "93.184.1.2", Talk::Echo);
    let allow = "[egress]\nallow = [\"echo.test\", \"raw.test:5432/tcp\"]\n";
    let server = started(&lab, allow).await;
    let script = format!(
        r#"
def send(stream, sha):
    piece = os.urandom(1 << 20)
    for number in range({MIB}):
        piece = piece[number * 1000:] + piece[:number * 1000]
        sha.update(piece)
        stream.sendall(piece)

def both_ways(stream):
    there, back, left = hashlib.sha256(), hashlib.sha256(), {MIB} << 20
    sender = threading.Thread(target=send, args=(stream, there))
    sender.start()
    while left and (piece := stream.recv(min(left, 1 << 18))):
        back.update(piece)
        left -= len(piece)
    sender.join()
    return there.hexdigest(), back.hexdigest()

def through(name, port, wrap):
    begin = time.time()
    with socket.create_connection((name, port), timeout=60) as stream:
        if wrap:
            with context().wrap_socket(stream, server_hostname=name) as stream:
                digests = both_ways(stream)
        else:
            digests = both_ways(stream)
    return {{"digests": digests, "seconds": time.time() - begin}}

say([through("raw.test", 5432, False), through("echo.test", 443, True)])"#
    );
    let found = said(&server, &script).await;
    let found = found.as_array().expect("a list");
    for (found, target) in found.iter().zip([raw, echo]) {
        eprintln!("{MIB} MiB each way in {} s", found["seconds"]);
        assert_eq!(found["digests"][0], found["digests"][1]);
        target.ended().await;
        let seen = &target.seen()[0];
        assert_eq!(seen.received, (MIB as u64) << 20);
    }
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let lab = Lab::new();
    let digest = raw(&lab, "digest.test", "93.184.1.1", Talk::Digest);
    let bye = raw(&lab, "bye.test", "93.184.1.2", Talk::Bye);
    let allow = "[egress]\nallow = [\"digest.test:5432/tcp\", \"bye.test:5432/tcp\"]\n";
    let server = started(&lab, allow).await;
    let found = said(
        &server,
        r#"
first = attempt(plain, "digest.test", 5432, b"question" * 1000)
with socket.create_connection(("bye.test", 5432), timeout=LIMIT) as stream:
    said = read(stream).decode()
    time.sleep(1)
    stream.sendall(b"after" * 1000)
say([first, said])"#,
    )
    .await;
    // The program has ended its direction, and the answer came.
    let mut expected = String::new();
    for byte in Sha256::digest("question".repeat(1000)) {
        write!(expected, "{byte:02x}").expect("a text");
    }
    assert_eq!(found, json!([expected, "bye"]));
    assert!(!digest.only().await.broken);
    // The target has ended its direction, and what the program sent came all the same.
    let seen = bye.only().await;
    assert_eq!((seen.received, seen.broken), (5000, false), "{seen:?}");
}

#[tokio::test]
async fn what_one_side_breaks_off_the_other_sees() {
    let lab = Lab::new();
    let echo = raw(&lab, "echo.test", "93.184.1.1", Talk::Echo);
    let drops = raw(&lab, "drops.test", "93.184.1.2", Talk::Drop);
    let allow = "[egress]\nallow = [\"echo.test:5432/tcp\", \"drops.test:5432/tcp\"]\n";
    let server = started(&lab, allow).await;
    let found = said(
        &server,
        r#"
stream = socket.create_connection(("echo.test", 5432), timeout=LIMIT)
stream.sendall(b"ping")
stream.recv(4)
stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
stream.close()
with socket.create_connection(("drops.test", 5432), timeout=LIMIT) as stream:
    stream.sendall(b"ping")
    say(attempt(stream.recv, 4))"#,
    )
    .await;
    assert_eq!(found, "ECONNRESET");
    assert!(
        echo.only().await.broken,
        "the target sees a reset, not an end"
    );
    drops.ended().await;
}

fn resident_kib(server: &Server) -> u64 {
    let pid = server.child.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let amount = line.expect("VmRSS").trim().trim_end_matches(" kB");
    amount.parse().expect("a number")
}

/// Sixty connections on which as much is sent as can be, and nothing read.
const STUCK: &str = r#"
streams = []
def stuck():
    stream = socket.create_connection(("stuck.test", 5432), timeout=60)
    streams.append(stream)
    stream.settimeout(5)
    try:
        while True:
            stream.sendall(b"x" * 65536)
    except TimeoutError:
        return

threads = [threading.Thread(target=attempt, args=(stuck,)) for _ in range(60)]
for thread in threads: thread.start()
for thread in threads: thread.join()
open("stuck", "w").close()
while not os.path.exists("stop"):
    time.sleep(0.1)
say(len(streams))
"#;

/// With sixty stuck connections to a server that talks so: what they cost this one, in KiB, and
/// how another connection ends.
async fn beside_stuck_ones(talk: Talk) -> (u64, Value) {
    let lab = Lab::new();
    let stuck = raw(&lab, "stuck.test", "93.184.1.1", talk);
    let _small = lab.host("small.test", "93.184.1.3");
    let allow = "[egress]\nallow = [\"stuck.test:5432/tcp\", \"small.test\"]\n";
    let server = started(&lab, allow).await;
    assert_eq!(said(&server, "say(tls('small.test'))").await, "ping");
    let before = resident_kib(&server);
    let (_, running) = start(&server, STUCK).await;
    eventually("all are stuck", Duration::from_secs(60), async || {
        server.shell("ls stuck").await.exit_code() == 0
    })
    .await;
    let grown = resident_kib(&server).saturating_sub(before);
    eventually("all are dialled", Duration::from_secs(20), async || {
        stuck.count() == 60
    })
    .await;
    let other = said(&server, "say(attempt(tls, 'small.test'))").await;
    server.shell("touch stop").await;
    assert_eq!(running.result().await.stdout(), "60\n");
    (grown, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_no_target_reads_hinder_nobody_and_do_not_pile_up() {
    let (grown, other) = beside_stuck_ones(Talk::Deaf).await;
    eprintln!("60 connections to a deaf target cost {grown} KiB");
    assert_eq!(other, "ping", "another connection");
    assert!(grown < GROWTH_KIB, "{grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_that_no_program_reads_hinder_nobody_and_do_not_pile_up() {
    let (grown, other) = beside_stuck_ones(Talk::Pour).await;
    eprintln!("60 connections that nobody reads cost {grown} KiB");
    assert_eq!(other, "ping", "another connection");
    assert!(grown < GROWTH_KIB, "{grown} KiB");
}

#[tokio::test]
async fn a_user_has_64_connections_and_one_more_is_refused_after_a_wait() {
    let lab = Lab::new();
    let echo = raw(&lab, "echo.test", "93.184.1.1", Talk::Echo);
    let server = started(&lab, "[egress]\nallow = [\"echo.test:5432/tcp\"]\n").await;
    let run = run(
        &server,
        r#"
def one():
    stream = socket.create_connection(("echo.test", 5432), timeout=30)
    stream.sendall(b"ping")
    return stream, stream.recv(4)
held, refused = [], []
def hold():
    try:
        held.append(one())
    except OSError as error:
        refused.append((failure(error), time.time()))
begin = time.time()
threads = [threading.Thread(target=hold) for _ in range(70)]
for thread in threads: thread.start()
for thread in threads: thread.join()
came = [answer for _, answer in held if answer == b"ping"]
gone = [answer for _, answer in held if answer != b"ping"]
waited = [at - begin for _, at in refused]
for stream, _ in held: stream.close()
time.sleep(1)
say({"came": len(came), "gone": len(gone) + len(refused), "waited": min(waited, default=0),
     "after": attempt(lambda: one()[1].decode())})"#,
    )
    .await;
    assert_eq!(run.said["came"], 64, "{}", run.said);
    assert_eq!(run.said["gone"], 6, "{}", run.said);
    assert!(
        run.said["waited"].as_f64().expect("a number") > 8.0,
        "{}",
        run.said
    );
    assert_eq!(run.said["after"], "ping");
    let limit = ("echo.test".to_owned(), "limit".to_owned());
    assert!(denied(&run.result).contains(&limit), "{}", run.result.0);
    assert_eq!(echo.count(), 65);
}
