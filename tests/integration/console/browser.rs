//! The console in a browser, with names and commands of hostile users.

use super::*;
use crate::harness::Application;
use crate::http_page::browser::drive;

#[tokio::test]
async fn an_operator_watches_hostile_sandboxes_come_and_go() {
    let directory = Directory::new(0);
    let server = TestServer::new().env("CASEMATE_WARM", "off");
    let app = Application::start(with_console(server, &directory)).await;
    let admin = app.server.admin.expect("an admin address");
    // HTML, another direction, and of the greatest length. A header takes these bytes.
    let html = "<img src=x onerror=\"window.hurt=1\"><script>window.hurt=1</script>";
    let long = format!("{}<b>", "y".repeat(1_000));
    let commands = [
        format!("# {html} \u{202e}desrever\u{2066}\nsleep 1000"),
        format!("sleep 1001 # {}", "x".repeat(10_000)),
    ];
    for (user, command) in [html, long.as_str()].iter().zip(commands) {
        let arguments = json!({ "command": command, "wait_seconds": 0 });
        let started = app.call(user, "shell_exec", arguments).await;
        assert_eq!(started.outcome(), "running");
    }
    let casemate = env!("CARGO_BIN_EXE_casemate");
    let settings = json!({
        "base": format!("http://{admin}"),
        "token": TOKEN,
        "users": [html, long],
        "casemate": casemate,
        "instance": app.server.instance.name(),
    });
    drive("console", settings).await;
}
