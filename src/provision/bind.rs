//! Bind mode: a directory of the host as the workspace, for development. It is the only mode
//! that mounts something of the host, so the directory is checked first.
//!
//! Invariants:
//! - The sandbox runs as the directory's owner, and never as root or as the bridge.
//! - The path is the real one: no part of it is a link that could be changed later.
//! - Directories that hold more than a workspace are refused: `/`, homes, what is above
//!   them, the kernel's file systems and the Engine's own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::bind_error::BindError;
use super::error::SandboxError;
use crate::engine::{Engine, RunAs};

/// Kernel file systems and devices.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Where users and their homes are: passwd(5).
const PASSWD: &str = "/etc/passwd";

/// Where the directory is.
#[derive(Debug, Clone, Copy)]
pub enum BindTarget<'a> {
    /// This one. It exists.
    Exactly(&'a Path),
    /// In this one, which exists, under the user's own name; made when it is missing.
    Beneath(&'a Path, &'a str),
}

impl BindTarget<'_> {
    /// Tells two directories apart in a container's name: 32 bits, of a user's own few.
    pub fn short_hash(&self) -> String {
        let path = match self {
            Self::Exactly(path) => path.to_path_buf(),
            Self::Beneath(root, name) => root.join(name),
        };
        let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
        hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A directory that may be a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindSource {
    /// Its real path.
    pub path: String,
    /// Its owner.
    pub run_as: RunAs,
}

/// Finds or makes the directory, and looks at it.
///
/// # Errors
/// See [`BindError`]: each says what to do.
pub fn directory(
    place: BindTarget<'_>,
    protected: &ProtectedPaths,
) -> Result<BindSource, BindError> {
    let (BindTarget::Exactly(given) | BindTarget::Beneath(given, _)) = place;
    let real = real_directory(given)?;
    protected.check(&real)?;
    let path = match place {
        BindTarget::Exactly(_) => real,
        BindTarget::Beneath(_, name) => {
            let path = real.join(name);
            make(&path)?;
            // It may have been there, as a link.
            real_directory(&path)?
        }
    };
    let metadata = fs::metadata(&path).map_err(io_error(&path))?;
    let (uid, gid) = (metadata.uid(), metadata.gid());
    // Root's group would open what root shares with it.
    let group = if gid == 0 { uid } else { gid };
    let run_as = RunAs::new(uid, group);
    Ok(BindSource {
        run_as: run_as.ok_or_else(|| BindError::Owner {
            path: path.clone(),
            uid,
        })?,
        path: path
            .clone()
            .into_os_string()
            .into_string()
            .map_err(|_| BindError::NotText(path))?,
    })
}

/// As [`directory`], where the Engine can bind directories of this machine.
///
/// # Errors
/// [`BindError`], and the Engine's.
pub async fn on_engine(
    engine: &Engine,
    target: BindTarget<'_>,
) -> Result<BindSource, SandboxError> {
    if let Some(why) = engine.bind_refusal().await? {
        return Err(BindError::Engine { why }.into());
    }
    let capabilities = engine.capabilities().await?;
    let protected = ProtectedPaths::on_this_machine(&capabilities.root_dir);
    Ok(directory(target, &protected)?)
}

/// Made for the sandbox's usual user where the server runs as root, else for the server's own user.
fn make(path: &Path) -> Result<(), BindError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error(path)(error));
        }
        _ => {}
    }
    if rustix::process::geteuid().is_root() && is_unused(path).map_err(io_error(path))? {
        let (uid, gid) = (RunAs::DEFAULT.uid(), RunAs::DEFAULT.gid());
        lchown(path, Some(uid), Some(gid)).map_err(io_error(path))?;
    }
    Ok(())
}

/// Just made, or by a server that was killed before it could give it away.
fn is_unused(path: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(metadata.is_dir() && metadata.uid() == 0 && fs::read_dir(path)?.next().is_none())
}

fn real_directory(path: &Path) -> Result<PathBuf, BindError> {
    let real = fs::canonicalize(path).map_err(io_error(path))?;
    if real != path {
        return Err(BindError::Link {
            path: path.to_owned(),
            real,
        });
    }
    if !real.is_dir() {
        return Err(BindError::NotDirectory(real));
    }
    Ok(real)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> BindError {
    let path = path.to_owned();
    move |source| BindError::Io { path, source }
}

/// Directories that hold more than a workspace.
#[derive(Debug)]
pub struct ProtectedPaths {
    homes: Vec<PathBuf>,
    engine: Option<PathBuf>,
}

impl ProtectedPaths {
    /// Of this machine, whose Engine keeps its own in `engine`.
    pub fn on_this_machine(engine: &str) -> Self {
        let users = fs::read_to_string(PASSWD).unwrap_or_default();
        Self {
            homes: homes(&users),
            // Every path starts with an empty one.
            engine: (!engine.is_empty()).then(|| PathBuf::from(engine)),
        }
    }

    fn check(&self, path: &Path) -> Result<(), BindError> {
        let overlaps = |other: &PathBuf| path.starts_with(other) || other.starts_with(path);
        let home = self.homes.iter().find(|home| home.starts_with(path));
        let why = if path == Path::new("/") {
            "is the whole machine".to_owned()
        } else if KERNEL.iter().any(|kernel| path.starts_with(kernel)) {
            "is the kernel's".to_owned()
        } else if self.engine.iter().any(overlaps) {
            "holds the Engine's own files".to_owned()
        } else if let Some(home) = home {
            format!("is or holds a home directory, {}", home.display())
        } else {
            return Ok(());
        };
        Err(BindError::Reserved {
            path: path.to_owned(),
            why,
        })
    }
}

/// The sixth field of each line, except `/` and paths that are not absolute.
fn homes(passwd: &str) -> Vec<PathBuf> {
    let fields = passwd.lines().filter_map(|line| line.split(':').nth(5));
    fields
        .map(PathBuf::from)
        .filter(|home| home.parent().is_some() && home.is_absolute())
        .collect()
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
