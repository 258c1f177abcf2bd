//! The bridge: what `docker exec` runs as uid 65534. It joins its stdin and
//! stdout to PID 1's socket, once PID 1 has shown who it is. With `--keyed`, as another user, it
//! then shows PID 1 the key that is first on its stdin.
//!
//! When a server dies, the Engine closes the bridge's stdin within milliseconds
//! but goes on draining its stdout (measured). So the end of stdin ends the
//! bridge, also while something is still to be written.

use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use casemate_protocol::SOCKET_NAME;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio, read, write};

use crate::bridge_key::Key;
use crate::peer;

/// How long a container that was just started may take until PID 1 listens.
const PID1_LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes in flight each way. HTTP/2 frames are 16 KiB; a few at a time.
const BUFFER: usize = 64 * 1024;

/// The argument of a bridge that shows a key.
const KEYED: &str = "--keyed";

pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let is_keyed = match args.next().as_deref() {
        None => false,
        Some(KEYED) => true,
        Some(_) => {
            crate::report_error("usage: casemate-init bridge [--keyed]");
            return ExitCode::from(64);
        }
    };
    let joined = connect().and_then(|socket| {
        if is_keyed {
            show_key(&socket)?;
        }
        Ok(join(&socket)?)
    });
    match joined {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::report_error(&format!("bridge: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn connect() -> std::io::Result<UnixStream> {
    let address = SocketAddr::from_abstract_name(SOCKET_NAME)?;
    let give_up = Instant::now() + PID1_LISTEN_TIMEOUT;
    let socket = loop {
        match UnixStream::connect_addr(&address) {
            Ok(socket) => break socket,
            Err(_) if Instant::now() < give_up => pause(),
            Err(error) => return Err(error),
        }
    };
    // A PID 1 that hangs must not keep the bridge for ever.
    socket.set_read_timeout(Some(PID1_LISTEN_TIMEOUT))?;
    peer::ask(&socket)?;
    peer::send(&socket)?;
    match peer::receive(&socket)? {
        Some(credentials) if credentials.pid.is_init() => Ok(socket),
        _ => Err(std::io::Error::other("the socket is not PID 1's")),
    }
}

/// Hands on the key. The server writes it first; one that does not is gone, which ends stdin.
fn show_key(mut socket: &UnixStream) -> std::io::Result<()> {
    let mut key = Key::default();
    let mut filled = 0;
    // What follows the key belongs to the conversation: not a byte more is taken, so no buffer.
    while filled < key.len() {
        match read(rustix::stdio::stdin(), &mut key[filled..]) {
            Ok(0) => return Err(std::io::Error::other("stdin ended before the key")),
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    socket.write_all(&key)
}

#[expect(
    clippy::disallowed_methods,
    reason = "one thread, and nothing else to do"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

/// Copies both ways until either end is gone.
fn join(socket: &UnixStream) -> Result<(), Errno> {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    for fd in [stdin, stdout, socket.as_fd()] {
        ioctl_fionbio(fd, true)?;
    }
    let mut inward = Pipe::new(stdin, socket.as_fd());
    let mut outward = Pipe::new(socket.as_fd(), stdout);
    let is_over =
        |inward: &Pipe<'_>, outward: &Pipe<'_>| inward.ended || outward.ended && outward.is_empty();
    while !is_over(&inward, &outward) {
        // Hanging up is reported whether asked for or not. Of stdin and stdout it
        // means that the server is gone; a socket is not asked when there is nothing to do.
        let mut fds = vec![
            PollFd::from_borrowed_fd(stdin, inward.reads()),
            PollFd::from_borrowed_fd(stdout, outward.writes()),
        ];
        let events = outward.reads() | inward.writes();
        if !events.is_empty() {
            fds.push(PollFd::from_borrowed_fd(socket.as_fd(), events));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let gone = PollFlags::HUP | PollFlags::ERR;
        if fds[..2].iter().any(|fd| fd.revents().intersects(gone)) {
            return Ok(());
        }
        inward.step()?;
        outward.step()?;
    }
    Ok(())
}

/// One direction: a bounded buffer between two non-blocking descriptors.
struct Pipe<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
}

impl<'a> Pipe<'a> {
    fn new(from: BorrowedFd<'a>, to: BorrowedFd<'a>) -> Self {
        Self {
            from,
            to,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            ended: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn reads(&self) -> PollFlags {
        if self.is_empty() && !self.ended {
            PollFlags::IN
        } else {
            PollFlags::empty()
        }
    }

    fn writes(&self) -> PollFlags {
        if self.is_empty() {
            PollFlags::empty()
        } else {
            PollFlags::OUT
        }
    }

    /// Reads when empty, then writes as much as the other end takes.
    fn step(&mut self) -> Result<(), Errno> {
        if self.is_empty() && !self.ended {
            match read(self.from, &mut *self.buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => (self.start, self.end) = (0, count),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        while !self.is_empty() {
            match write(self.to, &self.buffer[self.start..self.end]) {
                Ok(count) => self.start += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
