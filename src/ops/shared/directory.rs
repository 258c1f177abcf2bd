//! The entries of a directory of this machine. Links are not followed.

use std::ffi::OsString;
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::bad_entry::bad;
use super::content::{EntrySink, SharedEntry, SharedKind};

/// Any of the three bits that let somebody execute a file.
const EXECUTABLE: u32 = 0o111;

/// Gives all entries below `top` to `sink`, each directory in the order of its names.
pub(super) fn each(top: &Path, sink: &mut dyn EntrySink) -> io::Result<()> {
    // Paths relative to the top whose turn has not come, the next one last.
    let mut left = names(top, Path::new(""))?;
    while let Some(path) = left.pop() {
        let whole = top.join(&path);
        let metadata = fs::symlink_metadata(&whole).map_err(|error| of(&path, &error))?;
        let modified = u64::try_from(metadata.mtime()).unwrap_or(0);
        let entry = |kind| SharedEntry {
            path: path.as_os_str().as_bytes().to_vec(),
            kind,
            modified,
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            sink.take(&entry(SharedKind::Directory), &mut io::empty())?;
            left.extend(names(top, &path)?);
        } else if kind.is_symlink() {
            let target = fs::read_link(&whole).map_err(|error| of(&path, &error))?;
            let target = target.into_os_string().into_vec();
            sink.take(&entry(SharedKind::Link { target }), &mut io::empty())?;
        } else if kind.is_file() {
            let file = open(&whole).map_err(|error| of(&path, &error))?;
            // Of what was opened, which may be another file by now.
            let metadata = file.metadata().map_err(|error| of(&path, &error))?;
            let kind = SharedKind::File {
                size: metadata.len(),
                is_executable: metadata.mode() & EXECUTABLE != 0,
            };
            sink.take(&entry(kind), &mut file.take(metadata.len()))?;
        } else {
            return Err(bad(path.as_os_str().as_bytes(), refused(kind)));
        }
    }
    Ok(())
}

/// The entries of one directory, the first last.
fn names(top: &Path, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let found = fs::read_dir(top.join(directory)).and_then(|entries| {
        let names = entries.map(|entry| Ok(entry?.file_name()));
        names.collect::<io::Result<Vec<OsString>>>()
    });
    let mut names = found.map_err(|error| of(directory, &error))?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names.iter().map(|name| directory.join(name)).collect())
}

/// Opening waits for no peer: it may be a FIFO by now.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file any more")),
    }
}

fn refused(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a FIFO, which shared data cannot have"
    } else if kind.is_socket() {
        "a socket, which shared data cannot have"
    } else {
        "a device, which shared data cannot have"
    }
}

fn of(path: &Path, error: &io::Error) -> io::Error {
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
