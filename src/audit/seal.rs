//! Closes the files of killed servers. Each server holds a lock on its file, which the kernel
//! releases when the process ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::digest::sha256;
use super::file::{self, Name};
use super::line::{Anchor, ChainHead, Event, LINE_BYTES, Server, StoredLine};

/// Servers whose last lines are named in the first line of the next server, the latest ones.
const CHAIN_LIMIT: usize = 32;

/// Bytes that are read of a file first: most lines have some hundred.
const TAIL_BYTES: u64 = 64 << 10;

/// Seals the files of servers that are gone, and returns the ends of the latest files. Checks all
/// files: a server may be killed long after hundreds of others, of a timer say, started and ended.
/// A file that cannot be read is left as it is; the check names it.
pub fn all(directory: &Path, server: &Server) -> io::Result<Vec<Anchor>> {
    let names = file::list(directory)?;
    let newest = names.iter().enumerate().filter(|(at, name)| {
        let next = names.get(at + 1);
        next.is_none_or(|next| next.chain != name.chain)
    });
    let written = |name: &Name| {
        let found = directory.join(name.to_string()).metadata();
        found.and_then(|found| found.modified()).ok()
    };
    let mut newest: Vec<_> = newest.map(|(_, name)| (written(name), name)).collect();
    newest.sort();
    let mut anchors = Vec::new();
    for (_, name) in newest {
        match one(&directory.join(name.to_string()), server) {
            Ok(Some(head)) => anchors.push(Anchor {
                file: name.to_string(),
                seq: head.seq,
                hash: head.hash,
            }),
            Ok(None) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%name, error, "a file of the audit cannot be read or sealed");
            }
        }
    }
    Ok(anchors.split_off(anchors.len().saturating_sub(CHAIN_LIMIT)))
}

/// The end of the file, which is sealed first if necessary.
fn one(path: &Path, server: &Server) -> io::Result<Option<ChainHead>> {
    let mut file = OpenOptions::new().read(true).append(true).open(path)?;
    let is_left = file.try_lock().is_ok();
    let tail = FileTail::read(&mut file)?;
    let head = tail.last.as_ref().map(|last| ChainHead {
        seq: last.seq,
        hash: last.hash.clone(),
    });
    let is_closed = tail.torn.is_empty() && tail.last.as_ref().is_some_and(StoredLine::is_last);
    if !is_left || is_closed {
        return Ok(head);
    }
    let mut head = head.unwrap_or_else(ChainHead::new);
    let mut text = String::new();
    let mut torn = tail.torn.as_slice();
    if let Some(whole) = StoredLine::parse(torn).filter(|line| line.is_whole(torn)) {
        // Only the line feed is missing.
        (head.seq, head.hash) = (whole.seq, whole.hash);
        torn = &[];
        text.push('\n');
    } else if !torn.is_empty() {
        text.push('\n');
    }
    let sealed = Event::Sealed {
        by: server.id.clone(),
        torn_bytes: torn.len(),
        torn_sha256: sha256(torn),
    };
    text += &head.add(server, &sealed)?;
    let length = file.metadata()?.len();
    if let Err(error) = file.write_all(text.as_bytes()) {
        // So that no half seal is left.
        let _ = file.set_len(length);
        return Err(error);
    }
    Ok(Some(head))
}

/// How a file ends.
struct FileTail {
    /// The last whole line.
    last: Option<StoredLine>,
    /// The bytes after the last line feed.
    torn: Vec<u8>,
}

impl FileTail {
    fn read(file: &mut File) -> io::Result<Self> {
        // A torn line, the one before it, and two line feeds.
        let most = u64::try_from(2 * LINE_BYTES + 2).unwrap_or(u64::MAX);
        let length = file.metadata()?.len();
        let short = Self::read_last(file, length, TAIL_BYTES)?;
        match short.last {
            Some(_) => Ok(short),
            None => Self::read_last(file, length, most),
        }
    }

    /// From the last `most` of `length` bytes.
    fn read_last(file: &mut File, length: u64, most: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|&byte| byte == b'\n');
        let torn = bytes.split_off(end.map_or(0, |end| end + 1));
        bytes.pop();
        let begin = bytes.iter().rposition(|&byte| byte == b'\n');
        let last = StoredLine::parse(&bytes[begin.map_or(0, |begin| begin + 1)..]);
        Ok(Self { last, torn })
    }
}
