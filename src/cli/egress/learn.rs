use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use casemate_protocol::Finished;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::io::{ReaderStream, SyncIoBridge};
use tokio_util::sync::CancellationToken;

use super::rule_for;
use crate::api::{CommandSpec, ToolError};
use crate::cli::identity_args::find_group;
use crate::cli::{exec, setup};
use crate::config::SettingsArgs;
use crate::config::limits::TIMEOUT_SECONDS;
use crate::identity::{GroupName, shown};
use crate::ops::throwaway::ThrowawaySandbox;
use crate::sandbox::{
    Command, ExecOutcome, Manager, NetworkReport, ProgressUpdate, UploadOptions, WaitOptions,
};

/// How long the sandbox outlives this program when that is killed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of the archive that wait for the sandbox.
const ARCHIVE_BUFFER: usize = 256 << 10;

/// Flags of `egress learn`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hosts that may be reached in this run, separated by commas, as in CASEMATE_EGRESS_ALLOW. They
    /// replace the rules of everybody; there is no word for every host.
    #[arg(long, value_name = "HOSTS", default_value = "")]
    allow: String,
    /// The group whose image and limits the sandbox has. The printed rules are then for its table.
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// The directory whose copy the command works on; without it, an empty workspace.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Seconds after which the command is killed, 1 to 3600.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    #[command(flatten)]
    settings: SettingsArgs,
    /// The command: one argument is a script for the shell, several are a program with
    /// its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs it, and prints what was refused.
///
/// # Errors
/// A wrong setting or host; the directory cannot be read; the command was not run.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (config, engine) = setup::verb(args.settings.clone())?;
    let egress = config.egress.with_allow_alone(&args.allow);
    let egress = egress.context("--allow cannot be used")?;
    let group = args.group.as_ref();
    let group = group.map(|name| find_group(&config, name)).transpose()?;
    let mut config = config.for_probe(group, IDLE_TIMEOUT);
    config.egress = Arc::new(egress);
    let throwaway = ThrowawaySandbox::new(&engine, config);
    setup::runtime()?.block_on(async {
        let stop = setup::stop_on_signal()?;
        let manager = throwaway.manager();
        let ended = tokio::select! {
            ended = execute(args, &manager, &throwaway, &stop) => ended,
            () = stop.cancelled() => Err(anyhow::anyhow!("interrupted")),
        };
        manager.close().await;
        throwaway.clean_up().await.context("the sandbox is left")?;
        let (finished, report) = ended?;
        let mut err = io::stderr().lock();
        for output in [finished.stdout, finished.stderr].into_iter().flatten() {
            err.write_all(&output.head)?;
            err.write_all(&output.tail)?;
        }
        let allowed = throwaway
            .config()
            .egress
            .rules(&throwaway.user().clone().into());
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        let report = report.as_deref();
        write!(
            io::stdout().lock(),
            "{}",
            text(args.group.as_ref(), &allowed, report)
        )?;
        Ok(match report {
            None => ExitCode::SUCCESS,
            Some(_) => ExitCode::FAILURE,
        })
    })
}

async fn execute(
    args: &Args,
    manager: &Manager,
    throwaway: &ThrowawaySandbox,
    stop: &CancellationToken,
) -> anyhow::Result<(Finished, Option<Box<NetworkReport>>)> {
    let identity = throwaway.user().clone().into();
    let sandbox = manager.sandbox(&identity);
    if let Some(directory) = &args.directory {
        let failed = || format!("{} could not be copied", directory.display());
        let (archive, problem) = archive_of(directory);
        let options = UploadOptions {
            create_new: false,
            unpack: true,
            limit: u64::MAX,
        };
        let uploaded = sandbox.upload("", options, archive).await;
        // Why the archive broke off says more than that it did.
        if let Ok(problem) = problem.await {
            return Err(problem).with_context(failed);
        }
        uploaded.with_context(failed)?;
    }
    let spec = CommandSpec {
        timeout_seconds: args.timeout,
        ..CommandSpec::new(exec::script(&args.command)?)
    };
    let request = spec.start().map_err(|error| anyhow::anyhow!("{error}"))?;
    let progress = watch::Sender::new(ProgressUpdate::Nothing);
    let follow = WaitOptions {
        // The command's timeout comes first.
        wait: Duration::from_secs(u64::from(TIMEOUT_SECONDS.most) * 2),
        cancel: stop,
        progress: &progress,
    };
    let answer = sandbox.exec(Command::Start(request), follow).await;
    let answer = answer.map_err(|error| ToolError::sandbox(&error, "the command"));
    let answer = answer.map_err(|error| anyhow::anyhow!("{error}"))?;
    match answer.value.outcome {
        ExecOutcome::Finished(finished) => Ok((*finished, answer.value.network)),
        other => anyhow::bail!("the command has no outcome: {other:?}"),
    }
}

/// The directory as a tar archive, made while it is sent. The other end tells why it broke off; it
/// is dropped after a whole one.
fn archive_of(
    directory: &Path,
) -> (
    BoxStream<'static, io::Result<Bytes>>,
    oneshot::Receiver<io::Error>,
) {
    let (reader, writer) = tokio::io::simplex(ARCHIVE_BUFFER);
    let (problem, told) = oneshot::channel();
    let (broken, is_broken) = oneshot::channel();
    let (directory, runtime) = (directory.to_owned(), Handle::current());
    std::thread::spawn(move || {
        let writer = SyncIoBridge::new_with_handle(writer, runtime);
        let mut archive = tar::Builder::new(writer);
        archive.follow_symlinks(false);
        let made = archive.append_dir_all("", directory);
        let made = made.and_then(|()| archive.into_inner()?.shutdown());
        if let Err(error) = made {
            let _ = broken.send(io::Error::other("the archive broke off"));
            let _ = problem.send(error);
        }
    });
    let broken = stream::once(is_broken).filter_map(async |told| told.ok().map(Err));
    (
        ReaderStream::new(reader).chain(Box::pin(broken)).boxed(),
        told,
    )
}

/// TOML with the rules of this run and those that it lacked; the rest as comments.
fn text(group: Option<&GroupName>, allowed: &[String], report: Option<&NetworkReport>) -> String {
    let denied = report.map(|report| report.denied.hosts.as_slice());
    let denied = denied.unwrap_or_default();
    let mut rules: BTreeSet<String> = allowed.iter().cloned().collect();
    let mut others = String::new();
    for entry in denied {
        let refusal = &entry.refusal;
        let (host, reason) = (shown(&refusal.host), refusal.reason.as_str());
        match rule_for(&refusal.host, refusal.port, reason) {
            Some(rule) => drop(rules.insert(rule)),
            None => {
                let port = refusal.port.map(|port| format!(":{port}"));
                let port = port.unwrap_or_default();
                let _ = writeln!(others, "# {host}{port}: {reason}, {}x", entry.count);
            }
        }
    }
    let mut text = match denied.len() {
        0 => "# Nothing was refused.\n".to_owned(),
        _ => "# Something was refused. Read what is new, and run the command again with --allow.\n"
            .to_owned(),
    };
    text += &match group {
        None => "[egress]\n".to_owned(),
        Some(name) => format!("[[groups]]\nname = \"{name}\"\n[groups.egress]\n"),
    };
    text += "allow = [\n";
    for rule in &rules {
        let is_new = !allowed.contains(rule);
        let _ = writeln!(text, "  \"{rule}\",{}", if is_new { "  # new" } else { "" });
    }
    text += "]\n";
    if !others.is_empty() {
        text += "\n# Refused for another reason:\n";
        text += &others;
    }
    text
}
