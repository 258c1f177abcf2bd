/// Bytes of one message over TCP. A question is 271 at most; options may follow it.
pub const MESSAGE_LIMIT: usize = 4096;

/// Bytes of the length before each message (RFC 1035, section 4.2.2).
const LENGTH: usize = 2;

/// Cuts what comes over one TCP connection into messages.
#[derive(Debug, Default)]
pub struct TcpMessages(Vec<u8>);

/// A message was announced that is longer than [`MESSAGE_LIMIT`]: the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl TcpMessages {
    /// Adds what was read. The caller takes the messages out before it reads more, so that at most
    /// one message and one read are held.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    ///
    /// Where the next one is too long.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let Some((length, rest)) = self.0.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MESSAGE_LIMIT {
            return Err(TooLong);
        }
        let Some(message) = rest.get(..length).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.0.drain(..LENGTH + length);
        Ok(Some(message))
    }
}

/// A reply with its length before it. Replies are far below 64 KiB.
#[must_use]
pub fn to_tcp(reply: &[u8]) -> Vec<u8> {
    let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
    let reply = &reply[..usize::from(length)];
    [&length.to_be_bytes(), reply].concat()
}
