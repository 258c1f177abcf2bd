//! DNS as a sandbox's resolver speaks it: one question in, one record at most out (RFC 1035).
//!
//! Resolvers compare an answer with their question byte for byte, so the question is sent back as
//! it came, upper case included. EDNS (RFC 6891) is ignored: no answer is near 512 bytes. A name
//! that exists has an A record and for every other type no records, never NXDOMAIN: musl asks for
//! A and AAAA at once and believes whichever says that the name does not exist.

mod local;
mod tcp;

use std::net::Ipv4Addr;

pub use local::{is_local, local_answer};
pub use tcp::{MESSAGE_LIMIT, TcpMessages, TooLong, to_tcp};

/// Bytes of a message's header.
const HEADER: usize = 12;

/// Longest name on the wire, with the byte of the root (RFC 1035, section 2.3.4).
const WIRE_NAME_LIMIT: usize = 255;

/// Longest part of a name; above it the two high bits mean compression.
const LABEL_LIMIT: usize = 63;

/// IPv4 address.
const TYPE_A: u16 = 1;

/// An address of IPv6.
const TYPE_AAAA: u16 = 28;

/// Class of the Internet.
const CLASS_IN: u16 = 1;

/// Points at the name of the question: a header's length from the beginning.
const QUESTION_NAME: [u8; 2] = [0xc0, 12];

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    id: [u8; 2],
    recursion_desired: bool,
    /// The question's section as it came: name, type, class.
    wire: Vec<u8>,
    name: Option<String>,
    kind: u16,
    class: u16,
}

/// What a question is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name has this address, which may be kept for so many seconds.
    Address(Ipv4Addr, u32),
    /// The name exists and has no record of this type.
    NoRecords,
    /// The name does not exist.
    NoSuchName,
    /// Try again later.
    ServerFailure,
}

/// A message that holds no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Is not answered: too short to be answered, or an answer itself. Answering answers would let
    /// two servers talk to each other forever.
    Silent,
    /// Is answered with this header and nothing else.
    Reply([u8; HEADER]),
}

#[derive(Clone, Copy)]
enum ResponseCode {
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NoSuchName = 3,
    NotImplemented = 4,
}

impl Question {
    /// Reads a message without the length that TCP puts before it.
    ///
    /// # Errors
    ///
    /// Where it is no query with one question.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let (header, rest) = message
            .split_first_chunk::<HEADER>()
            .ok_or(Malformed::Silent)?;
        let id = [header[0], header[1]];
        let (is_answer, operation, recursion_desired) = (
            header[2] & 0x80 != 0,
            header[2] >> 3 & 0x0f,
            header[2] & 1 != 0,
        );
        if is_answer {
            return Err(Malformed::Silent);
        }
        let reject = |code| Malformed::Reply(reply_header(id, recursion_desired, code, 0, 0));
        if operation != 0 {
            return Err(reject(ResponseCode::NotImplemented));
        }
        if header[4..6] != [0, 1] {
            return Err(reject(ResponseCode::FormatError));
        }
        let (name, length) = parse_name(rest).ok_or(reject(ResponseCode::FormatError))?;
        let (wire, fields) = (rest.get(..length + 4), rest.get(length..length + 4));
        let (Some(wire), Some(&[k0, k1, c0, c1])) = (wire, fields) else {
            return Err(reject(ResponseCode::FormatError));
        };
        Ok(Self {
            id,
            recursion_desired,
            wire: wire.to_vec(),
            name,
            kind: u16::from_be_bytes([k0, k1]),
            class: u16::from_be_bytes([c0, c1]),
        })
    }

    /// The name in lower case, its parts joined by dots, without a final one; empty for the root.
    /// `None` where a part is no text or holds a dot: such a name is no host's.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether an address of either family is asked for: only then is it worth asking the server.
    /// IPv6 too: programs read the answer "no such address" as final, even if the question for the
    /// other family failed.
    #[must_use]
    pub fn wants_address(&self) -> bool {
        self.is(TYPE_A) || self.is(TYPE_AAAA)
    }

    fn is(&self, kind: u16) -> bool {
        self.kind == kind && self.class == CLASS_IN
    }

    /// The message that answers it. An address for a question of another type is no records.
    #[must_use]
    pub fn reply(&self, answer: Answer) -> Vec<u8> {
        let record = match answer {
            Answer::Address(address, ttl) if self.is(TYPE_A) => Some((address, ttl)),
            _ => None,
        };
        let code = match answer {
            Answer::Address(..) | Answer::NoRecords => ResponseCode::NoError,
            Answer::NoSuchName => ResponseCode::NoSuchName,
            Answer::ServerFailure => ResponseCode::ServerFailure,
        };
        let records = u8::from(record.is_some());
        let mut reply = reply_header(self.id, self.recursion_desired, code, 1, records).to_vec();
        reply.extend_from_slice(&self.wire);
        if let Some((address, ttl)) = record {
            reply.extend_from_slice(&QUESTION_NAME);
            reply.extend_from_slice(&TYPE_A.to_be_bytes());
            reply.extend_from_slice(&CLASS_IN.to_be_bytes());
            reply.extend_from_slice(&ttl.to_be_bytes());
            reply.extend_from_slice(&[0, 4]);
            reply.extend_from_slice(&address.octets());
        }
        reply
    }
}

/// An answer, not authoritative, from a server that resolves; so many questions and records.
fn reply_header(
    id: [u8; 2],
    recursion_desired: bool,
    code: ResponseCode,
    questions: u8,
    records: u8,
) -> [u8; HEADER] {
    let flags = [0x80 | u8::from(recursion_desired), 0x80 | code as u8];
    [
        id[0], id[1], flags[0], flags[1], 0, questions, 0, records, 0, 0, 0, 0,
    ]
}

/// The name at the beginning of `bytes` as [`Question::name`] says, and its bytes on the wire.
/// `None` where it is cut off, too long, or compressed: a question has nothing to point at.
fn parse_name(bytes: &[u8]) -> Option<(Option<String>, usize)> {
    let mut labels = Some(Vec::new());
    let mut at = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = bytes.get(at..at + length)?;
        at += length;
        // The byte of the root comes after it.
        if length > LABEL_LIMIT || at >= WIRE_NAME_LIMIT {
            return None;
        }
        labels = labels.zip(label_text(label)).map(|(mut labels, label)| {
            labels.push(label);
            labels
        });
    }
    Some((labels.map(|labels| labels.join(".")), at))
}

fn label_text(label: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(label).ok()?;
    let is_text = !text
        .chars()
        .any(|character| character == '.' || character.is_control());
    is_text.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
