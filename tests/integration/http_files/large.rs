//! A gigabyte each way: the server stays small, and its user's other calls go on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::BodyExt as _;

use super::client::{BOUNDARY, FORM, noise, put, stream as request, stream_up};
use crate::harness::{HttpServer, TestServer};

const CHUNK: usize = 1 << 20;
const CHUNKS: usize = 1 << 10;

/// Growth that a transfer may cost the server.
const GROWTH_KIB: u64 = 16 << 10;

/// The slowest speed that passes: a debug build on a busy machine.
const SLOWEST: Duration = Duration::from_secs(180);

/// Runs `transfer`, with small calls of the same user beside it, and looks at the
/// server's memory all the while.
async fn measured<T>(server: &HttpServer, what: &str, transfer: impl Future<Output = T>) -> T {
    let before = server.memory();
    let start = Instant::now();
    let (mut calls, mut slowest, mut most) = (0, Duration::ZERO, before);
    let small = async {
        loop {
            let asked = Instant::now();
            assert_eq!(server.shell("echo small").await.stdout(), "small\n");
            slowest = slowest.max(asked.elapsed());
            calls += 1;
            most = most.max(server.memory());
        }
    };
    let done = tokio::select! {
        done = tokio::time::timeout(SLOWEST, transfer) => done.expect("in time"),
        never = small => never,
    };
    let rate = 1024.0 / start.elapsed().as_secs_f64();
    let grown = most.max(server.memory()) - before;
    let seen = format!(
        "{what}: {rate:.0} MiB/s, +{grown} KiB, {calls} small calls, {slowest:?} at the most"
    );
    assert!(grown <= GROWTH_KIB, "{seen}");
    assert!(
        calls > 3 && slowest < Duration::from_secs(5),
        "{what}: {calls}, {slowest:?}"
    );
    done
}

fn gigabyte(chunk: &Bytes) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::iter(std::iter::repeat_n(chunk.clone(), CHUNKS))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_goes_in_and_out_while_the_server_stays_small() {
    let server = TestServer::new().start_http().await;
    let chunk = noise(CHUNK);
    // A first transfer, so that the fixed cost is not measured.
    put(&server, "warm", noise(8 << 20)).await;
    super::client::content(&server, "warm").await;
    server.shell("true").await;

    let body = gigabyte(&chunk);
    let path = "/files/content/large";
    let up = measured(&server, "PUT", stream_up(&server, "PUT", path, &[], body)).await;
    assert_eq!(
        (up.status, &up.data()["size"]),
        (201, &(1_u64 << 30).into())
    );

    let down = measured(&server, "GET", async {
        let mut response = request(&server, "GET", path, &[], stream::empty()).await;
        let (mut at, mut same) = (0, true);
        while let Some(frame) = response.body_mut().frame().await {
            let data = frame.expect("a whole file").into_data().expect("data");
            same &= is_at(&chunk, at, &data);
            at += data.len();
        }
        (at, same)
    })
    .await;
    assert_eq!(down, (CHUNK * CHUNKS, true));

    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"form\"\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let body = stream::iter([Bytes::from(head)])
        .chain(gigabyte(&chunk))
        .chain(stream::iter([Bytes::from(tail)]));
    let path = "/files/upload";
    let form = stream_up(&server, "POST", path, &[FORM], body);
    let form = measured(&server, "POST", form).await;
    assert_eq!(form.data()["size"], 1_u64 << 30, "{form:?}");
    assert_eq!(
        server.shell("cmp large form; echo $?").await.stdout(),
        "0\n"
    );
}

/// Whether `data` is at offset `at` of a repetition of `chunk`.
fn is_at(chunk: &Bytes, mut at: usize, mut data: &[u8]) -> bool {
    while !data.is_empty() {
        let from = at % chunk.len();
        let length = data.len().min(chunk.len() - from);
        if data[..length] != chunk[from..from + length] {
            return false;
        }
        at += length;
        data = &data[length..];
    }
    true
}
