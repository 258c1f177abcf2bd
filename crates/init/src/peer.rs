//! The identity of the socket's other end, as the kernel reports it: SCM_CREDENTIALS with the
//! first byte, both ways (unix(7)).
//!
//! SO_PEERCRED would be shorter, but gVisor before November 2025 answers it
//! wrongly (measured).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::io::{self, Errno};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendFlags, UCred,
    recvmsg, sendmsg, sockopt::set_socket_passcred,
};

/// Asks the kernel to attach the sender's credentials to what is received.
///
/// # Errors
/// What `setsockopt` says.
pub fn ask(socket: impl AsFd) -> io::Result<()> {
    set_socket_passcred(socket, true)
}

/// Receives the first byte with its sender. `None` at the end of the stream,
/// or when the byte came without credentials.
///
/// # Errors
/// What `recvmsg` says, `EAGAIN` for a non-blocking socket with nothing there.
pub fn receive(socket: impl AsFd) -> io::Result<Option<UCred>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut buffers = [IoSliceMut::new(&mut byte)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(socket.as_fd(), &mut buffers, &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    if message.bytes == 0 {
        return Ok(None);
    }
    Ok(ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials),
        _ => None,
    }))
}

/// Sends the first byte. The kernel attaches this process' credentials,
/// because the receiver asked for them.
///
/// # Errors
/// What `sendmsg` says.
pub fn send(socket: impl AsFd) -> io::Result<()> {
    let buffers = [IoSlice::new(&[0])];
    let mut ancillary = SendAncillaryBuffer::default();
    sendmsg(socket, &buffers, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_the_sender_of_the_first_byte() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("pair");
        ask(&ours).expect("ask");
        send(&theirs).expect("send");
        let credentials = receive(&ours).expect("receive").expect("credentials");
        assert_eq!(credentials.pid, rustix::process::getpid());
        assert_eq!(credentials.uid, rustix::process::getuid());
    }

    #[test]
    fn a_closed_peer_is_nobody() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("pair");
        ask(&ours).expect("ask");
        drop(theirs);
        assert!(receive(&ours).expect("receive").is_none());
    }
}
