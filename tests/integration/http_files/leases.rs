//! Files on which a program in the sandbox holds a lease (fcntl(2), `F_SETLEASE`).

use std::time::Duration;

use serde_json::json;

use super::client::{get, put};
use crate::harness::{Directory, HttpServer, TestServer, eventually};

/// Takes a lease on a file again and again. When the kernel asks for it back, it releases it after
/// a while or never, as its argument says; then the kernel breaks the lease after 45 s.
const HOLDER: &str = r#"
import fcntl, os, signal, sys, time
asked = False
def ask(*_):
    global asked
    asked = True
signal.signal(signal.SIGIO, ask)
lets_go = sys.argv[1] == "lets-go"
file = os.open("dir/held", os.O_RDWR)
while True:
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        open("ready", "a").close()
    except OSError:
        pass
    time.sleep(0.3)
    if asked and lets_go:
        asked = False
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        time.sleep(0.3)
"#;

/// A server whose user holds a lease on `dir/held`.
async fn with_holder(how: &str) -> HttpServer {
    let server = TestServer::new().start_http().await;
    put(&server, "dir/held", "held").await;
    put(&server, "dir/other", "other").await;
    put(&server, "holder.py", HOLDER).await;
    let command = format!("python3 holder.py {how}");
    let background = json!({ "command": command, "wait_seconds": 0, "timeout_seconds": 300 });
    server.call("shell_exec", background).await;
    eventually("the lease is held", Duration::from_secs(20), async || {
        get(&server, "/files/content/ready").await.status == 200
    })
    .await;
    server
}

fn back_up(server: &HttpServer) -> std::process::Output {
    let target = Directory::new(0);
    let args = ["backup", "tester", "--to", target.text()];
    let output = server.instance.command(&args).output();
    output.expect("it runs")
}

#[tokio::test]
async fn a_lease_that_is_let_go_holds_up_a_read_and_no_more() {
    let server = with_holder("lets-go").await;
    let read = server
        .call("read_file", json!({ "path": "dir/held" }))
        .await;
    assert!(!read.is_error(), "{read:?}");
    for _ in 0..3 {
        let file = get(&server, "/files/content/dir/held").await;
        assert_eq!((file.status, &file.body[..]), (200, &b"held"[..]));
        assert_eq!(get(&server, "/files/download/dir").await.status, 200);
    }
    let output = back_up(&server);
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_lease_that_is_kept_makes_the_file_busy_by_its_name() {
    let server = with_holder("keeps-it").await;
    let read = server
        .call("read_file", json!({ "path": "dir/held" }))
        .await;
    assert!(read.text().starts_with("busy: \"dir/held\" "), "{read:?}");
    let file = get(&server, "/files/content/dir/held").await;
    assert_eq!(file.error(), (503, "busy".to_owned()));
    assert!(!file.header("retry-after").is_empty());
    // Before anything of the archive is sent.
    let all = get(&server, "/files/download/dir").await;
    assert_eq!(all.error(), (503, "busy".to_owned()));
    let message = all.json()["error"]["message"].to_string();
    assert!(message.contains(r#"\"held\" in \"dir\""#), "{message}");
    let other = get(&server, "/files/content/dir/other").await;
    assert_eq!(other.status, 200);
    let output = back_up(&server);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("dir/held"),
        "{said}"
    );
}
