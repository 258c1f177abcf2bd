use crate::{HostName, Reason};

/// Extension that holds the server name (RFC 6066, section 3).
const SERVER_NAME: u16 = 0;

/// The only type of server name there is (same).
const HOST_NAME: u8 = 0;

/// Version and random value.
const FIXED_BYTES: usize = 2 + 32;

/// Checks that the body of a ClientHello (RFC 8446, section 4.1.2) names `host` and no other.
pub fn check(body: &[u8], host: &HostName) -> Result<(), Reason> {
    let extensions = extensions(body).ok_or(Reason::NotTls)?;
    let mut names = Vec::new();
    let mut rest = Reader(extensions);
    while !rest.0.is_empty() {
        let (kind, content) = rest.extension().ok_or(Reason::NotTls)?;
        if kind == SERVER_NAME {
            names.push(content);
        }
    }
    // Of two, one server reads the first and another one the last.
    let [content] = names[..] else {
        return Err(Reason::NameMismatch);
    };
    let name = server_name(content).ok_or(Reason::NameMismatch)?;
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.eq_ignore_ascii_case(host.as_str().as_bytes()) {
        return Ok(());
    }
    Err(Reason::NameMismatch)
}

/// The extensions of a ClientHello; none where it ends before them, as in old versions.
fn extensions(body: &[u8]) -> Option<&[u8]> {
    let mut rest = Reader(body);
    rest.take(FIXED_BYTES)?;
    let session_id_bytes = rest.byte()?;
    rest.take(session_id_bytes.into())?;
    rest.block()?; // Cipher suites.
    let compression_bytes = rest.byte()?;
    rest.take(compression_bytes.into())?;
    if rest.0.is_empty() {
        return Some(&[]);
    }
    let extensions = rest.block()?;
    rest.0.is_empty().then_some(extensions)
}

/// The one name in the extension.
fn server_name(content: &[u8]) -> Option<&[u8]> {
    let mut rest = Reader(content);
    let mut list = Reader(rest.block()?);
    let kind = list.byte()?;
    let name = list.block()?;
    let is_one = rest.0.is_empty() && list.0.is_empty() && kind == HOST_NAME;
    is_one.then_some(name)
}

/// The bytes left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)
            .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A length of two bytes, and so many bytes.
    fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }

    fn extension(&mut self) -> Option<(u16, &'a [u8])> {
        Some((self.number()?, self.block()?))
    }
}
