//! Where a version of shared data is read from: a directory, or a tar archive.

use std::fs::File;
use std::io::{self, IsTerminal as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::archive::{self, ArchiveKind};
use super::content::EntrySink;
use super::directory;

/// The source of a version. It is read twice: for the hash that names the version, and into its volume.
#[derive(Debug)]
pub enum ContentSource {
    /// A directory, whose entries these are.
    Directory(PathBuf),
    /// An archive in a file.
    Archive(File),
}

impl ContentSource {
    /// The archive on standard input. One that comes through a pipe is first copied into a file
    /// without a name in `directory`: that goes when this process ends, however it does. Blocks.
    ///
    /// # Errors
    /// It cannot be read or copied.
    pub fn standard_input(directory: &Path) -> io::Result<Self> {
        let input = io::stdin();
        if input.is_terminal() {
            let what = "standard input is a terminal; pipe a tar archive, or name a directory";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let file = File::from(input.as_fd().try_clone_to_owned()?);
        if file.metadata()?.is_file() {
            return Ok(Self::Archive(file));
        }
        let mut copy = unnamed_file(directory).map_err(|error| {
            let what = format!("no temporary file in {directory:?} (TMPDIR): {error}");
            io::Error::new(error.kind(), what)
        })?;
        io::copy(&mut input.lock(), &mut copy).map_err(|error| {
            let what = format!("copying standard input to {directory:?} (TMPDIR): {error}");
            io::Error::new(error.kind(), what)
        })?;
        Ok(Self::Archive(copy))
    }

    /// Gives all entries to `sink`. Blocks.
    ///
    /// # Errors
    /// `InvalidData` for what no version can have, with the path of the entry.
    pub fn each(&mut self, sink: &mut dyn EntrySink) -> io::Result<()> {
        match self {
            Self::Directory(path) => directory::each(path, sink),
            Self::Archive(file) => {
                file.seek(SeekFrom::Start(0))?;
                archive::each(io::BufReader::new(file), ArchiveKind::Untrusted, sink)
            }
        }
    }
}

/// A file that no path leads to.
fn unnamed_file(directory: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(file.into())
}
