//! What the kernel keeps for the user's programs and charges to no cgroup, and no filter of system
//! calls can tell from ordinary use: ranges of files that are locked (192 bytes each, without a
//! limit: CVE-2022-0480), and connections that a listening socket has not accepted (4.4 kB each).
//! One sandbox could fill the host's memory with either (measured).
//!
//! So PID 1 counts them, and ends the sandbox above a number that no honest program comes near.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::exit;

use super::lifecycle::Lifecycle;

/// Between two looks, each some 50 µs. In a second one processor makes 190 MB of locks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Locked ranges: 4 MB. A database has some hundreds.
const LOCK_LIMIT: usize = 20_000;

/// Connections over `lo`, both ends, with those that linger after their end: 130 MB. A load test
/// with 10,000 clients has 20,000.
const CONNECTION_LIMIT: u64 = 30_000;

/// Looks until there is too much, and ends PID 1 then.
pub async fn watch(lifecycle: Arc<Lifecycle>) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        if !lifecycle.was_used() {
            continue;
        }
        if let Some(what) = excess() {
            crate::report_error(&format!("more {what} than a sandbox may have"));
            lifecycle.end(exit::UNCHARGED);
            return;
        }
    }
}

/// What there is too much of. Where the kernel shows no numbers, as gVisor, nothing.
fn excess() -> Option<&'static str> {
    let locks = File::open("/proc/locks").is_ok_and(|file| are_too_many(file, LOCK_LIMIT));
    if locks {
        return Some("locks of files");
    }
    // Of this network namespace alone, except `alloc` and `mem`, which are the host's.
    let in_use = |(file, protocol)| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        connections(&text, protocol).unwrap_or(0)
    };
    (PROTOCOLS.map(in_use).iter().sum::<u64>() > CONNECTION_LIMIT).then_some("connections")
}

/// Sockets of one family each: an IPv6 socket counts as such with an IPv4 address too.
const PROTOCOLS: [(&str, &str); 2] = [
    ("/proc/net/sockstat", "TCP:"),
    ("/proc/net/sockstat6", "TCP6:"),
];

/// Whether the file has more lines of locks than `limit`; it is read no further. The kernel shows
/// the locks of processes in the reader's namespace. It also shows the locks of open file
/// descriptions of the whole host, which are others': no sandbox can take one.
fn are_too_many(file: impl Read, limit: usize) -> bool {
    let lines = BufReader::with_capacity(64 << 10, file).split(b'\n');
    let own = lines
        .map_while(Result::ok)
        .filter(|line| memchr::memmem::find(line, b"OFDLCK").is_none());
    own.take(limit + 1).count() > limit
}

/// The sockets in use, of a file as `/proc/net/sockstat`: `TCP: inuse 5 orphan 0 tw 2 alloc 6 mem 0`.
fn connections(sockstat: &str, protocol: &str) -> Option<u64> {
    let mut words = sockstat
        .lines()
        .find_map(|line| line.strip_prefix(protocol))?
        .split_whitespace();
    words.find(|word| *word == "inuse")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_are_read_as_the_kernel_prints_them() {
        let sockstat = "sockets: used 84029\nTCP: inuse 84028 orphan 7 tw 9 alloc 84029 mem 1\n\
            UDP: inuse 0 mem 0\n";
        assert_eq!(connections(sockstat, "TCP:"), Some(84028));
        assert_eq!(
            connections("TCP6: inuse 3\nUDP6: inuse 1\n", "TCP6:"),
            Some(3)
        );
        assert_eq!(connections("sockets: used 1\n", "TCP:"), None);
        assert_eq!(connections("TCP: inuse many\n", "TCP:"), None);
        for (file, protocol) in PROTOCOLS {
            let ours = std::fs::read_to_string(file).expect("this kernel has it");
            assert!(connections(&ours, protocol).is_some(), "{ours}");
        }
    }

    #[test]
    fn lines_are_counted_up_to_the_limit_and_no_further() {
        assert!(!are_too_many(&b"1\n2\n3\n"[..], 3));
        assert!(are_too_many(&b"1\n2\n3\n4\n"[..], 3));
        let others =
            b"1: POSIX 1\n2: OFDLCK ADVISORY WRITE -1 fe:00:1 0 EOF\n3: FLOCK\n4: OFDLCK\n";
        assert!(!are_too_many(&others[..], 2));
        assert!(are_too_many(&others[..], 1));
        // Endless.
        assert!(are_too_many(std::io::repeat(b'\n'), 1000));
    }
}
