use std::io;
use std::path::PathBuf;

/// Why a directory cannot be a workspace, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its files would belong to somebody else than it seems.
    #[error(
        "bind mode needs an Engine on this machine that runs as root without user \
         namespaces; this one {why}. Use the persistent mode"
    )]
    Engine {
        /// What it is instead.
        why: &'static str,
    },
    /// The system refuses.
    #[error("{}: {source}. Create the directory, or set another one", path.display())]
    Io {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of the path is a link.
    #[error("{} is reached through a link. Set its real path, {}", path.display(), real.display())]
    Link {
        /// The path from the settings.
        path: PathBuf,
        /// Where that leads.
        real: PathBuf,
    },
    /// It is no directory.
    #[error("{} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// It is more than a workspace.
    #[error("{} {why}. Set a directory that holds only the work", path.display())]
    Reserved {
        /// Which directory.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// Root, or the user that the bridge runs as, owns it.
    #[error(
        "{} belongs to uid {uid}, as whom no sandbox runs. Give it to the user whose files \
         these are: chown 1000:1000 {}", path.display(), path.display()
    )]
    Owner {
        /// Which directory.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// The Engine's API takes text.
    #[error("{}: the path is not UTF-8", .0.display())]
    NotText(PathBuf),
}
