//! An upgrade under load: two servers of the unit run from one settings file.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{CASEMATE, UNIT, text, top};
use crate::harness::{Directory, Instance};

/// A port of four digits that is free, and whose port for metrics is free too.
fn free_port(but: u16) -> u16 {
    let is_free = |port: &u16| {
        let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        *port != but && listen(*port) && listen(10_000 + port)
    };
    let first = 2000 + (std::process::id() % 7000) as u16;
    let mut ports = (first..9999).chain(2000..first);
    ports.find(is_free).expect("a free port")
}

/// Starts the server as systemd starts the unit of this port, with the packaged settings file.
fn start(instance: &Instance, port: u16, tokens: &str) -> Child {
    let unit = text(UNIT);
    let line = unit.lines().find_map(|it| it.strip_prefix("ExecStart="));
    let line = line.expect("a command").replace("%i", &port.to_string());
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("/usr/bin/casemate"));
    Command::new(CASEMATE)
        .args(words)
        .env("CASEMATE_CONFIG", top().join("packaging/casemate.toml"))
        .env("CASEMATE_TOKENS_FILE", tokens)
        .env("CASEMATE_INSTANCE", instance.name())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts")
}

/// The two addresses in its log, or the whole log if it ended.
async fn listens(server: &mut Child) -> Vec<String> {
    let mut lines = BufReader::new(server.stderr.take().expect("piped")).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.expect("text") {
        let is_last = line.starts_with("listening on ");
        said.push(line);
        if is_last {
            break;
        }
    }
    said
}

#[tokio::test]
async fn two_servers_of_the_unit_run_next_to_each_other() {
    let instance = Instance::new();
    let directory = Directory::new(0);
    let tokens = format!("{}/tokens.toml", directory.text());
    // The entry is appended to the file, without the token.
    super::run(
        std::process::Command::new(CASEMATE).args(["token", "--user", "ada", "--append", &tokens]),
    );
    let old = free_port(0);
    let mut servers = Vec::new();
    for port in [old, free_port(old)] {
        let mut server = start(&instance, port, &tokens);
        let said = timeout(Duration::from_secs(30), listens(&mut server)).await;
        let said = said.expect("it starts in time");
        for line in [
            format!("metrics on 127.0.0.1:1{port}"),
            format!("listening on 127.0.0.1:{port}"),
        ] {
            assert!(said.contains(&line), "{line}: {said:?}");
        }
        servers.push(server);
    }
    for server in &mut servers {
        assert_eq!(server.try_wait().expect("its state"), None, "it still runs");
    }
}
