//! A command as processes: its supervisor, the pipes of its output, and the
//! socket that the supervisor reports on.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use casemate_protocol::{Failure, FailureExt as _, INIT_PATH, failure::Code};
use prost::Message as _;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::reaper::Reaper;
use crate::supervisor::{Ended, Fact, Failed, Order, Report, Step};

/// How long the end of a command that was killed may take to be told.
const REPORT: Duration = Duration::from_secs(1);

/// A supervisor that was started, and what is known of its command.
#[derive(Debug)]
pub struct Process {
    /// The supervisor's id; what the command starts descends from it.
    pub supervisor: Pid,
    reaper: Reaper,
    reports: Reports,
    /// Resolves when the supervisor and everything below it is gone.
    gone: oneshot::Receiver<()>,
    /// The command's end, should PID 1 inherit it.
    inherited: Option<(Pid, oneshot::Receiver<Ended>)>,
    /// How the command ended, or why it could not be started.
    end: Option<Result<Ended, Failure>>,
    empty: bool,
}

/// The read ends of a command's output.
#[derive(Debug)]
pub struct Output {
    /// Its standard output.
    pub stdout: pipe::Receiver,
    /// Its standard error.
    pub stderr: pipe::Receiver,
}

impl Process {
    /// Starts a supervisor and sends it its order.
    ///
    /// # Errors
    /// `TOO_MANY_PROCESSES` at the limit; otherwise what the kernel says.
    pub async fn start(
        reaper: &Reaper,
        order: &Order,
        stdin: &[u8],
        script: Option<&[u8]>,
    ) -> Result<(Self, Output), Failure> {
        let spawned = spawn(stdin, script).map_err(|error| from_os(&error))?;
        let mut control = spawned.control;
        let process = Self {
            supervisor: spawned.supervisor,
            gone: reaper.supervisor(spawned.supervisor),
            reaper: reaper.clone(),
            reports: Reports::default(),
            inherited: None,
            end: None,
            empty: false,
        };
        let order = order.encode_to_vec();
        let length = u32::try_from(order.len()).unwrap_or(u32::MAX).to_le_bytes();
        // Fails when user code killed the supervisor already: its end says so.
        let _ = control
            .write_all(&[&length, order.as_slice()].concat())
            .await;
        let reports = Reports {
            control: Some(control),
            ..process.reports
        };
        Ok((Self { reports, ..process }, spawned.output))
    }

    /// Waits for the end of the command itself. Can be dropped and called again.
    ///
    /// # Errors
    /// Why it could not be started.
    pub async fn ended(&mut self) -> Result<Ended, Failure> {
        loop {
            if let Some(end) = &self.end {
                return end.clone();
            }
            if !self.advance().await {
                self.end = Some(self.inherited_end().await);
            }
        }
    }

    /// The command's end after it was interrupted: whatever there is to know.
    pub async fn ended_after_kill(&mut self) -> Ended {
        let killed = Ended {
            signal: Some(libc::SIGKILL),
            ..Ended::default()
        };
        let ended = timeout(REPORT, self.ended()).await;
        ended.ok().and_then(Result::ok).unwrap_or(killed)
    }

    /// Waits until nothing of the command is left. Can be dropped and called
    /// again.
    pub async fn emptied(&mut self) {
        while !self.empty {
            if !self.advance().await {
                // An error: the reaper told it before.
                let _ = (&mut self.gone).await;
                self.empty = true;
            }
        }
    }

    /// Takes in one report. `false` when no more will come.
    async fn advance(&mut self) -> bool {
        match self.reports.next().await {
            Some(Fact::Started(pid)) => {
                self.inherited = Pid::from_raw(pid).map(|pid| (pid, self.reaper.command(pid)));
            }
            Some(Fact::Failed(failed)) => self.end = Some(Err(from_step(&failed))),
            Some(Fact::Ended(ended)) => {
                // One that could not be started ends too: the first word counts.
                self.end.get_or_insert(Ok(ended));
                if let Some((pid, _)) = self.inherited.take() {
                    self.reaper.forget(pid);
                }
            }
            Some(Fact::Empty(_)) => self.empty = true,
            None => return false,
        }
        true
    }

    /// The supervisor was killed by user code. PID 1 inherited the command,
    /// ends it, and knows what `waitid` said of it.
    async fn inherited_end(&mut self) -> Result<Ended, Failure> {
        let Some((_, inherited)) = &mut self.inherited else {
            let detail = "its supervisor was killed before the command ran";
            return Err(Failure::new(Code::Other, detail));
        };
        let ended = inherited.await;
        ended.map_err(|_| Failure::new(Code::Other, "the command's end was lost"))
    }

    /// Whether nothing of the command is known to be left.
    pub fn is_empty(&self) -> bool {
        self.empty
    }
}

/// The supervisor's reports as they come in. `None` at their end, for ever.
#[derive(Debug, Default)]
struct Reports {
    control: Option<UnixStream>,
    buffer: BytesMut,
}

impl Reports {
    async fn next(&mut self) -> Option<Fact> {
        loop {
            if let Some(fact) = self.parse() {
                return Some(fact);
            }
            match self.control.as_mut()?.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                _ => self.control = None,
            }
        }
    }

    fn parse(&mut self) -> Option<Fact> {
        let mut bytes = &self.buffer[..];
        let report = Report::decode_length_delimited(&mut bytes).ok()?;
        let used = self.buffer.len() - bytes.len();
        self.buffer.advance(used);
        report.fact
    }
}

struct Spawned {
    supervisor: Pid,
    control: UnixStream,
    output: Output,
}

/// Starts the supervisor. Nothing is awaited in here: the two descriptors that
/// are inherited are open to inheritance for this one `spawn` only.
fn spawn(stdin: &[u8], script: Option<&[u8]>) -> io::Result<Spawned> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let theirs = OwnedFd::from(theirs);
    let script = script.map(content).transpose()?;
    let (stdout, stdout_writer) = output()?;
    let (stderr, stderr_writer) = output()?;
    // In the container this binary is always at the same path; it cannot look
    // its own up in /proc, being non-dumpable.
    let mut command = std::process::Command::new(INIT_PATH);
    command
        .arg("supervise")
        .arg(theirs.as_raw_fd().to_string())
        .args(script.as_ref().map(|fd| fd.as_raw_fd().to_string()))
        .env_clear()
        .stdin(if stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::from(content(stdin)?)
        })
        .stdout(stdout_writer)
        .stderr(stderr_writer);
    for fd in script.iter().chain([&theirs]) {
        fcntl_setfd(fd, FdFlags::empty())?;
    }
    let child = command.spawn()?;
    ours.set_nonblocking(true)?;
    Ok(Spawned {
        supervisor: i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("no process id"))?,
        control: UnixStream::from_std(ours)?,
        output: Output { stdout, stderr },
    })
}

fn output() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(reader)?, writer))
}

/// A file in memory that holds these bytes and cannot be changed.
fn content(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("casemate", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW,
    )?;
    Ok(file.into())
}

fn from_step(failed: &Failed) -> Failure {
    let error = io::Error::from_raw_os_error(failed.errno);
    match (failed.step(), failed.errno) {
        (Step::Chdir, _) => Failure::new(Code::BadCwd, error.to_string()),
        (_, libc::E2BIG) => Failure::new(Code::Invalid, "arguments and environment are too long"),
        _ => from_os(&error),
    }
}

fn from_os(error: &io::Error) -> Failure {
    let code = match error.raw_os_error() {
        Some(libc::EAGAIN) => Code::TooManyProcesses,
        Some(libc::ENOSPC) => Code::NoSpace,
        _ => Code::Other,
    };
    Failure::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_are_read_however_they_are_torn() {
        let (ours, mut theirs) = UnixStream::pair().expect("pair");
        let mut reports = Reports {
            control: Some(ours),
            buffer: BytesMut::new(),
        };
        let bytes: Vec<u8> = [Fact::Started(7), Fact::Empty(true)]
            .into_iter()
            .flat_map(|fact| Report { fact: Some(fact) }.encode_length_delimited_to_vec())
            .collect();
        let writer = tokio::spawn(async move {
            for byte in bytes {
                theirs.write_all(&[byte]).await.expect("write");
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(reports.next().await, Some(Fact::Started(7)));
        assert_eq!(reports.next().await, Some(Fact::Empty(true)));
        assert_eq!(reports.next().await, None);
        assert_eq!(reports.next().await, None);
        writer.await.expect("writer");
    }
}
