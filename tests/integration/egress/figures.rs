//! Figures for docs/egress.md, from one run: `make bench-egress`. Each beside the same without a
//! sandbox, from the server's network namespace.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lab::{Lab, Talk};
use super::limits::beside_stuck_ones;
use super::over_http::Bridge;
use super::streams::{FIRST_BYTES, raw};
use super::{CLIENT, said, started};
use crate::harness::Application;

/// MB/s down and up, of 512 MiB each.
const THROUGHPUT: &str = r#"
SIZE = 512 << 20
def down():
    with socket.create_connection(("pour.test", 5432), timeout=LIMIT) as stream:
        begin, left, buffer = time.perf_counter(), SIZE, bytearray(1 << 20)
        while left > 0:
            left -= stream.recv_into(buffer)
        return SIZE / 1e6 / (time.perf_counter() - begin)
def up():
    piece = bytes(1 << 20)
    with socket.create_connection(("digest.test", 5432), timeout=60) as stream:
        begin = time.perf_counter()
        for _ in range(SIZE >> 20):
            stream.sendall(piece)
        stream.shutdown(socket.SHUT_WR)
        read(stream)
        return SIZE / 1e6 / (time.perf_counter() - begin)
say([down(), up()])"#;

/// Four downloads, until the file `stop` exists.
const DOWNLOADS: &str = r#"
def download():
    buffer = bytearray(1 << 18)
    with socket.create_connection(("pour.test", 5432), timeout=LIMIT) as stream:
        while not os.path.exists("stop"):
            stream.recv_into(buffer)
threads = [threading.Thread(target=download) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
say("done")"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run by make bench-egress"]
async fn first_byte_and_throughput() {
    let lab = Lab::new();
    let _echo = raw(&lab, "echo.test", "93.184.1.1", Talk::Echo);
    let _pour = raw(&lab, "pour.test", "93.184.1.2", Talk::Pour);
    let _digest = raw(&lab, "digest.test", "93.184.1.3", Talk::Digest);
    let allow = ["echo", "pour", "digest"].map(|name| format!("\"{name}.test:5432/tcp\""));
    let server = started(&lab, &format!("[egress]\nallow = [{}]\n", allow.join(", "))).await;
    let first = [said(&server, FIRST_BYTES).await, lab.run(FIRST_BYTES).await];
    let speed = [said(&server, THROUGHPUT).await, lab.run(THROUGHPUT).await];
    let number = |value: &Value| value.as_f64().expect("a number");
    println!(
        "first byte, median: {:.2} ms; without a sandbox {:.2} ms",
        number(&first[0]),
        number(&first[1])
    );
    for (at, direction) in ["down", "up"].into_iter().enumerate() {
        println!(
            "{direction}: {:.0} MB/s; without a sandbox {:.0} MB/s",
            number(&speed[0][at]),
            number(&speed[1][at])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run by make bench-egress"]
async fn memory_of_sixty_connections() {
    for (talk, sends, direction) in [(Talk::Pour, false, "down"), (Talk::Deaf, true, "up")] {
        let (grown, _) = beside_stuck_ones(talk, sends).await;
        println!("60 connections {direction} whose bytes are not read: {grown} KiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run by make bench-egress"]
async fn another_users_calls_during_four_downloads() {
    let lab = Lab::new();
    let _pour = raw(&lab, "pour.test", "93.184.1.1", Talk::Pour);
    let settings = lab.server("[egress]\nallow = [\"pour.test:5432/tcp\"]\n");
    let application = Application::start(settings).await;
    let _bridge = Bridge::to(&lab, application.server.address).await;
    application.shell("bob", "true").await;
    let times = async || {
        let mut times = Vec::new();
        for _ in 0..400 {
            let begin = Instant::now();
            application.call("bob", "list_files", json!({})).await;
            times.push(begin.elapsed());
        }
        times.sort();
        [times[200], times[396]].map(|time| time.as_secs_f64() * 1000.0)
    };
    let alone = times().await;
    let arguments = json!({ "command": "python3 -", "stdin": format!("{CLIENT}\n{DOWNLOADS}") });
    let downloads = application.call("ada", "shell_exec", arguments);
    let beside = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let beside = times().await;
        application.shell("ada", "touch stop").await;
        beside
    };
    let (result, beside) = tokio::join!(downloads, beside);
    assert_eq!(result.stdout(), "\"done\"\n");
    println!(
        "list_files of another user during four downloads: median {:.2} ms, 99 % {:.2} ms; alone \
         {:.2} ms, {:.2} ms",
        beside[0], beside[1], alone[0], alone[1]
    );
}
