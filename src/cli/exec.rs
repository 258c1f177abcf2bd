//! `casemate exec`: a command in a user's sandbox, through the same channel as the
//! tools, with the same limits.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use casemate_protocol::{Finished, MAX_STDIN, Outcome};
use tokio::sync::watch;

use super::setup;
use super::whose::{self, UserArgs};
use crate::config::limits::TIMEOUT_SECONDS;
use crate::config::{Config, ProcessEnvironment, SettingsArgs};
use crate::engine::Engine;
use crate::identity::{Issuer, User};
use crate::ops::users::{self, UserError};
use crate::sandbox::{Command, Executed, Follow, Manager, News, Reason};
use crate::tools;

/// Flags of `exec`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    user: UserArgs,
    /// Make the sandbox of a user who has none yet.
    #[arg(long)]
    create: bool,
    /// Seconds after which the command is killed, 1 to 3600.
    #[arg(long, default_value_t = TIMEOUT_SECONDS.default)]
    timeout: u32,
    /// Print JSON: what `shell_exec` answers.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    /// The command: one argument is a script for the shell, several are a program with
    /// its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// As timeout(1) says it.
const TIMED_OUT: u8 = 124;

/// As docker(1) says that it failed itself.
const FAILED: u8 = 125;

/// Runs the command and ends with its exit code.
///
/// # Errors
/// When it was certainly not run; nobody of this name, or several.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(args.settings, &ProcessEnvironment)?;
    setup::log_quietly(&config)?;
    let engine = setup::engine(&ProcessEnvironment)?;
    let request = tools::start(script(&args.command), stdin()?, args.timeout)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    setup::runtime()?.block_on(async {
        let stop = setup::stop_on_signal()?;
        let user = user(&args.user, args.create, &engine, &config).await?;
        let manager = Manager::new(config, engine);
        let news = watch::Sender::new(News::Nothing);
        let follow = Follow {
            // Its own timeout comes first.
            wait: Duration::from_secs(u64::from(TIMEOUT_SECONDS.most) * 2),
            cancel: &stop,
            news: &news,
        };
        let sandbox = manager.sandbox(&user);
        let executed = sandbox.exec(Command::Start(request), follow).await;
        manager.close().await;
        let answer = executed.map_err(|error| tools::ToolError::sandbox(&error, "the command"));
        let answer = answer.map_err(|error| anyhow::anyhow!("{error}"))?;
        let code = exit_code(&answer.value);
        if args.json {
            let result = tools::convert(answer, args.timeout);
            let mut out = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &result.structured_content)?;
            writeln!(out)?;
        } else {
            print(&answer.value)?;
        }
        Ok(code)
    })
}

/// The user's sandbox is made where there is none, but a user is made only when asked for: a name
/// that is spelled wrong would get an empty sandbox otherwise.
async fn user(
    args: &UserArgs,
    create: bool,
    engine: &Engine,
    config: &Config,
) -> anyhow::Result<User> {
    let (name, issuer) = (args.name(), args.issuer());
    let known = users::on_engine(engine, &config.instance, name).await?;
    match args.resolve_among(known, &whose::place(&config.instance)) {
        Err(UserError::Unknown { .. }) if create => Ok(User {
            issuer: issuer.cloned().unwrap_or_else(Issuer::local),
            subject: name.clone(),
        }),
        Err(error @ UserError::Unknown { .. }) => {
            Err(anyhow::Error::from(error).context("add --create to make a sandbox for a new user"))
        }
        resolved => Ok(resolved?),
    }
}

/// What is piped in. Nothing is read from a terminal.
fn stdin() -> anyhow::Result<String> {
    let input = std::io::stdin();
    let mut text = String::new();
    if !input.is_terminal() {
        let most = u64::try_from(MAX_STDIN)? + 1;
        let read = input.lock().take(most).read_to_string(&mut text);
        read.context("standard input is no UTF-8 text")?;
        anyhow::ensure!(text.len() <= MAX_STDIN, "standard input is over 1 MiB");
    }
    Ok(text)
}

/// Several arguments are quoted, so that the shell takes each for one word.
fn script(command: &[String]) -> String {
    if let [script] = command {
        return script.clone();
    }
    let quoted = command
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

fn print(executed: &Executed) -> anyhow::Result<()> {
    match executed {
        Executed::Finished(finished) => {
            for (captured, out) in [
                (
                    &finished.stdout,
                    &mut std::io::stdout() as &mut dyn std::io::Write,
                ),
                (&finished.stderr, &mut std::io::stderr()),
            ] {
                let Some(captured) = captured else { continue };
                out.write_all(&captured.head)?;
                if captured.omitted > 0 {
                    write!(out, "\n[{} bytes left out]\n", captured.omitted)?;
                }
                out.write_all(&captured.tail)?;
            }
            explain(finished)?;
        }
        Executed::Lost(lost) => {
            let why = lost
                .reason
                .map_or("the sandbox did not come back in time", Reason::sentence);
            bail!("the command was lost: {why}; it was not run again");
        }
        Executed::Running(..) | Executed::Silent { .. } => bail!("the command runs on"),
    }
    Ok(())
}

fn explain(finished: &Finished) -> anyhow::Result<()> {
    let mut err = std::io::stderr();
    match finished.outcome() {
        Outcome::Exited | Outcome::Signaled => {}
        other => writeln!(err, "casemate: {}", other.as_str_name().to_lowercase())?,
    }
    if !finished.output_path.is_empty() {
        writeln!(
            err,
            "casemate: the whole output is in {}",
            finished.output_path
        )?;
    }
    Ok(())
}

fn exit_code(executed: &Executed) -> ExitCode {
    let Executed::Finished(finished) = executed else {
        return ExitCode::from(FAILED);
    };
    match finished.outcome() {
        Outcome::TimedOut => ExitCode::from(TIMED_OUT),
        Outcome::Exited | Outcome::Signaled | Outcome::OutOfMemory => {
            ExitCode::from(u8::try_from(finished.exit_code).unwrap_or(FAILED))
        }
        _ => ExitCode::from(FAILED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_argument_is_a_script_and_several_are_words() {
        let of =
            |words: &[&str]| script(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["ls | wc -l"]), "ls | wc -l");
        assert_eq!(
            of(&["echo", "a b", "it's", "$x"]),
            r"'echo' 'a b' 'it'\''s' '$x'"
        );
    }
}
