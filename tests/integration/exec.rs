//! `casemate exec` as people and pipes use it: every byte in both directions, and nothing left.

mod ending;
mod streams;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Instance, docker, eventually};

/// Deadline for something that needs no waiting, on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// `casemate exec ada` with pipes for all its streams.
struct Exec {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

fn command(instance: &Instance, command: &str) -> Command {
    let mut exec = instance.command(&["exec", "ada", "--create"]);
    exec.args(["--", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    exec
}

impl Exec {
    fn start(instance: &Instance, script: &str) -> Self {
        Self::of(&mut command(instance, script))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("it runs");
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            child,
        }
    }

    /// The next line of its standard output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("not closed");
        stdout.read_line(&mut line).expect("text");
        line
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end, within this time, and returns what it still wrote to standard output and
    /// error: less than a pipe holds.
    fn end_within(mut self, time: Duration) -> (ExitStatus, String, String) {
        let end = Instant::now() + time;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                break status;
            }
            assert!(Instant::now() < end, "it has not ended in {time:?}");
            std::thread::yield_now();
        };
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_string(&mut out).expect("text");
        }
        let stderr = self.child.stderr.take();
        let mut stderr = stderr.expect("a pipe");
        stderr.read_to_string(&mut err).expect("text");
        (status, out, err)
    }

    fn end(self) -> (ExitStatus, String, String) {
        self.end_within(SOON)
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes in the instance's only container whose command line has this in it.
fn running(instance: &Instance, text: &str) -> usize {
    let all = docker::top(&instance.container());
    all.iter().filter(|(_, args)| args.contains(text)).count()
}

async fn gone(instance: &Instance, text: &str, within: Duration) {
    let what = format!("nothing of {text} is left");
    eventually(&what, within, async || running(instance, text) == 0).await;
}
