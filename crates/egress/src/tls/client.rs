use super::hello;
use super::record::{ContentType, HELD_LIMIT, MESSAGE_LIMIT, Record, parse_message, parse_record};
use crate::{HostName, Reason};

/// ClientHello messages of one connection: the first, and one after a HelloRetryRequest.
const HELLO_LIMIT: u8 = 2;

/// Type of a ClientHello (RFC 8446, section 4).
const CLIENT_HELLO: u8 = 1;

/// The only content of a ChangeCipherSpec.
const CHANGE_CIPHER_SPEC: &[u8] = &[1];

/// Level and description.
const ALERT_BYTES: usize = 2;

/// The client's direction until the peer has answered.
#[derive(Debug, Default)]
pub struct Client {
    /// Bytes that were not taken yet.
    held: Vec<u8>,
    /// Of `held`: whole records that were read.
    read: usize,
    /// The bytes of `held` that may pass.
    passed: usize,
    /// The handshake message that is not whole yet.
    message: Vec<u8>,
    hellos: u8,
}

impl Client {
    /// Adds bytes and reads every record that is whole.
    pub fn read(&mut self, bytes: &[u8], host: &HostName) -> Result<(), Reason> {
        self.held.extend_from_slice(bytes);
        loop {
            let rest = self.held.get(self.read..).unwrap_or_default();
            if self.hellos == 0 && rest.first().is_some_and(|kind| *kind != 22) {
                return Err(Reason::NotTls);
            }
            let Some(record) = parse_record(rest).map_err(|_| Reason::NotTls)? else {
                break;
            };
            let length = record.length();
            check_record(record, &mut self.message, &mut self.hellos, host)?;
            self.read += length;
            if self.message.is_empty() {
                self.passed = self.read;
            }
            // Of records alone, so that the answer does not depend on how the bytes were cut.
            if self.read - self.passed > HELD_LIMIT {
                return Err(Reason::NotTls);
            }
        }
        Ok(())
    }

    /// Adds bytes that pass unread.
    pub fn pass(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.passed = self.held.len();
    }

    /// Lets everything pass that is held: at most a part of a record that is no handshake.
    pub fn open(&mut self) -> Result<(), Reason> {
        let is_handshake = self.held.get(self.passed).is_some_and(|kind| *kind == 22);
        if self.hellos == 0 || is_handshake {
            return Err(Reason::NotTls);
        }
        self.pass(&[]);
        Ok(())
    }

    pub fn take(&mut self) -> Vec<u8> {
        let rest = self.held.split_off(self.passed);
        self.read = self.read.saturating_sub(self.passed);
        self.passed = 0;
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether bytes may not pass yet. Before the first hello nothing has passed.
    pub fn is_holding(&self) -> bool {
        self.hellos == 0 || self.held.len() > self.passed
    }
}

fn check_record(
    record: Record<'_>,
    message: &mut Vec<u8>,
    hellos: &mut u8,
    host: &HostName,
) -> Result<(), Reason> {
    if record.content == ContentType::Handshake {
        message.extend_from_slice(record.fragment);
        return check_messages(message, hellos, host);
    }
    // Nothing comes between the fragments of a message (RFC 8446, section 5.1).
    let is_allowed = match record.content {
        ContentType::ChangeCipherSpec => record.fragment == CHANGE_CIPHER_SPEC,
        ContentType::Alert => record.fragment.len() == ALERT_BYTES,
        // Early data.
        ContentType::ApplicationData | ContentType::Handshake => true,
    };
    if !is_allowed || !message.is_empty() {
        return Err(Reason::NotTls);
    }
    Ok(())
}

/// Takes every whole message out of `messages`. All have to be hellos: the client sends no other
/// before the peer has answered.
fn check_messages(messages: &mut Vec<u8>, hellos: &mut u8, host: &HostName) -> Result<(), Reason> {
    loop {
        if messages.first().is_some_and(|kind| *kind != CLIENT_HELLO)
            || *hellos == HELLO_LIMIT && !messages.is_empty()
        {
            return Err(Reason::NotTls);
        }
        let whole = parse_message(messages, MESSAGE_LIMIT).map_err(|_| Reason::NotTls)?;
        let Some(message) = whole else {
            return Ok(());
        };
        hello::check(message.body, host)?;
        let length = message.length();
        *hellos += 1;
        messages.drain(..length);
    }
}
