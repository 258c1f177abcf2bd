//! Which peers of PID 1's socket are bridges.

use std::io;

use casemate_protocol::BRIDGE_UID;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::bridge_key::{Key, KeyHash};
use crate::peer;

/// Which peers PID 1 serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridges {
    /// Who runs as the bridge's user, which no code of the user's can become.
    OfBridgeUser,
    /// Who shows the key with this hash.
    WithKey(KeyHash),
}

impl From<Option<KeyHash>> for Bridges {
    fn from(key: Option<KeyHash>) -> Self {
        key.map_or(Self::OfBridgeUser, Self::WithKey)
    }
}

/// Whether the kernel says that the peer is of the user that commands run as, so no bridge. Asked
/// only in a crowd: some kernels do not answer this right (see [`peer`]).
pub fn is_own_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own)
}

/// Whether the peer is a bridge. It is told who this is before it shows a key.
pub async fn greet(stream: &UnixStream, bridges: Bridges) -> io::Result<bool> {
    peer::ask(stream)?;
    let credentials = stream
        .async_io(Interest::READABLE, || {
            peer::receive(stream).map_err(Errno::into)
        })
        .await?;
    let Some(credentials) = credentials else {
        return Ok(false);
    };
    match bridges {
        Bridges::OfBridgeUser if credentials.uid.as_raw() != BRIDGE_UID => Ok(false),
        Bridges::OfBridgeUser => {
            peer::send(stream)?;
            Ok(true)
        }
        Bridges::WithKey(hash) => {
            peer::send(stream)?;
            Ok(hash.is_of(&receive_key(stream).await?))
        }
    }
}

/// The key, and not a byte of what follows it.
async fn receive_key(stream: &UnixStream) -> io::Result<Key> {
    let (mut key, mut filled) = (Key::default(), 0);
    while filled < key.len() {
        stream.readable().await?;
        match stream.try_read(&mut key[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream as StdStream;

    use sha2::{Digest as _, Sha256};

    use super::*;

    const KEY: Key = [7; 32];

    fn with_key() -> Bridges {
        let hash = Sha256::digest(KEY);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Bridges::WithKey(KeyHash::parse(&hex).expect("a hash"))
    }

    /// What is made of a peer that sends its first byte and then `pieces`, and closes; and what PID 1
    /// leaves unread.
    async fn greeted(bridges: Bridges, pieces: &[&[u8]]) -> (Option<bool>, Vec<u8>) {
        let (ours, mut theirs) = StdStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        let ours = UnixStream::from_std(ours).expect("a stream");
        peer::ask(&ours).expect("ask");
        peer::send(&theirs).expect("send");
        for piece in pieces {
            theirs.write_all(piece).expect("written");
        }
        theirs.shutdown(std::net::Shutdown::Write).expect("shut");
        let known = greet(&ours, bridges).await.ok();
        let mut rest = vec![0; 64];
        let count = ours.try_read(&mut rest).unwrap_or(0);
        rest.truncate(count);
        (known, rest)
    }

    #[tokio::test]
    async fn who_shows_the_key_is_a_bridge_and_what_follows_it_is_left() {
        let pieces: [&[u8]; 3] = [&KEY[..5], &KEY[5..], b"PRI *"];
        let (known, rest) = greeted(with_key(), &pieces).await;
        assert_eq!((known, rest.as_slice()), (Some(true), b"PRI *".as_slice()));
    }

    #[tokio::test]
    async fn who_shows_another_key_or_a_part_of_it_is_none() {
        let mut other = KEY;
        other[31] ^= 1;
        assert_eq!(greeted(with_key(), &[&other]).await.0, Some(false));
        for part in [&KEY[..0], &KEY[..31]] {
            assert_eq!(greeted(with_key(), &[part]).await.0, None);
        }
    }

    #[tokio::test]
    async fn without_a_key_only_the_bridges_user_is_one() {
        // This test does not run as that user.
        assert_ne!(rustix::process::getuid().as_raw(), BRIDGE_UID);
        assert_eq!(greeted(Bridges::OfBridgeUser, &[&KEY]).await.0, Some(false));
    }
}
