//! Reads the files again and reports changes.
//!
//! It finds lines that were changed, removed, added or moved, a missing file between others, and
//! lines cut off at the end of a file that a later one follows or that was closed before a later
//! server started. It cannot find lines cut off at the end of the last file of a killed server that
//! no server has sealed since. An attacker who can write the files can replace all of them by
//! another chain; only hashes kept elsewhere ([`Report::heads`]) show that.

mod walk;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file::{self, Name};
use super::line::{Anchor, ChainHead, LINE_BYTES, StoredLine};
use walk::{FileEnd, Walk};

/// Something about a line, or about a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    pub file: PathBuf,
    /// From 1; `None`: the file.
    pub line: Option<u64>,
    /// The change or the note.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

/// The result of the check.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Files that were read.
    pub files: u64,
    /// Lines that were read.
    pub lines: u64,
    /// Changes.
    pub findings: Vec<Finding>,
    /// Oddities that have, or may have, another reason.
    pub notes: Vec<Finding>,
    /// The last hash of each file: kept elsewhere, it later proves that no line before was changed.
    pub heads: BTreeMap<PathBuf, String>,
}

/// Checks these files, and all files in these directories. Blocks.
///
/// # Errors
/// A file that cannot be read.
pub fn verify(paths: &[PathBuf]) -> io::Result<Report> {
    let mut report = Report::default();
    let mut directories: BTreeMap<PathBuf, Vec<Name>> = BTreeMap::new();
    for path in paths {
        if path.is_dir() {
            let names = directories.entry(path.clone()).or_default();
            names.extend(file::list(path)?);
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(Name::parse) else {
            let what = "does not have the name of an audit file";
            return Err(io::Error::other(format!("{} {what}", path.display())));
        };
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        directories.entry(directory).or_default().push(name);
    }
    for (directory, mut names) in directories {
        names.sort();
        names.dedup();
        Check {
            anchors: anchors(&directory, &names)?,
            directory,
            names,
            report: &mut report,
        }
        .all()?;
    }
    Ok(report)
}

/// The lines of each other's files that the servers saw when they started.
fn anchors(directory: &Path, names: &[Name]) -> io::Result<BTreeMap<Name, Vec<Anchor>>> {
    let mut anchors: BTreeMap<Name, Vec<Anchor>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.part == 1) {
        let file = File::open(directory.join(name.to_string()))?;
        let mut line = Vec::new();
        let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
        BufReader::new(file.take(most)).read_until(b'\n', &mut line)?;
        line.pop();
        let first = StoredLine::parse(&line).filter(|first| first.is_whole(&line));
        for anchor in first.map(|first| first.others).unwrap_or_default() {
            if let Some(name) = Name::parse(&anchor.file) {
                anchors.entry(name).or_default().push(anchor);
            }
        }
    }
    Ok(anchors)
}

/// The files of one directory.
struct Check<'a> {
    directory: PathBuf,
    names: Vec<Name>,
    anchors: BTreeMap<Name, Vec<Anchor>>,
    report: &'a mut Report,
}

impl Check<'_> {
    fn all(mut self) -> io::Result<()> {
        let mut before: Option<(Name, ChainHead)> = None;
        for (at, name) in self.names.clone().into_iter().enumerate() {
            let from = self.start(&name, before.as_ref());
            let next = self.names.get(at + 1);
            let goes_on = next.is_some_and(|next| next.chain == name.chain);
            let head = self.one(&name, from, goes_on)?;
            before = Some((name, head));
        }
        self.missing_files();
        Ok(())
    }

    /// The head that the first line of `name` follows; `None` where it is not known.
    fn start(&mut self, name: &Name, before: Option<&(Name, ChainHead)>) -> Option<ChainHead> {
        if name.part == 1 {
            return Some(ChainHead::new());
        }
        match before {
            Some((last, head)) if last.next() == *name => Some(head.clone()),
            // The oldest files may be removed after a time.
            None => {
                let what = "the files before it are not here".to_owned();
                self.note(name, None, what);
                None
            }
            Some(_) => {
                let what = "the file before it is missing".to_owned();
                self.find(name, None, what);
                None
            }
        }
    }

    fn one(
        &mut self,
        name: &Name,
        from: Option<ChainHead>,
        goes_on: bool,
    ) -> io::Result<ChainHead> {
        let path = self.path(name);
        let file = File::open(&path)?;
        // Before reading: a server that ends during the check leaves a last line.
        let is_open = file.try_lock_shared().is_err();
        let anchors = self.anchors.remove(name).unwrap_or_default();
        let mut walk = Walk::new(from, anchors);
        let end = walk.all(BufReader::new(&file))?;
        let _ = file.unlock();
        self.report.files += 1;
        self.report.lines += walk.lines;
        self.report.heads.insert(path, walk.head.hash.clone());
        for (line, what) in walk.findings.drain(..) {
            self.find(name, line, what);
        }
        for (line, what) in walk.notes.drain(..) {
            self.note(name, Some(line), what);
        }
        match end {
            FileEnd::Torn if goes_on => {
                let what = "is not finished, and another file follows".to_owned();
                self.find(name, Some(walk.lines), what);
            }
            _ if is_open || goes_on => {}
            FileEnd::Torn => {
                let what = "is not finished: its server was killed, or the rest was cut off";
                self.note(name, Some(walk.lines), what.to_owned());
            }
            FileEnd::Open => {
                let what = "has no last line: its server was killed, or lines were cut off";
                self.note(name, None, what.to_owned());
            }
            FileEnd::Closed => {}
        }
        Ok(walk.head)
    }

    /// Files that servers saw and that are gone, except the oldest.
    fn missing_files(&mut self) {
        let first = self.names.first().cloned();
        let missing: Vec<Name> = std::mem::take(&mut self.anchors).into_keys().collect();
        for name in missing {
            if first.as_ref().is_some_and(|first| name > *first) {
                self.find(&name, None, "is missing".to_owned());
            }
        }
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.directory.join(name.to_string())
    }

    fn find(&mut self, name: &Name, line: Option<u64>, what: String) {
        let file = self.path(name);
        self.report.findings.push(Finding { file, line, what });
    }

    fn note(&mut self, name: &Name, line: Option<u64>, what: String) {
        let file = self.path(name);
        self.report.notes.push(Finding { file, line, what });
    }
}
