//! WebSockets on which nothing is sent, by either side.

use std::process::Stdio;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::streams::{echoes, websocket};
use super::*;
use crate::harness::not_run;

/// Longer than every bound on silence that the server has for a connection: 30 s for the next
/// request, 60 s for an unanswered probe.
const SILENT: Duration = Duration::from_secs(75);

/// How long a vanished browser may be unnoticed: the bound of the server is a minute.
const UNNOTICED: Duration = Duration::from_secs(180);

/// A browser that opens a WebSocket and, when it is told to, vanishes: its kernel forgets the
/// connection and sends no FIN (`TCP_REPAIR`, 19). It needs `CAP_NET_ADMIN`.
const VANISHING: &str = "
import socket, sys
host, port, head = sys.argv[1], int(sys.argv[2]), sys.argv[3]
stream = socket.create_connection((host, port))
stream.sendall(head.encode())
answer = b''
while not answer.endswith(b'\\r\\n\\r\\n'):
    answer += stream.recv(1)
try:
    stream.setsockopt(socket.IPPROTO_TCP, 19, 1)
    stream.setsockopt(socket.IPPROTO_TCP, 19, 0)
except PermissionError:
    print('no permission', flush=True)
    sys.exit()
print(answer.decode().splitlines()[0], flush=True)
sys.stdin.readline()
stream.setsockopt(socket.IPPROTO_TCP, 19, 1)
stream.close()
";

async fn open_connections(server: &HttpServer) -> String {
    let metrics = server.metrics().await;
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix("casemate_preview_connections_open "));
    line.expect("the metric").to_owned()
}

#[tokio::test]
async fn a_silent_websocket_lives_and_one_whose_browser_vanished_is_released() {
    let deployment = Deployment::new();
    let server = deployment.alone().flag("--admin", "127.0.0.1:0");
    let server = server.start_http().await;
    let preview = shown(&server, 8000).await;
    let own = format!("Origin: {}\r\n", preview.origin());
    let (head, mut silent) = websocket(&server, &preview, &own).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    echoes(&mut silent, "before").await;
    let since = Instant::now();

    let (address, head) = (server.address, super::streams::head(&preview, &own));
    let mut vanishing = Command::new("python3")
        .args(["-c", VANISHING])
        .args([
            &address.ip().to_string(),
            &address.port().to_string(),
            &head,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 starts");
    let mut said = String::new();
    let output = vanishing.stdout.take().expect("stdout");
    let mut output = BufReader::new(output);
    output.read_line(&mut said).await.expect("a line");
    if said.starts_with("no permission") {
        not_run("a browser that vanishes, which needs CAP_NET_ADMIN");
    } else {
        assert!(said.starts_with("HTTP/1.1 101"), "{said}");
        assert_eq!(open_connections(&server).await, "2");
        let mut input = vanishing.stdin.take().expect("stdin");
        input.write_all(b"\n").await.expect("sent");
        assert!(vanishing.wait().await.expect("it ends").success());
        let released = async || open_connections(&server).await == "1";
        eventually("it is released", UNNOTICED, released).await;
    }

    // Nothing passes on the other one until then.
    tokio::time::sleep(SILENT.saturating_sub(since.elapsed())).await;
    assert_eq!(open_connections(&server).await, "1");
    echoes(&mut silent, "after").await;
}
