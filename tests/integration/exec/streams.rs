//! The streams of `casemate exec`: standard input, standard output and standard error.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Exec, SOON, command, gone};
use crate::harness::{Instance, TestServer, docker, eventually};

/// Bytes that go through in both directions at once.
const LARGE: usize = 64 << 20;

/// Memory that PID 1 may use for a stream, in KiB: messages, HTTP/2's window and buffers, and what
/// its allocator keeps.
const HELD_KIB: u64 = 8 * 1024;

fn output(instance: &Instance, script: &str) -> Output {
    let mut exec = command(instance, script);
    exec.stdin(Stdio::null()).output().expect("it runs")
}

/// Peak memory of a process of this machine.
fn peak_kib(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    number.and_then(|kib| kib.parse().ok()).expect("a number")
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that neither compress nor are text: SHA-256 of a counter.
fn binary(size: usize) -> Vec<u8> {
    let blocks = (0_u64..).flat_map(|number| Sha256::digest(number.to_le_bytes()));
    blocks.take(size).collect()
}

#[test]
fn a_long_output_comes_out_byte_for_byte() {
    let instance = Instance::new();
    let seq = output(&instance, "seq 100000");
    let wanted: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(seq.status.code(), Some(0));
    assert_eq!(digest(&seq.stdout), digest(wanted.as_bytes()));
    assert_eq!((seq.stdout.len(), seq.stderr.len()), (wanted.len(), 0));
}

#[test]
fn both_streams_stay_apart_and_the_exit_code_is_the_commands() {
    let instance = Instance::new();
    let script = r"printf 'out\377\0\r\n'; printf 'err\200\0' >&2; exit 3";
    let both = output(&instance, script);
    assert_eq!(both.stdout, b"out\xff\0\r\n");
    assert_eq!(both.stderr, b"err\x80\0");
    assert_eq!(both.status.code(), Some(3));
    for (script, code) in [
        ("kill -TERM $$", 128 + 15),
        ("kill -KILL $$", 128 + 9),
        ("no-such-command", 127),
        ("exit 255", 255),
    ] {
        let ended = output(&instance, script);
        assert_eq!(ended.status.code(), Some(code), "{script}");
        assert!(ended.stdout.is_empty());
    }
}

#[tokio::test]
async fn sixty_four_mebibytes_go_in_and_come_out_and_pid_1_holds_none_of_it() {
    let instance = Instance::new();
    // A first stream, so that PID 1's fixed cost is not measured.
    output(&instance, "head -c 1000000 /dev/zero | cat");
    let init = docker::pid(&instance.container());
    let before = peak_kib(&init);

    let sent = binary(LARGE);
    let wanted = digest(&sent);
    let script = "{ tee /dev/fd/3 | sha256sum >&2; } 3>&1";
    let mut exec = Exec::start(&instance, script);
    let mut stdin = exec.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || stdin.write_all(&sent).expect("it reads"));
    let mut stdout = exec.stdout.take().expect("a pipe");
    let mut got = Vec::new();
    stdout.read_to_end(&mut got).expect("read");
    writer.join().expect("written");
    let (status, _, err) = exec.end();
    assert_eq!(status.code(), Some(0), "{err}");
    assert_eq!((got.len(), digest(&got)), (LARGE, wanted.clone()));
    assert_eq!(err, format!("{wanted}  -\n"));

    let after = peak_kib(&init);
    assert!(after < before + HELD_KIB, "{before} became {after} KiB");
}

#[tokio::test]
async fn a_reader_that_does_not_read_delays_only_its_command() {
    let instance = Instance::new();
    let server = TestServer::on(&instance).user("ada").start().await;
    server.shell("seq 3000000").await;
    let init = docker::pid(&instance.container());
    let before = peak_kib(&init);
    let script = "yes & yes=$!; trap 'kill $yes; exit 6' TERM; wait";
    let mut exec = Exec::start(&instance, script);
    assert_eq!(exec.line(), "y\n");
    let written = async || {
        let io = server.shell("cat /proc/$(pgrep -x yes)/io").await;
        let line = io.stdout().lines().find_map(|line| {
            let count = line.strip_prefix("wchar: ")?;
            count.parse::<u64>().ok()
        });
        line.expect("a count")
    };
    let last = Cell::new(0);
    eventually("it waits for its reader", SOON, async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = written().await;
        last.replace(now) == now
    })
    .await;
    let last = last.get();
    // What pipes, windows and buffers hold on the whole way.
    assert!(last < 8 << 20, "{last} bytes are on their way");
    let after = peak_kib(&init);
    assert!(after < before + HELD_KIB, "{before} became {after} KiB");

    exec.signal("TERM");
    let mut stdout = exec.stdout.take().expect("a pipe");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("read");
    assert!(rest.len() > 64 << 10 && rest.chunks(2).all(|line| line == b"y\n"));
    assert_eq!(exec.end().0.code(), Some(6));
}

#[test]
fn standard_input_is_passed_on_as_it_comes_and_ends_when_it_ends() {
    let instance = Instance::new();
    let script = "while read -r line; do echo \"got $line\"; done; echo end";
    let mut exec = Exec::start(&instance, script);
    let mut stdin = exec.stdin.take().expect("a pipe");
    for line in ["one", "two"] {
        writeln!(stdin, "{line}").expect("it reads");
        assert_eq!(exec.line(), format!("got {line}\n"));
    }
    drop(stdin);
    assert_eq!(exec.line(), "end\n");
    assert_eq!(exec.end().0.code(), Some(0));

    let without = output(&instance, "cat; echo end");
    assert_eq!(without.stdout, b"end\n");
}

#[test]
fn a_command_that_reads_nothing_ends_when_it_ends_however_much_is_piped() {
    let instance = Instance::new();
    output(&instance, "true");
    let mut exec = Exec::start(&instance, "sleep 1; exit 4");
    let mut stdin = exec.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || {
        let zeros = vec![0; 1 << 20];
        let mut written = 0_u64;
        while stdin.write_all(&zeros).is_ok() {
            written += zeros.len() as u64;
        }
        written
    });
    assert_eq!(exec.end().0.code(), Some(4));
    let written = writer.join().expect("it is told");
    assert!(written < 8 << 20, "{written} bytes are on their way");
}

#[tokio::test]
async fn background_processes_outlive_exec_and_may_go_on_writing() {
    let instance = Instance::new();
    let script = "(sleep 2; echo late; echo late >&2; exec sleep 1007) & echo started";
    let exec = Exec::start(&instance, script);
    let (status, out, err) = exec.end();
    assert_eq!(
        (status.code(), out, err.as_str()),
        (Some(0), "started\n".into(), "")
    );
    // Not its shell, whose command line contains it too.
    let left = || {
        let all = docker::top(&instance.container()).into_iter();
        let left = all.filter(|(_, args)| args == "sleep 1007");
        left.map(|(pid, _)| pid).collect::<Vec<_>>()
    };
    eventually("it has written, and lives", SOON, async || {
        left().len() == 1
    })
    .await;
    docker::kill_on_host(&left());
    gone(&instance, "sleep 1007", SOON).await;
}
