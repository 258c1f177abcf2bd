//! What one server writes: its files, one after the other.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::AuditError;
use super::file::{self, Name};
use super::line::{ChainHead, Event, Server};
use super::seal;

/// How often the disk is asked to have what was written, while calls come: a loss of power
/// costs no more lines than that. The kernel does it by itself within half a minute.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Writes lines. Blocks: it has a thread of its own.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    limit: u64,
    server: Server,
    name: Name,
    file: File,
    /// Of whole lines in the file.
    length: u64,
    head: ChainHead,
    /// What was written last was not written whole.
    broken: bool,
    settled: Instant,
}

impl Writer {
    /// Makes the directory, seals what is left in it and begins a file. The next one is
    /// begun when it has `limit` bytes.
    pub fn open(directory: PathBuf, limit: u64, server: Server) -> Result<Self, AuditError> {
        let others = file::make_directory(&directory)
            .and_then(|()| seal::all(&directory, &server))
            .map_err(|source| AuditError::Directory {
                path: directory.clone(),
                source,
            })?;
        let started = Event::Started {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            others,
        };
        let (name, mut head) = (Name::first(&server), ChainHead::new());
        let begun = head
            .add(&server, &started)
            .map_err(io::Error::from)
            .and_then(|line| Ok((file::begin(&directory, &name, &line)?, line.len())));
        let (file, length) = begun.map_err(|source| AuditError::File {
            path: directory.clone(),
            source,
        })?;
        Ok(Self {
            length: bytes(length),
            settled: Instant::now(),
            broken: false,
            directory,
            limit,
            server,
            name,
            file,
            head,
        })
    }

    /// Writes a line for each event, all of them or none, and returns how many. After it
    /// failed, the next that succeeds says so with a line of its own: `refused` calls
    /// were not made meanwhile. Without events it only tries.
    pub fn append(&mut self, events: &[&Event], refused: u64) -> io::Result<u64> {
        let resumed = Event::Resumed { refused };
        let first = self.broken.then_some(&resumed);
        let written = self.try_append(first.into_iter().chain(events.iter().copied()));
        self.broken = written.is_err();
        written
    }

    fn try_append<'a>(&mut self, events: impl Iterator<Item = &'a Event>) -> io::Result<u64> {
        if self.broken {
            self.file.set_len(self.length)?;
        }
        if self.length >= self.limit || !self.is_ours()? {
            self.next_part()?;
        }
        // The next line goes on from what is in the file, and from nothing else.
        let mut head = self.head.clone();
        let (mut text, mut lines) = (String::new(), 0);
        for event in events {
            text += &head.add(&self.server, event)?;
            lines += 1;
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // What there is of it was promised to nobody. Where that fails too it is
            // tried again before the next line.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes(text.len());
        self.head = head;
        Ok(lines)
    }

    /// Whether the file is still there and only this server wrote to it. Otherwise another
    /// one is begun, and the check finds what happened to this one.
    fn is_ours(&self) -> io::Result<bool> {
        let found = self.file.metadata()?;
        Ok(found.nlink() > 0 && found.len() == self.length)
    }

    fn next_part(&mut self) -> io::Result<()> {
        let (name, mut head) = (self.name.next(), self.head.clone());
        let after = self.name.to_string();
        let line = head.add(&self.server, &Event::Continued { after })?;
        let file = file::begin(&self.directory, &name, &line)?;
        self.settle_now();
        // The lock of the one before goes with its handle.
        (self.name, self.head, self.file) = (name, head, file);
        self.length = bytes(line.len());
        Ok(())
    }

    /// Asks the disk to have it, now and then. Nobody waits for it.
    pub fn settle(&mut self) {
        if self.settled.elapsed() >= SYNC_INTERVAL {
            self.settle_now();
        }
    }

    fn settle_now(&mut self) {
        // What cannot be written is found by the next line.
        let _ = self.file.sync_data();
        self.settled = Instant::now();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.settle_now();
    }
}

fn bytes(length: usize) -> u64 {
    length.try_into().unwrap_or(u64::MAX)
}
