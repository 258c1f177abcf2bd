/// Longest handshake message of a client, in bytes. With post-quantum key shares they have 2 KiB.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// Bytes of whole records that are held while their message is not whole; one more record may be
/// held besides. Each fragment has 5 bytes before it: this is enough for [`MESSAGE_LIMIT`] in
/// fragments of 6 bytes and more.
pub const HELD_LIMIT: usize = 2 * MESSAGE_LIMIT;

/// Bytes before a fragment: type, version, length (RFC 8446, section 5.1).
pub const HEADER: usize = 5;

/// Longest plain fragment (same section).
const PLAIN_LIMIT: usize = 1 << 14;

/// Bytes before the body of a handshake message: type, length (RFC 8446, section 4).
const MESSAGE_HEADER: usize = 4;

/// Longest encrypted fragment, in the older and longer form (RFC 5246, section 6.2.3).
const ENCRYPTED_LIMIT: usize = PLAIN_LIMIT + 2048;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    ChangeCipherSpec,
    Alert,
    Handshake,
    ApplicationData,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub content: ContentType,
    pub fragment: &'a [u8],
}

impl Record<'_> {
    /// Its bytes on the wire.
    pub fn length(&self) -> usize {
        HEADER + self.fragment.len()
    }
}

/// The bytes are no TLS record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRecord;

impl ContentType {
    fn parse(byte: u8) -> Option<Self> {
        match byte {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::ApplicationData),
            _ => None,
        }
    }

    fn limit(self) -> usize {
        match self {
            Self::ApplicationData => ENCRYPTED_LIMIT,
            Self::ChangeCipherSpec | Self::Alert | Self::Handshake => PLAIN_LIMIT,
        }
    }
}

/// The record at the beginning of `bytes`; `None` where its end has not come yet. What there is of
/// the header is checked at once, so that another protocol is known by its first byte.
pub fn parse_record(bytes: &[u8]) -> Result<Option<Record<'_>>, NotRecord> {
    let Some(first) = bytes.first() else {
        return Ok(None);
    };
    let content = ContentType::parse(*first).ok_or(NotRecord)?;
    if bytes.get(1).is_some_and(|major| *major != 3) {
        return Err(NotRecord);
    }
    let Some(length) = bytes.get(3..HEADER) else {
        return Ok(None);
    };
    let length = usize::from(length[0]) << 8 | usize::from(length[1]);
    // Only encrypted fragments may be empty.
    if length > content.limit() || length == 0 && content != ContentType::ApplicationData {
        return Err(NotRecord);
    }
    let fragment = bytes.get(HEADER..HEADER + length);
    Ok(fragment.map(|fragment| Record { content, fragment }))
}

/// One handshake message. Its type is the first byte, and can be read before the rest has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub body: &'a [u8],
}

impl Message<'_> {
    /// Its bytes in the records.
    pub fn length(&self) -> usize {
        MESSAGE_HEADER + self.body.len()
    }
}

/// The handshake message at the beginning of `bytes`; `None` where its end has not come yet.
///
/// # Errors
///
/// Where it announces more than `limit` bytes.
pub fn parse_message(bytes: &[u8], limit: usize) -> Result<Option<Message<'_>>, NotRecord> {
    let header = bytes.split_first_chunk::<MESSAGE_HEADER>();
    let Some((&[_, high, middle, low], rest)) = header else {
        return Ok(None);
    };
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    if length > limit {
        return Err(NotRecord);
    }
    Ok(rest.get(..length).map(|body| Message { body }))
}
