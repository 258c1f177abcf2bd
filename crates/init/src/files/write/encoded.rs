//! Text that is appended to a file, in the encoding of the file.

use bytes::Bytes;
use casemate_protocol::{Failure, WriteFileRequest};
use rustix::fs::fstat;
use rustix::io::Errno;

use crate::files::charset::{Charset, SNIFF_LIMIT, encode_utf16, is_marked_utf16};
use crate::files::lease_wait::LeaseWait;
use crate::files::lines::not_text;
use crate::files::read::read_at;
use crate::files::walk::EntryLocation;
use crate::files::{Cancel, failure, invalid, size};

/// The content of the request, in the encoding of the file at the place.
///
/// # Errors
/// `NOT_TEXT` for text that the file's encoding may not have.
pub(super) fn as_in(
    place: &EntryLocation,
    request: &WriteFileRequest,
    lease_wait: &mut LeaseWait,
    cancel: &Cancel,
) -> Result<Bytes, Failure> {
    let content = &request.content;
    if !request.text || content.is_empty() {
        return Ok(content.clone());
    }
    let file = match lease_wait.open(&place.dir, &place.name, cancel)? {
        Ok(file) => file,
        // A file that may not be read has an unknown encoding; the append itself finds one
        // that is gone.
        Err(Errno::ACCESS | Errno::NOENT | Errno::LOOP) => return Ok(content.clone()),
        Err(errno) => return Err(failure(errno)),
    };
    let size = size(&fstat(&file).map_err(failure)?);
    let head = read_at(&file, 0, SNIFF_LIMIT, cancel)?;
    match Charset::of(&head, head.len() as u64 >= size) {
        _ if is_marked_utf16(&head) && size % 2 == 1 => Err(not_text(
            "the file is UTF-16 with half a character at its end",
        )),
        Some(Charset::Utf16(order)) => {
            let text = std::str::from_utf8(content);
            let text = text.map_err(|_| invalid("a text that is not UTF-8"))?;
            let mut raw = Vec::new();
            encode_utf16(text, order, &mut raw);
            Ok(raw.into())
        }
        Some(Charset::Latin1) if !content.is_ascii() => Err(not_text(
            "the file is Latin-1, or another encoding of one byte for a character: only ASCII \
             text, or bytes as base64, can be appended",
        )),
        _ => Ok(content.clone()),
    }
}
