//! Text on its way to the end of a file, in the encoding that the file has.

use casemate_protocol::{Failure, WriteFileRequest};
use rustix::fs::fstat;
use rustix::io::Errno;

use crate::files::charset::{Charset, SNIFF_LIMIT, encode_utf16, is_marked_utf16};
use crate::files::lease_wait::LeaseWait;
use crate::files::lines::not_text;
use crate::files::read::read_at;
use crate::files::walk::EntryLocation;
use crate::files::{Cancel, failure, invalid, size};

/// What is appended to the file at the place, in the encoding that this has.
///
/// # Errors
/// `NOT_TEXT` for text that the file's encoding may not have.
pub(super) fn as_in(
    place: &EntryLocation,
    request: &WriteFileRequest,
    lease_wait: &mut LeaseWait,
    cancel: &Cancel,
) -> Result<WriteFileRequest, Failure> {
    let mut request = request.clone();
    if !request.text || request.content.is_empty() {
        return Ok(request);
    }
    let file = match lease_wait.open(place, cancel)? {
        Ok(file) => file,
        // What may not be read is what it may be; what is gone, the append itself finds.
        Err(Errno::ACCESS | Errno::NOENT | Errno::LOOP) => return Ok(request),
        Err(errno) => return Err(failure(errno)),
    };
    let size = size(&fstat(&file).map_err(failure)?);
    let head = read_at(&file, 0, SNIFF_LIMIT, cancel)?;
    match Charset::of(&head, head.len() as u64 >= size) {
        _ if is_marked_utf16(&head) && size % 2 == 1 => Err(not_text(
            "the file is UTF-16 with half a character at its end",
        )),
        Some(Charset::Utf16(order)) => {
            let text = std::str::from_utf8(&request.content);
            let text = text.map_err(|_| invalid("a text that is not UTF-8"))?;
            let mut raw = Vec::new();
            encode_utf16(text, order, &mut raw);
            request.content = raw.into();
            Ok(request)
        }
        Some(Charset::Latin1) if !request.content.is_ascii() => Err(not_text(
            "the file is Latin-1, or another encoding of one byte for a character: only ASCII \
             text, or bytes as base64, can be appended",
        )),
        _ => Ok(request),
    }
}
