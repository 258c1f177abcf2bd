//! Prints the command's result like the answer of `shell_exec`.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use casemate_protocol::MAX_STDIN;
use tokio::sync::watch;

use super::{Args, FAILED, exit_code, identity, script};
use crate::api::{CommandResult, CommandSpec, ToolError};
use crate::cli::json;
use crate::cli::setup;
use crate::config::Config;
use crate::config::limits::TIMEOUT_SECONDS;
use crate::engine::Engine;
use crate::sandbox::{Command, ExecOutcome, Manager, ProgressUpdate, WaitOptions};

/// Runs the command and prints its result.
///
/// # Errors
/// It was certainly not run.
pub async fn run(args: &Args, config: Config, engine: Engine) -> anyhow::Result<ExitCode> {
    let timeout = args.timeout.unwrap_or(TIMEOUT_SECONDS.default);
    let spec = CommandSpec {
        stdin: stdin()?,
        timeout_seconds: timeout,
        ..CommandSpec::new(script(&args.command)?)
    };
    let request = spec.start().map_err(|error| anyhow::anyhow!("{error}"))?;
    let stop = setup::stop_on_signal()?;
    let manager = Manager::new(config, engine.clone());
    let identity = identity(args, &engine, &manager).await?;
    let progress = watch::Sender::new(ProgressUpdate::Nothing);
    let follow = WaitOptions {
        // The command's timeout comes first.
        wait: Duration::from_secs(u64::from(TIMEOUT_SECONDS.most) * 2),
        cancel: &stop,
        progress: &progress,
    };
    let sandbox = manager.sandbox(&identity);
    let executed = sandbox.exec(Command::Start(request), follow).await;
    manager.close().await;
    let answer = executed.map_err(|error| ToolError::sandbox(&error, "the command"));
    let answer = answer.map_err(|error| anyhow::anyhow!("{error}"))?;
    let code = match &answer.value.outcome {
        ExecOutcome::Finished(finished) => exit_code(finished),
        _ => ExitCode::from(FAILED),
    };
    let output = CommandResult::from(answer);
    let mut out = std::io::stdout().lock();
    json::write(&mut out, &output)?;
    Ok(code)
}

/// Standard input, unless it is a terminal.
fn stdin() -> anyhow::Result<String> {
    let input = std::io::stdin();
    let mut text = String::new();
    if !input.is_terminal() {
        let most = u64::try_from(MAX_STDIN)? + 1;
        let read = input.lock().take(most).read_to_string(&mut text);
        read.context("standard input is not UTF-8")?;
        anyhow::ensure!(text.len() <= MAX_STDIN, "standard input is over 1 MiB");
    }
    Ok(text)
}
