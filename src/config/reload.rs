//! A file that is read again when it changes.
//!
//! It is checked on use, at most once a second, or by a task that asks for it. If a new version is
//! broken, the old one stays in force, and the error is logged once.

use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use thiserror::Error;
use tracing::{error, info};

use super::error::ConfigError;
use super::origin::FileLocation;

/// Shortest time between two checks: a revoked token must not work for long, and a check is one
/// system call.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A file changed this recently may change again within one tick of its clock and look the same:
/// it is read once more. File systems have ticks of 10 ms, some of 2 s.
const RECENT_CHANGE_LIMIT: Duration = Duration::from_secs(3);

/// Size of a file: some ten thousand tokens. It is read while requests wait.
const FILE_BYTES: u64 = 4 << 20;

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path:?}")]
    Unreadable {
        /// The file.
        path: Arc<Path>,
        /// The kernel's error.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{place}: {message}")]
    Line {
        /// Where.
        place: FileLocation,
        /// The problem. Never a value: one may be a token in the wrong place.
        message: String,
    },
    /// The whole file is wrong.
    #[error("{path:?}: {message}")]
    Whole {
        /// The file.
        path: Arc<Path>,
        /// What.
        message: String,
    },
    /// It is a settings file, and one of its settings is wrong.
    #[error(transparent)]
    Settings(#[from] Box<ConfigError>),
}

/// Parses the text of a file; the path is for its errors.
type Parse<T> = Box<dyn Fn(&Arc<Path>, &str) -> Result<T, FileError> + Send + Sync>;

/// A file's value, as new as `CHECK_INTERVAL`.
pub struct Reload<T> {
    path: Arc<Path>,
    parse: Parse<T>,
    state: Mutex<FileState<T>>,
}

#[derive(Debug)]
struct FileState<T> {
    value: Arc<T>,
    /// The stamp of the last read; `None`: read it again anyway.
    stamp: Option<FileStamp>,
    looked: Instant,
    /// The logged error, while it still holds.
    complaint: Option<String>,
}

/// Facts that change when the file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T> Reload<T> {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn load(
        path: &Path,
        parse: impl Fn(&Arc<Path>, &str) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let path: Arc<Path> = path.into();
        let (stamp, text) = read(&path)?;
        let value = Arc::new(parse(&path, &text)?);
        let reload = Self::starting_with(&path, value, parse);
        reload.state.lock().stamp = stamp;
        Ok(reload)
    }

    /// Of a file that was read already: `value` is in force until the first look finds another.
    pub fn starting_with(
        path: &Path,
        value: Arc<T>,
        parse: impl Fn(&Arc<Path>, &str) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            path: path.into(),
            parse: Box::new(parse),
            state: Mutex::new(FileState {
                value,
                stamp: None,
                looked: Instant::now(),
                complaint: None,
            }),
        }
    }

    /// The value in force.
    pub fn current(&self) -> Arc<T> {
        let mut state = self.state.lock();
        if state.looked.elapsed() >= CHECK_INTERVAL {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        state.value.clone()
    }

    /// As [`Reload::current`], but looks at the file in any case: for a task that looks at it by the
    /// clock.
    pub fn look_now(&self) -> Arc<T> {
        let mut state = self.state.lock();
        state.looked = Instant::now();
        self.look(&mut state);
        state.value.clone()
    }

    /// Why the file was not used at the last look; `None`: it was.
    pub fn problem(&self) -> Option<String> {
        self.state.lock().complaint.clone()
    }

    fn look(&self, state: &mut FileState<T>) {
        let unchanged =
            |stamp| fs::metadata(&self.path).is_ok_and(|now| FileStamp::of(&now) == stamp);
        if state.stamp.is_some_and(unchanged) {
            return;
        }
        let was_settled = state.stamp.is_some();
        match self.read_again(state) {
            Ok(()) => {
                if was_settled || state.complaint.is_some() {
                    info!(file = ?self.path, "read again");
                }
                state.complaint = None;
            }
            Err(error) => {
                let complaint = Some(match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                });
                if state.complaint != complaint {
                    let error = &error as &dyn std::error::Error;
                    error!(error, "the file is not used; what it said before holds");
                }
                state.complaint = complaint;
            }
        }
    }

    fn read_again(&self, state: &mut FileState<T>) -> Result<(), FileError> {
        let (stamp, text) = read(&self.path).inspect_err(|_| state.stamp = None)?;
        // Even if it is broken: it need not be read again until it changes.
        state.stamp = stamp;
        state.value = Arc::new((self.parse)(&self.path, &text)?);
        Ok(())
    }
}

impl<T: fmt::Debug> fmt::Debug for Reload<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Reload");
        shown.field("path", &self.path).field("state", &self.state);
        shown.finish_non_exhaustive()
    }
}

fn read(path: &Arc<Path>) -> Result<(Option<FileStamp>, String), FileError> {
    read_text(path).map_err(|source| FileError::Unreadable {
        path: path.clone(),
        source,
    })
}

fn read_text(path: &Path) -> io::Result<(Option<FileStamp>, String)> {
    // Before it is opened: opening a FIFO waits for its writer.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES {
        let message = format!("it has more than {FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    let age = metadata
        .modified()
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    let settled = age.is_some_and(|age| age >= RECENT_CHANGE_LIMIT);
    Ok((settled.then(|| FileStamp::of(&metadata)), text))
}

impl FileStamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
