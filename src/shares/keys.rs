//! The keys that sign links: those of a file that the operator gives, so that several servers open
//! each other's links, or one that this server makes once.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use super::id::ShareId;
use super::link::LinkKey;
use crate::config::{FileError, Reload};

/// Keys of a file: the one that signs, and the one that it replaces. With more of them a key that
/// was given up would be good for links for ever.
const KEYS_LIMIT: usize = 2;

/// The file with the key that a server makes, in its state directory.
const FILE_NAME: &str = "link-key";

/// The first one signs, all are good for a link.
type Keys = Vec<LinkKey>;

/// The keys of a deployment.
pub struct LinkKeys {
    /// Where a key is made; `None`: it is the operator's.
    make_in: Option<PathBuf>,
    file: PathBuf,
    /// `None`: nothing was signed yet, and there may be no file.
    loaded: Mutex<Option<Arc<Reload<Keys>>>>,
}

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum LinkKeyError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key cannot be made.
    #[error("cannot make {path:?}")]
    Make {
        /// Its file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// Others could read the key.
    #[error("{path:?} must be a file of this server's user, with mode 0600")]
    Exposed {
        /// Its file.
        path: PathBuf,
    },
}

impl LinkKeys {
    /// Those in the operator's file. Blocks on it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn of_file(file: &Path) -> Result<Self, FileError> {
        let keys = Reload::load(file, parse)?;
        Ok(Self {
            make_in: None,
            file: file.to_owned(),
            loaded: Mutex::new(Some(Arc::new(keys))),
        })
    }

    /// One that is made in this directory when the first link is.
    pub fn made_in(directory: &Path) -> Self {
        Self {
            make_in: Some(directory.to_owned()),
            file: directory.join(FILE_NAME),
            loaded: Mutex::new(None),
        }
    }

    /// The key that signs. Blocks on the disk where one is made.
    ///
    /// # Errors
    /// [`LinkKeyError`].
    pub fn signing(&self) -> Result<LinkKey, LinkKeyError> {
        let keys = match self.load() {
            Ok(keys) => keys,
            Err(error) => match &self.make_in {
                Some(directory) if !self.file.exists() => {
                    let made = make(directory, &self.file);
                    made.map_err(|source| LinkKeyError::Make {
                        path: self.file.clone(),
                        source,
                    })?;
                    self.load()?
                }
                _ => return Err(error),
            },
        };
        // A file without a key was refused above.
        Ok(keys[0].clone())
    }

    /// The keys that links are checked with; none where nothing was ever signed.
    pub fn checking(&self) -> Arc<Keys> {
        self.load().unwrap_or_default()
    }

    fn load(&self) -> Result<Arc<Keys>, LinkKeyError> {
        let mut loaded = self.loaded.lock();
        if let Some(keys) = &*loaded {
            return Ok(keys.current());
        }
        check_owner(&self.file)?;
        let keys = Arc::new(Reload::load(&self.file, parse)?);
        *loaded = Some(keys.clone());
        Ok(keys.current())
    }
}

/// A key that another user of the machine could read or had put there would sign their links too.
/// A missing file is an error of the reader.
fn check_owner(file: &Path) -> Result<(), LinkKeyError> {
    let Ok(found) = file.symlink_metadata() else {
        return Ok(());
    };
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    match found.is_file() && is_ours && found.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(LinkKeyError::Exposed {
            path: file.to_owned(),
        }),
    }
}

/// Makes the file with a key in it, or leaves the one that another server makes at the same time.
fn make(directory: &Path, file: &Path) -> io::Result<()> {
    let mut secret = [0; LinkKey::BYTES];
    getrandom::fill(&mut secret)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    // Whole or not at all: it gets its name when it has been written.
    let random = ShareId::random()?;
    let temporary = directory.join(format!(".{FILE_NAME}-{random}"));
    let made = write(&temporary, &secret).and_then(|()| std::fs::hard_link(&temporary, file));
    std::fs::remove_file(&temporary)?;
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn write(file: &Path, secret: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut made: File = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    writeln!(made, "{}", STANDARD.encode(secret))?;
    made.sync_all()
}

fn parse(path: &Arc<Path>, text: &str) -> Result<Keys, FileError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Option<Keys> = lines
        .map(|line| LinkKey::new(&STANDARD.decode(line).ok()?))
        .collect();
    keys.filter(|keys| (1..=KEYS_LIMIT).contains(&keys.len()))
        .ok_or_else(|| FileError::Whole {
            path: path.clone(),
            message: format!(
                "it must have 1 or {KEYS_LIMIT} keys of links, one a line, each {} bytes in base64; \
                 `head -c {} /dev/urandom | base64` makes one",
                LinkKey::BYTES,
                LinkKey::BYTES
            ),
        })
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkKeys")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
