//! `make demo`: a session that shows what Casemate does. It is a separate package, because an example
//! of the server would be built with all dependencies of the server's tests.

#![allow(clippy::print_stdout)]

#[path = "../../../examples/chat/backend.rs"]
mod backend;
#[path = "../../../examples/chat/browser.rs"]
mod browser;
#[path = "../../../examples/chat/casemate.rs"]
mod casemate;
#[path = "../../../examples/chat/model.rs"]
mod model;
mod plain;
#[path = "../../../examples/chat/scenes.rs"]
mod scenes;
mod screen;
#[path = "../../../examples/chat/server.rs"]
mod server;
#[path = "../../../examples/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use support::{Session, text};

/// Warm calls that are timed.
const CALLS: usize = 50;

/// Calls of the plain way that are timed: it is slow.
const PLAIN_CALLS: usize = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let instance = format!("demo-{}", std::process::id());
    let shown = show(&instance).await;
    plain::remove_instance(&instance);
    shown
}

async fn show(instance: &str) -> anyhow::Result<()> {
    screen::title("Two users, two containers");
    let ada = Session::start(instance, "ada", &[]).await?;
    let bob = Session::start(instance, "bob", &[]).await?;
    two_users(&ada, &bob).await?;
    screen::title("A Python program");
    python(&ada).await?;
    screen::title("A runaway command, killed with its children at the timeout");
    runaway(&ada).await?;
    screen::title("Latency");
    latency(instance, &ada).await?;
    ada.end().await?;
    bob.end().await?;
    screen::title(
        "A chat application over HTTP: a table becomes a chart, a report and a web application",
    );
    let environment = [("CASEMATE_INSTANCE", instance)];
    scenes::play(&support::server()?, &environment, screen::said).await?;
    screen::done(
        "All of it ran in containers without network, without capabilities, each user as a separate uid.",
    );
    Ok(())
}

async fn two_users(ada: &Session, bob: &Session) -> anyhow::Result<()> {
    for (name, session) in [("ada", ada), ("bob", bob)] {
        let path = format!("{name}.txt");
        let note = json!({ "path": path, "content": format!("{name}'s secret\n") });
        screen::said(
            name,
            "write_file",
            &text(&session.call("write_file", note).await?),
        );
    }
    for (name, session, other) in [("ada", ada, "bob.txt"), ("bob", bob, "ada.txt")] {
        let result = session.call("read_file", json!({ "path": other })).await?;
        ensure!(result.is_error == Some(true), "{name} could read {other}");
        screen::said(name, &format!("read_file {other}"), &text(&result));
        let list = session.call("list_files", json!({})).await?;
        screen::said(name, "list_files", &text(&list));
    }
    Ok(())
}

async fn python(session: &Session) -> anyhow::Result<()> {
    let program = "import sys, platform\n\
        primes = [n for n in range(2, 60) if all(n % d for d in range(2, n))]\n\
        print(platform.python_version(), primes[-5:], file=sys.stderr)\n\
        print(sum(primes))\n";
    let file = json!({ "path": "primes.py", "content": program });
    screen::said(
        "ada",
        "write_file",
        &text(&session.call("write_file", file).await?),
    );
    let run = session
        .call("shell_exec", json!({ "command": "python3 primes.py" }))
        .await?;
    screen::said("ada", "python3 primes.py", &text(&run));
    Ok(())
}

async fn runaway(session: &Session) -> anyhow::Result<()> {
    let processes = json!({ "command": "ps -eo pid,ppid,args --no-headers | grep -v 'ps -eo'" });
    // Watches from a second call while the first one runs away.
    let command = "(setsid sleep 1001 &) ; sleep 1002 & trap '' TERM; sleep 1003";
    let arguments = json!({ "command": command, "timeout_seconds": 2 });
    let start = Instant::now();
    let (run, before) = tokio::join!(session.call("shell_exec", arguments), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        session.call("shell_exec", processes.clone()).await
    });
    screen::said("ada", "processes while it runs", &text(&before?));
    let took = format!("{command}\nafter {:.1} s", start.elapsed().as_secs_f64());
    screen::said("ada", &took, &text(&run?));
    let after = text(&session.call("shell_exec", processes).await?);
    ensure!(
        !after.contains("sleep 100"),
        "something of it is left: {after}"
    );
    screen::said("ada", "processes afterwards", &after);
    Ok(())
}

async fn latency(instance: &str, session: &Session) -> anyhow::Result<()> {
    let command: Value = json!({ "command": "true" });
    let mut ours = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let start = Instant::now();
        session.call("shell_exec", command.clone()).await?;
        ours.push(start.elapsed());
    }
    let plain = plain::exec_times(instance, PLAIN_CALLS)?;
    let (ours, plain) = (median(ours), median(plain));
    screen::row("shell_exec through casemate, median of 50", ours);
    screen::row("docker exec through the Engine, median of 5", plain);
    screen::row_text(
        "ratio",
        &format!("{:.0}x", plain.as_secs_f64() / ours.as_secs_f64()),
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
