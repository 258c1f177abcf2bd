//! Transfers next to everything else: several at once, a server that is killed in the
//! middle, containers that would end during one, and the tar of the image.

use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Answer, HttpServer, TestServer, docker, eventually};

/// More than all buffers hold between the disk and a client that does not read.
const LARGE: usize = 64 << 20;

/// Deadline for a call that waits for others, on a busy machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Transfers of one user that run at once.
const AT_ONCE: usize = 4;

async fn make(server: &HttpServer, path: &str, size: usize) {
    let command = format!("head -c {size} /dev/urandom > {path}; sha256sum < {path}");
    let made = server.shell(&command).await;
    assert_eq!(made.outcome(), "exited", "{}", made.0);
}

async fn begin_download(server: &HttpServer, path: &str) -> Answer {
    let path = format!("/files/content/{path}");
    server.send(server.request("GET", &path), "").await
}

/// The whole body; an error if it breaks off.
async fn rest(mut answer: Answer) -> Result<Vec<u8>, String> {
    let body = timeout(CALL_TIMEOUT, answer.response.body_mut().collect()).await;
    let body = body.map_err(|_| "it did not come".to_owned())?;
    body.map(|body| body.to_bytes().to_vec())
        .map_err(|error| error.to_string())
}

async fn put(server: &HttpServer, path: &str, content: Vec<u8>) -> u16 {
    let path = format!("/files/content/{path}");
    let answer = server.send(server.request("PUT", &path), content).await;
    answer.status().as_u16()
}

/// An upload that is half sent, with the connection for the rest.
async fn half_an_upload(server: &HttpServer, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    let head = format!(
        "PUT /files/content/{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {LARGE}\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
        .write_all(&vec![b'n'; LARGE / 2])
        .await
        .expect("sent");
    stream
}

/// Temporary files in the workspace.
fn temporary(container: &str) -> String {
    docker::exec(container, "find /workspace -name '.casemate-tmp-*'")
}

#[tokio::test]
async fn a_server_killed_during_an_upload_leaves_the_old_file_and_nothing_else() {
    let server = TestServer::new().start_http().await;
    assert_eq!(put(&server, "dir/file", b"old".to_vec()).await, 201);
    let container = server.instance.container();
    let half = half_an_upload(&server, "dir/file").await;
    eventually("the upload to be under way", CALL_TIMEOUT, async || {
        !temporary(&container).is_empty()
    })
    .await;
    server.signal("KILL");
    eventually("the temporary file to go", CALL_TIMEOUT, async || {
        temporary(&container).is_empty()
    })
    .await;
    drop(half);
    let left = docker::exec(&container, "ls -A /workspace/dir; cat /workspace/dir/file");
    assert_eq!(left, "file\nold");
}

#[tokio::test]
async fn small_calls_run_next_to_four_transfers_and_a_fifth_transfer_waits() {
    let server = TestServer::new().start_http().await;
    make(&server, "large", LARGE).await;
    let mut stalled = Vec::new();
    for _ in 0..AT_ONCE {
        let answer = begin_download(&server, "large").await;
        assert_eq!(answer.status(), 200);
        stalled.push(answer);
    }
    // They are not read, and each occupies a thread of PID 1 and a bridge.
    for number in 0..20 {
        let file = json!({ "path": format!("small-{number}"), "content": "small" });
        let written = server.call("write_file", file).await;
        assert!(!written.is_error(), "{}", written.0);
    }
    assert_eq!(server.shell("echo hi").await.stdout(), "hi\n");
    let one_more = begin_download(&server, "large");
    tokio::pin!(one_more);
    let early = timeout(Duration::from_secs(2), one_more.as_mut()).await;
    assert!(early.is_err(), "it had no turn: {early:?}");
    drop(stalled.pop());
    let answer = timeout(CALL_TIMEOUT, one_more).await.expect("its turn");
    let content = rest(answer).await.expect("whole");
    for answer in stalled {
        assert!(rest(answer).await == Ok(content.clone()));
    }
}

#[tokio::test]
async fn a_transfer_outlasts_the_idle_timeout_but_not_its_container() {
    let server = TestServer::new()
        .env("CASEMATE_IDLE_TIMEOUT", "1s")
        .start_http()
        .await;
    make(&server, "large", LARGE).await;
    let container = server.instance.container();
    let answer = begin_download(&server, "large").await;
    // While the download is not read, only it keeps the container.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(server.instance.containers(), [container.as_str()]);
    assert_eq!(rest(answer).await.map(|content| content.len()), Ok(LARGE));
    eventually("the idle container to end", CALL_TIMEOUT, async || {
        server.instance.containers().is_empty()
    })
    .await;

    let answer = begin_download(&server, "large").await;
    docker::output(&["kill", &server.instance.container()]);
    let broken = rest(answer).await;
    assert!(broken.is_err(), "{:?}", broken.map(|content| content.len()));
}

#[tokio::test]
async fn in_ephemeral_mode_transfers_run_next_to_commands() {
    let server = TestServer::new()
        .env("CASEMATE_MODE", "ephemeral")
        .start_http()
        .await;
    let content = vec![7; LARGE];
    assert_eq!(put(&server, "large", content.clone()).await, 201);
    let answer = begin_download(&server, "large").await;
    // Two commands: the first may get the container of the transfer.
    for _ in 0..2 {
        let counted = server.shell("wc -c < large").await;
        assert_eq!(counted.stdout().trim(), LARGE.to_string());
    }
    assert!(rest(answer).await == Ok(content));
}

#[tokio::test]
async fn the_tar_of_the_image_reads_our_archives_and_we_read_its() {
    let server = TestServer::new().start_http().await;
    let script = "
        mkdir -p from/dir && cd from
        printf content > dir/file && chmod 750 dir/file && touch -d @1000000000 dir/file
        ln -s dir/file link
        truncate -s 1G sparse && printf data | dd of=sparse bs=1 seek=700000000 conv=notrunc
        touch \"$(printf 'n%.0s' $(seq 200))\" 'new
line'
    ";
    let made = server.shell(script).await;
    assert_eq!(made.exit_code(), 0, "{}", made.0);
    let archive = rest(begin_download(&server, "from").await)
        .await
        .expect("whole");
    assert!(archive.len() < 1 << 20, "{} bytes", archive.len());
    assert_eq!(put(&server, "ours.tar", archive).await, 201);
    let compare = "mkdir ours && tar xf ours.tar -C ours && diff -r from ours &&
        stat -c '%a %Y' ours/dir/file && readlink ours/link";
    let same = server.shell(compare).await;
    assert_eq!(same.stdout(), "750 1000000000\ndir/file\n", "{}", same.0);

    for format in ["gnu", "pax", "ustar"] {
        let exclude = "--exclude sparse --exclude 'nnn*'";
        let archived = format!("tar cf theirs.tar --format {format} {exclude} -C from .");
        let archived = server.shell(&archived).await;
        assert_eq!(archived.exit_code(), 0, "{}", archived.0);
        let theirs = rest(begin_download(&server, "theirs.tar").await).await;
        let status = put(&server, "theirs?unpack=tar", theirs.expect("whole")).await;
        assert!(matches!(status, 200 | 201), "{status}");
        let compare = "diff -r --exclude sparse --exclude 'nnn*' from theirs &&
            stat -c '%a %Y' theirs/dir/file && readlink theirs/link && rm -r theirs";
        let same = server.shell(compare).await;
        assert_eq!(
            same.stdout(),
            "750 1000000000\ndir/file\n",
            "{format}: {}",
            same.0
        );
    }
}
