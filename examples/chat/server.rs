//! A Casemate server for the example: over HTTP, on a free port of this machine, for one application.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running server. It ends with this value.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The application's token.
    pub token: String,
    _process: Child,
}

impl Server {
    /// Starts it. The token's entry is written to a file in `directory`.
    pub async fn start(
        program: &Path,
        environment: &[(&str, &str)],
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let made = Command::new(program)
            .args(["token", "--delegate", "chat"])
            .output()
            .await?;
        ensure!(made.status.success(), "casemate token: {made:?}");
        // The entry for the file goes to stdout, the token to a person.
        let said = String::from_utf8(made.stderr)?;
        let token = said.lines().find(|line| line.starts_with("cm_"));
        let token = token.context("no token")?;
        let tokens = directory.join("tokens.toml");
        std::fs::write(&tokens, made.stdout)?;
        let mut process = Command::new(program)
            .args([
                "serve",
                "--http",
                "127.0.0.1:0",
                "--auth",
                "tokens",
                "--tokens-file",
            ])
            .arg(&tokens)
            // An application's users have no sign-in at Casemate: its links open without.
            .env("CASEMATE_SHARE_LINKS", "on")
            .envs(environment.iter().copied())
            .env("CASEMATE_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let log = process.stderr.take().context("no stderr")?;
        let mut lines = BufReader::new(log).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix("listening on ") {
                let address = address.parse()?;
                tokio::spawn(async move {
                    while let Ok(Some(line)) = lines.next_line().await {
                        pass_on(&line);
                    }
                });
                return Ok(Self {
                    address,
                    token: token.to_owned(),
                    _process: process,
                });
            }
            pass_on(&line);
        }
        anyhow::bail!("casemate ended before it listened")
    }
}

/// What the server logs is for the person who runs the example.
#[allow(clippy::print_stderr)]
fn pass_on(line: &str) {
    eprintln!("{line}");
}
