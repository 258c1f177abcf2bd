//! The files: their names, which sort by time, and how one is begun.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::line::Server;

/// Prefix of every name.
const PREFIX: &str = "audit-";

/// Suffix of every name.
const SUFFIX: &str = ".jsonl";

/// The parts of a name. The names of one server differ only in the last part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// When the server started and its id: `20261124T141500.123Z-0a1b2c3d`.
    pub chain: String,
    /// From 1.
    pub part: u32,
}

impl Name {
    /// The first of a server that starts now.
    pub fn first(server: &Server) -> Self {
        let now = humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string();
        let now: String = now.chars().filter(|c| !"-:".contains(*c)).collect();
        Self {
            chain: format!("{now}-{}", server.id),
            part: 1,
        }
    }

    /// The one after it.
    pub fn next(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            part: self.part + 1,
        }
    }

    /// `None`: not the name of an audit file.
    pub fn parse(name: &str) -> Option<Self> {
        let inner = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (chain, part) = inner.rsplit_once('-')?;
        let part = part.parse().ok()?;
        let chain = chain.to_owned();
        let parsed = Self { chain, part };
        // `1` and `000001` would be two names of one part.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { chain, part } = self;
        write!(f, "{PREFIX}{chain}-{part:06}{SUFFIX}")
    }
}

/// All files of the directory, sorted: by the start of their server, then by part.
pub fn list(directory: &Path) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        names.extend(name.to_str().and_then(Name::parse));
    }
    names.sort();
    Ok(names)
}

/// Creates the directory so that only its owner can read it: lines name users.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Begins a file with its first line, locked. It gets its name when it has the line, so a file is
/// never empty. A kill before that leaves a `.new` file, which is never read.
pub fn begin(directory: &Path, name: &Name, line: &str) -> io::Result<File> {
    let path = directory.join(name.to_string());
    let new = directory.join(format!("{name}.new"));
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let made = (&file)
        .write_all(line.as_bytes())
        .and_then(|()| file.try_lock().map_err(io::Error::from))
        .and_then(|()| file.sync_data())
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| File::open(directory)?.sync_all());
    match made {
        Ok(()) => Ok(file),
        Err(error) => {
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_start_and_then_by_part_and_nothing_else_is_one() {
        let server = Server::new("n".to_owned(), "i".to_owned());
        let first = Name::first(&server);
        let second = first.next();
        assert_eq!(Name::parse(&first.to_string()), Some(first.clone()));
        assert!(first < second && first.to_string() < second.to_string());
        for other in [
            "audit-a.jsonl",
            "audit-a-1.jsonl",
            "audit-a-000001.jsonl.new",
            "a-000001.jsonl",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
