//! Makes a sandbox like any user's, reads it from inside, and removes it.

use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::{Captured, Failure, StartRequest, WORKSPACE, failure::Code};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::inside::{self, ExpectedLimits};
use super::{Finding, chain};
use crate::config::{Config, Profile, SandboxSettings, limits};
use crate::engine::{Capabilities, Engine};
use crate::ops::throwaway::ThrowawaySandbox;
use crate::provision::{DOCTOR_ISSUER, uid_range};
use crate::sandbox::{Command, ExecOutcome, Manager, ProgressUpdate, SandboxError, WaitOptions};

/// How long its container outlives a killed doctor. The next doctor removes the volume.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit of the script inside, which takes milliseconds.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

/// The sandbox of a made-up user.
pub struct Probe {
    engine: Engine,
    throwaway: ThrowawaySandbox,
    sandbox: Arc<SandboxSettings>,
}

impl Probe {
    /// Makes nothing yet.
    pub fn new(engine: &Engine, config: &Config) -> Self {
        let throwaway = ThrowawaySandbox::new(engine, config.for_probe(None, IDLE_TIMEOUT));
        Self {
            engine: engine.clone(),
            sandbox: throwaway
                .config()
                .for_identity(&throwaway.user().clone().into()),
            throwaway,
        }
    }

    /// Its settings.
    pub fn sandbox(&self) -> &SandboxSettings {
        &self.sandbox
    }

    /// The runtime that it is run by.
    fn runtime<'a>(&'a self, host: &'a Capabilities) -> &'a str {
        match self.sandbox.profile {
            Profile::Standard => &host.default_runtime,
            Profile::High => &self.throwaway.config().runtime,
        }
    }

    /// Makes it, reads it, and always removes it.
    pub async fn run(&self, stop: &CancellationToken) -> Vec<Finding> {
        let mut found = self.look(stop).await;
        if let Err(error) = self.throwaway.clean_up().await {
            let said = format!("the sandbox could not be removed: {}", chain(&error));
            let fix = format!(
                "it stops by itself; `casemate rm {} --issuer {DOCTOR_ISSUER} --volume` removes its volume",
                self.throwaway.user().subject.as_str()
            );
            found.push(Finding::warning("sandbox", said).fix(fix));
        }
        found
    }

    async fn look(&self, stop: &CancellationToken) -> Vec<Finding> {
        let manager = self.throwaway.manager();
        let start = Instant::now();
        let first = self.exec(&manager, inside::SCRIPT, stop).await;
        let made = start.elapsed();
        let start = Instant::now();
        // Even after an interrupt, because a container that is being made must exist before it can
        // be removed.
        let second = match first.is_ok() || stop.is_cancelled() {
            true => self
                .exec(&manager, ":", &CancellationToken::new())
                .await
                .ok(),
            false => None,
        };
        let warm = start.elapsed();
        manager.close().await;
        let inside = match first {
            Ok(inside) => inside,
            Err(finding) => return vec![finding],
        };
        let mut said = format!("a sandbox was made and answered in {} ms", made.as_millis());
        if second.is_some() {
            said += &format!(
                ", and then in {}.{} ms",
                warm.as_millis(),
                warm.as_micros() / 100 % 10
            );
        }
        let mut found = vec![Finding::ok("sandbox", said)];
        match self.engine.capabilities().await {
            Ok(host) => {
                let uids = uid_range(&self.throwaway.config().uids, &host);
                let wanted = ExpectedLimits::of(&self.sandbox, &host, uids, self.runtime(&host));
                found.extend(inside::judge(&inside, &wanted));
            }
            Err(error) => found.push(Finding::error("sandbox", chain(&error))),
        }
        found
    }

    /// The output of the script.
    async fn exec(
        &self,
        manager: &Manager,
        script: &str,
        stop: &CancellationToken,
    ) -> Result<String, Finding> {
        let request = StartRequest {
            id: uuid::Uuid::new_v4().simple().to_string(),
            script: script.to_owned().into(),
            cwd: WORKSPACE.to_owned(),
            env: Vec::new(),
            stdin: Vec::new().into(),
            timeout_ms: u64::try_from(COMMAND_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
            output_chars: limits::OUTPUT_CHARS,
            ..StartRequest::default()
        };
        let follow = WaitOptions {
            wait: COMMAND_TIMEOUT * 2,
            cancel: stop,
            progress: &watch::Sender::new(ProgressUpdate::Nothing),
        };
        let sandbox = manager.sandbox(&self.throwaway.user().clone().into());
        match sandbox.exec(Command::Start(request), follow).await {
            Ok(answer) => match answer.value.outcome {
                ExecOutcome::Finished(finished) => Ok(text(finished.stdout)),
                other => {
                    let said = format!("the sandbox did not report a command's outcome: {other:?}");
                    Err(Finding::error("sandbox", said)
                        .fix("read the Engine's log; the machine may be overloaded"))
                }
            },
            Err(error) => Err(failed(&error)),
        }
    }
}

fn text(captured: Option<Captured>) -> String {
    let Captured { head, tail, .. } = captured.unwrap_or_default();
    String::from_utf8_lossy(&[head, tail].concat()).into_owned()
}

fn failed(error: &SandboxError) -> Finding {
    match error {
        SandboxError::Failed(failure) if no_shell(failure) => {
            let said = "a sandbox was made and answered; the image has no shell, so it was not checked from inside";
            Finding::note("sandbox", said)
        }
        SandboxError::Cancelled => {
            Finding::error("sandbox", "it was not checked: doctor was interrupted")
        }
        error => {
            let said = format!("no sandbox could be made: {}", chain(error));
            let fix = "see the findings above; `CASEMATE_LOG=debug` shows each step";
            Finding::error("sandbox", said).fix(fix)
        }
    }
}

fn no_shell(failure: &Failure) -> bool {
    failure.code() == Code::NoShell
}
