//! Writes the files of one server.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::AuditError;
use super::file::{self, Name};
use super::line::{ChainHead, Event, Server};
use super::seal;

/// How often lines are synced to the disk while calls come: a loss of power costs the lines of this
/// time. Without it the kernel syncs within half a minute.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Writes lines. Blocks, so it runs on a separate thread.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    limit: u64,
    server: Server,
    name: Name,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    head: ChainHead,
    /// The last write failed and may have left a part.
    broken: bool,
    settled: Instant,
}

impl Writer {
    /// Creates the directory, seals the files of killed servers and begins a file, which holds
    /// about `limit` bytes.
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

    /// Writes a line for each event, all of them or none, and returns how many. After a failure the
    /// next success first writes a `resumed` line with the number of `refused` calls. Without
    /// events it only tries.
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
        // The next line follows only a line that is in the file.
        let mut head = self.head.clone();
        let (mut text, mut lines) = (String::new(), 0);
        for event in events {
            text += &head.add(&self.server, event)?;
            lines += 1;
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // No call was told that this was written. If this fails too, it is repeated before the
            // next line.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes(text.len());
        self.head = head;
        Ok(lines)
    }

    /// Whether the file still exists and only this server wrote to it. Otherwise the next file is
    /// begun, and the check reports this one.
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
        // The lock of the previous file ends with its handle.
        (self.name, self.head, self.file) = (name, head, file);
        self.length = bytes(line.len());
        Ok(())
    }

    /// Syncs to the disk from time to time. No call waits for it.
    pub fn settle(&mut self) {
        if self.settled.elapsed() >= SYNC_INTERVAL {
            self.settle_now();
        }
    }

    fn settle_now(&mut self) {
        // If it fails, the next line fails too.
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
