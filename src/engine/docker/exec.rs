//! A program in a running container, with its standard streams.

use std::future::ready;

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use casemate_protocol::{BRIDGE_UID, INIT_PATH};
use futures_util::{Stream, StreamExt};
use tracing::debug;

use super::{CLIENT_TIMEOUT, DockerEngine, UPDATE_TIMEOUT, segment};
use crate::engine::error::{EngineError, shorten};
use crate::engine::exec_stream::ExecStream;

/// Buffer for the program's output, in bytes. The Engine sends frames of at most 32 KiB; with a
/// smaller buffer each frame is copied.
const OUTPUT_BYTES: usize = 64 << 10;

/// Bytes of the program's stderr that are logged: it may be hostile and endless.
const LOGGED_BYTES: usize = 4 << 10;

/// How the Engine begins when the runtime could not run the program: it writes this to the
/// program's stdout (seen on 20.10). Only the first bytes are compared with it.
const FAILED: &[u8] = b"OCI runtime exec failed";

impl DockerEngine {
    /// The streams of a bridge to PID 1 of a container that runs. PID 1 knows a bridge by its uid,
    /// which only the Engine can give.
    ///
    /// # Errors
    /// [`EngineError::Missing`] or [`EngineError::NotRunning`] for the container.
    pub async fn open_channel(&self, container: &str) -> Result<ExecStream, EngineError> {
        let user = BRIDGE_UID.to_string();
        self.exec(container, &user, &[INIT_PATH, "bridge"]).await
    }

    /// Runs `command` in the container as `user` (`uid` or `uid:gid`), without a terminal. Returns
    /// once the streams are open; a program that cannot be run is an error of `output`.
    ///
    /// # Errors
    /// [`EngineError::Missing`] or [`EngineError::NotRunning`] for the container.
    pub(super) async fn exec(
        &self,
        id: &str,
        user: &str,
        command: &[&str],
    ) -> Result<ExecStream, EngineError> {
        let config = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            user: Some(user),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let docker = self.docker().await?;
        let exec = self
            .bounded(
                "exec",
                UPDATE_TIMEOUT,
                docker.create_exec(segment("container", id)?, config),
            )
            .await
            .map_err(|error| not_running(error, id))?;
        let options = StartExecOptions {
            output_capacity: Some(OUTPUT_BYTES),
            ..StartExecOptions::default()
        };
        let started = self
            .bounded(
                "exec",
                UPDATE_TIMEOUT,
                docker.start_exec(&exec.id, Some(options)),
            )
            .await
            .map_err(|error| not_running(error, id))?;
        match started {
            StartExecResults::Attached { output, input } => Ok(ExecStream {
                input,
                output: Box::pin(self.clone().stdout(output)),
            }),
            StartExecResults::Detached => Err(EngineError::Exec {
                message: "the Engine attached nothing".to_owned(),
            }),
        }
    }

    fn stdout(
        self,
        frames: impl Stream<Item = Result<LogOutput, BollardError>>,
    ) -> impl Stream<Item = Result<Bytes, EngineError>> {
        let (mut left, mut first) = (LOGGED_BYTES, true);
        frames.filter_map(move |frame| {
            ready(match frame {
                Ok(LogOutput::StdOut { message }) => {
                    let failed = std::mem::take(&mut first) && message.starts_with(FAILED);
                    Some(if failed {
                        Err(exec_error(&message))
                    } else {
                        Ok(message)
                    })
                }
                Ok(LogOutput::StdErr { message }) => {
                    log_stderr(&message, &mut left);
                    None
                }
                Ok(LogOutput::StdIn { .. }) => None,
                // Bytes outside of frames are the Engine's own message, or the rest of a frame
                // that broke off: the end in both cases.
                Ok(LogOutput::Console { message }) => Some(Err(exec_error(&message))),
                Err(error) => Some(Err(self.bollard_error("exec", CLIENT_TIMEOUT, error))),
            })
        })
    }
}

fn exec_error(message: &[u8]) -> EngineError {
    EngineError::Exec {
        message: shorten(&String::from_utf8_lossy(message)),
    }
}

fn log_stderr(message: &[u8], left: &mut usize) {
    let shown = &message[..message.len().min(*left)];
    *left -= shown.len();
    if !shown.is_empty() {
        debug!(stderr = %shown.escape_ascii(), "the program in the container said");
    }
}

/// Engine 20.10 refuses a container that is being removed with 500, "container … is not running:
/// Removal In Progress".
fn not_running(error: EngineError, id: &str) -> EngineError {
    let ending = |error: &EngineError| match error {
        EngineError::Refused { message, .. } => message.contains("is not running"),
        _ => false,
    };
    match error.status() {
        Some(404) => EngineError::Missing {
            kind: "container",
            name: id.to_owned(),
        },
        Some(409) => EngineError::NotRunning { id: id.to_owned() },
        Some(_) if ending(&error) => EngineError::NotRunning { id: id.to_owned() },
        _ => error,
    }
}
