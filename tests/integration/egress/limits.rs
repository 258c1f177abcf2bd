//! Connections that take all they can get: how many a user has, and what stuck ones cost others.

use std::time::Duration;

use serde_json::Value;

use super::lab::{Lab, Talk};
use super::streams::raw;
use super::{assert_denied, denied, run, said, start, started};
use crate::harness::eventually;
use crate::harness::host::resident_kib;

/// What the server's memory may grow by (docs/egress.md).
const GROWTH_KIB: u64 = 8 << 10;

#[tokio::test]
async fn as_many_bytes_pass_in_a_day_as_the_operator_says() {
    let lab = Lab::new();
    let _echo = raw(&lab, "echo.test", "93.184.1.1", Talk::Echo);
    let server = lab.server("[egress]\nallow = [\"echo.test:5432/tcp\"]\n");
    let server = server
        .env("CASEMATE_EGRESS_BYTES_PER_DAY", "1m")
        .start()
        .await;
    let send =
        |bytes: usize| format!("say(len(attempt(plain, 'echo.test', 5432, b'x' * {bytes})))");
    assert_eq!(said(&server, &send(400_000)).await, 400_000);
    // Both directions count together.
    let over = run(&server, &send(400_000)).await;
    assert_eq!(over.said, "ECONNRESET".len());
    assert_denied(&over.result, "echo.test", "bytes_per_day");
    let after = run(&server, &send(1)).await;
    assert_eq!(after.said, "ECONNRESET".len());
    assert_denied(&after.result, "echo.test", "bytes_per_day");
}

/// Sixty connections. Where `SENDS` is set, as much is sent as can be; nothing is read.
const STUCK: &str = r#"
streams = []
def stuck():
    stream = socket.create_connection(("stuck.test", 5432), timeout=60)
    streams.append(stream)
    stream.settimeout(5)
    if not SENDS:
        return time.sleep(5)
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
pub async fn beside_stuck_ones(talk: Talk, sends: bool) -> (u64, Value) {
    let lab = Lab::new();
    let stuck = raw(&lab, "stuck.test", "93.184.1.1", talk);
    let _small = lab.host("small.test", "93.184.1.3");
    let allow = "[egress]\nallow = [\"stuck.test:5432/tcp\", \"small.test\"]\n";
    let server = started(&lab, allow).await;
    assert_eq!(said(&server, "say(tls('small.test'))").await, "ping");
    let script = format!("SENDS = {}\n{STUCK}", i32::from(sends));
    let pid = server.child.id().expect("it runs").to_string();
    let before = resident_kib(&pid);
    let (_, running) = start(&server, &script).await;
    eventually("all are stuck", Duration::from_secs(60), async || {
        server.shell("ls stuck").await.exit_code() == 0
    })
    .await;
    let grown = resident_kib(&pid).saturating_sub(before);
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
    let (grown, other) = beside_stuck_ones(Talk::Deaf, true).await;
    eprintln!("60 connections to a deaf target cost {grown} KiB");
    assert_eq!(other, "ping", "another connection");
    assert!(grown < GROWTH_KIB, "{grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_that_no_program_reads_hinder_nobody_and_do_not_pile_up() {
    let (grown, other) = beside_stuck_ones(Talk::Pour, false).await;
    eprintln!("60 unread connections cost {grown} KiB");
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
