use super::record::{ContentType, MESSAGE_LIMIT, Message, parse_message, parse_record};

/// Type of a ServerHello, which a HelloRetryRequest is too.
const SERVER_HELLO: u8 = 2;

/// Offset of the random value in a ServerHello, after the version.
const RANDOM: std::ops::Range<usize> = 2..34;

/// The random value that makes a ServerHello a HelloRetryRequest: the SHA-256 of
/// "HelloRetryRequest" (RFC 8446, section 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The peer's direction until it has answered. Holds one record and one message at most.
#[derive(Debug, Default)]
pub struct Peer {
    bytes: Vec<u8>,
    message: Vec<u8>,
}

impl Peer {
    /// Adds bytes. Whether there is a record among them after which no ClientHello can come.
    pub fn decides(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        loop {
            let record = match parse_record(&self.bytes) {
                Ok(Some(record)) => record,
                Ok(None) => return false,
                // No TLS: no hello means anything to it any more.
                Err(_) => return true,
            };
            let length = record.length();
            let decides = match record.content {
                ContentType::Alert | ContentType::ChangeCipherSpec => false,
                ContentType::ApplicationData => true,
                ContentType::Handshake => {
                    self.message.extend_from_slice(record.fragment);
                    is_answer(&mut self.message)
                }
            };
            if decides {
                return true;
            }
            self.bytes.drain(..length);
        }
    }
}

/// Takes every HelloRetryRequest out of `messages`. Whether something else comes next.
fn is_answer(messages: &mut Vec<u8>) -> bool {
    loop {
        if messages.first().is_some_and(|kind| *kind != SERVER_HELLO) {
            return true;
        }
        let is_retry = |message: &Message<'_>| message.body.get(RANDOM) == Some(&RETRY_RANDOM[..]);
        let length = match parse_message(messages, MESSAGE_LIMIT) {
            Ok(Some(message)) if is_retry(&message) => message.length(),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        };
        messages.drain(..length);
    }
}
