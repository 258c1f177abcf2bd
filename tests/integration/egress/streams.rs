//! Bytes through a connection: all of them, in both directions, with their ends.

use std::fmt::Write as _;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::lab::{Lab, Talk, Target};
use super::{said, started};

/// Sent each way.
const MIB: usize = 64;

/// A TCP server under a name with a rule.
pub fn raw(lab: &Lab, name: &str, address: &str, talk: Talk) -> Target {
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
def pieces():
    piece = os.urandom(1 << 20)
    for number in range({MIB}):
        piece = piece[number * 1000:] + piece[:number * 1000]
        yield piece

# In one thread: two may not use a TLS connection of Python's at the same time.
def both_ways(stream):
    there, back, left = hashlib.sha256(), hashlib.sha256(), {MIB} << 20
    stream.setblocking(False)
    waits = BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError
    source, out = pieces(), b""
    while left:
        if not out and (piece := next(source, None)):
            there.update(piece)
            out = memoryview(piece)
        has_moved = False
        try:
            if out:
                out = out[stream.send(out[:1 << 16]):]
                has_moved = True
        except waits:
            pass
        try:
            piece = stream.recv(min(left, 1 << 18))
            if not piece:
                break
            back.update(piece)
            left -= len(piece)
            has_moved = True
        except waits:
            pass
        if not has_moved:
            select.select([stream], [stream] if out else [], [], 30)
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
async fn a_program_that_has_ended_its_direction_gets_the_whole_answer_however_late_it_reads() {
    let lab = Lab::new();
    let _zeros = raw(&lab, "zeros.test", "93.184.1.1", Talk::Zeros);
    let server = started(&lab, "[egress]\nallow = [\"zeros.test:5432/tcp\"]\n").await;
    // What holds bytes on the way takes some of these whole, and of others a part. 3 s: longer than
    // the server waits until its last message is taken.
    let found = said(
        &server,
        r#"
def late(size):
    with socket.create_connection(("zeros.test", 5432), timeout=LIMIT) as stream:
        stream.sendall(str(size).encode())
        stream.shutdown(socket.SHUT_WR)
        time.sleep(3)
        left = attempt(lambda: size - len(read(stream)))
        if left:
            wrong.append([size, left])
wrong = []
sizes = [1 << 10, 1 << 18, 1 << 20, 2 << 20, 3 << 20, 4 << 20, 5 << 20, 6 << 20, 8 << 20, 16 << 20]
threads = [threading.Thread(target=late, args=[size]) for size in sizes]
for thread in threads: thread.start()
for thread in threads: thread.join()
say(wrong)"#,
    )
    .await;
    assert_eq!(
        found,
        json!([]),
        "[size, bytes that are missing or an error]"
    );
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

/// The median of 40 connections until their first byte comes back, in milliseconds. Not more than
/// 20 begin in a second.
pub const FIRST_BYTES: &str = r#"
def first_byte():
    begin = time.perf_counter()
    with socket.create_connection((socket.gethostbyname("echo.test"), 5432), timeout=LIMIT) as stream:
        stream.sendall(b"p")
        stream.recv(1)
        return (time.perf_counter() - begin) * 1000
took = []
for _ in range(40):
    took.append(first_byte())
    time.sleep(0.06)
say(sorted(took)[20])"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_byte_comes_nearly_as_soon_as_without_a_sandbox() {
    let lab = Lab::new();
    let _echo = raw(&lab, "echo.test", "93.184.1.1", Talk::Echo);
    let server = started(&lab, "[egress]\nallow = [\"echo.test:5432/tcp\"]\n").await;
    let inside = said(&server, FIRST_BYTES).await;
    let outside = lab.run(FIRST_BYTES).await;
    eprintln!("first byte at the median: {inside} ms in the sandbox, {outside} ms outside");
    let [inside, outside] = [inside, outside].map(|median| median.as_f64().expect("a number"));
    // 2 ms are the aim; a build for development on a busy machine is slower.
    assert!(inside < outside + 20.0, "{inside} ms, {outside} ms");
}
