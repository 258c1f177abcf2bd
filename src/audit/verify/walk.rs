//! One file, line by line.

use std::io::{self, BufRead, Read as _};

use super::super::digest::sha256;
use super::super::line::{Anchor, ChainHead, LINE_BYTES, StoredLine};

/// Findings of one file that are kept, so that a replaced file does not fill the memory.
const FINDING_LIMIT: usize = 100;

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEnd {
    /// With the last line of its server, or the seal of another.
    Closed,
    /// With any other line.
    Open,
    /// In the middle of a line.
    Torn,
}

/// The state while a file is read.
pub struct Walk {
    /// Of the last valid line.
    pub head: ChainHead,
    /// Whether the next line must follow `head`.
    known: bool,
    anchors: Vec<Anchor>,
    /// Read so far.
    pub lines: u64,
    /// Changes that were found, by line.
    pub findings: Vec<(Option<u64>, String)>,
    /// Notes, by line.
    pub notes: Vec<(u64, String)>,
    /// Length and hash of the line before, if that was invalid.
    torn: Option<(usize, String)>,
    closed: bool,
}

impl Walk {
    /// Starts at `from`, if that is known. The lines that other servers saw must be in the file.
    pub fn new(from: Option<ChainHead>, anchors: Vec<Anchor>) -> Self {
        Self {
            known: from.is_some(),
            head: from.unwrap_or_else(ChainHead::new),
            anchors,
            lines: 0,
            findings: Vec::new(),
            notes: Vec::new(),
            torn: None,
            closed: false,
        }
    }

    /// All lines.
    pub fn all(&mut self, mut file: impl BufRead) -> io::Result<FileEnd> {
        let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
        let mut line = Vec::new();
        let mut is_torn = false;
        loop {
            line.clear();
            file.by_ref().take(most).read_until(b'\n', &mut line)?;
            let Some(last) = line.last() else { break };
            self.lines += 1;
            if *last != b'\n' {
                // Too long for a line of an audit: the rest is reported as further lines.
                is_torn = line.len() < LINE_BYTES;
                self.unfinished();
                continue;
            }
            line.pop();
            self.one(&line);
        }
        if self.torn.take().is_some() {
            self.find(self.lines, "is not a line of an audit: it was changed");
        }
        if self.lines == 0 {
            self.findings
                .push((None, "is empty: its lines were removed".to_owned()));
        }
        for Anchor { seq, file: _, hash } in std::mem::take(&mut self.anchors) {
            let what = format!(
                "line number {seq} ({}…) was there when a later server started, and is not now",
                &hash.chars().take(12).collect::<String>()
            );
            self.findings.push((None, what));
        }
        Ok(match (is_torn, self.closed) {
            (true, _) => FileEnd::Torn,
            (_, true) => FileEnd::Closed,
            _ => FileEnd::Open,
        })
    }

    fn unfinished(&mut self) {
        if self.torn.take().is_some() {
            self.find(self.lines - 1, "is not a line of an audit: it was changed");
        }
        if self.closed {
            self.find(self.lines, "was added after the last line");
        }
    }

    fn one(&mut self, line: &[u8]) {
        let at = self.lines;
        let torn = self.torn.take();
        let Some(stored) = StoredLine::parse(line) else {
            if torn.is_some() {
                self.find(at - 1, "is not a line of an audit: it was changed");
            }
            self.torn = Some((line.len(), sha256(line)));
            return;
        };
        self.torn_before(torn, &stored);
        if !stored.is_whole(line) {
            self.find(at, "was changed: its hash does not match");
        }
        if self.closed {
            self.find(at, "was added after the last line");
        }
        self.follow(&stored);
    }

    /// An unfinished line is explained only by the seal after it.
    fn torn_before(&mut self, torn: Option<(usize, String)>, stored: &StoredLine) {
        let sealed = match (stored.torn_bytes, &stored.torn_sha256) {
            (Some(bytes), Some(hash)) if stored.kind == "sealed" && bytes > 0 => {
                Some((bytes, hash.clone()))
            }
            _ => None,
        };
        let at = self.lines;
        match (torn, sealed) {
            (None, None) => {}
            (Some(torn), Some(sealed)) if torn == sealed => {
                let what = "was not finished when its server was killed; the next line seals it";
                self.notes.push((at - 1, what.to_owned()));
            }
            (Some(_), _) => self.find(at - 1, "is not a line of an audit: it was changed"),
            (None, Some(_)) => self.find(at, "seals a line that is missing before it"),
        }
    }

    fn follow(&mut self, stored: &StoredLine) {
        let (at, wanted) = (self.lines, self.head.seq + 1);
        if self.known && stored.prev != self.head.hash {
            if stored.seq > wanted {
                let last = stored.seq - 1;
                let what = match last == wanted {
                    true => format!("line number {wanted} is missing before it"),
                    false => format!("lines number {wanted} to {last} are missing before it"),
                };
                self.find(at, &what);
            } else if stored.seq < wanted {
                let seq = stored.seq;
                self.find(at, &format!("line number {seq} is out of place"));
                // The next line follows the one before this.
                self.saw(stored);
                return;
            } else {
                self.find(
                    at,
                    "does not follow the line before it: one of the two was changed",
                );
            }
        } else if self.known && stored.seq != wanted {
            let seq = stored.seq;
            self.find(at, &format!("has number {seq}, but {wanted} would follow"));
        }
        self.saw(stored);
        self.known = true;
        self.closed = stored.is_last();
        self.head = ChainHead {
            seq: stored.seq,
            hash: stored.hash.clone(),
        };
    }

    /// Crosses it off the lines that other servers saw.
    fn saw(&mut self, stored: &StoredLine) {
        self.anchors
            .retain(|anchor| anchor.seq != stored.seq || anchor.hash != stored.hash);
    }

    fn find(&mut self, line: u64, what: &str) {
        if self.findings.len() < FINDING_LIMIT {
            self.findings.push((Some(line), what.to_owned()));
        }
    }
}
