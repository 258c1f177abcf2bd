//! What can be wrong with the settings. Every message names the place, so that it can be corrected
//! without looking for it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::bind::PATH_BYTES;
use super::origin::{FileLocation, Origin};
use super::setting::Setting;
use crate::identity::{IdentityError, User};

/// Characters of a value that an error repeats: enough to recognise it.
const EXCERPT_CHARS: usize = 64;

fn keys_per_user() -> String {
    let keys: Vec<_> = Setting::per_user().map(Setting::key).collect();
    keys.join(", ")
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A variable begins like ours and is none.
    #[error("unknown variable {name}; the nearest known one is {nearest}")]
    UnknownVariable {
        /// As given.
        name: Excerpt,
        /// The known one most like it.
        nearest: String,
    },
    /// A key of the file is not a setting.
    #[error("unknown key {key} in {place}; the nearest known one is {nearest}")]
    UnknownKey {
        /// As given.
        key: Excerpt,
        /// Where it stands.
        place: FileLocation,
        /// The known one most like it.
        nearest: String,
    },
    /// A `[[users]]` table has a setting that no user can have alone.
    #[error(
        "key {key} in {place}: it holds for all users; a user may have: {}",
        keys_per_user()
    )]
    NotPerUser {
        /// Of the setting.
        key: &'static str,
        /// Where it stands.
        place: FileLocation,
    },
    /// `users` is something else than tables.
    #[error("{place}: users are [[users]] tables, found {found}")]
    NotUserTables {
        /// Where it stands.
        place: FileLocation,
        /// TOML's word for what is there.
        found: &'static str,
    },
    /// A `[[users]]` table without its user.
    #[error("{0}: a [[users]] table needs the key user")]
    WhichUser(FileLocation),
    /// Two `[[users]]` tables of one user.
    #[error("{second}: {user} has a [[users]] table already, in line {}", first.line)]
    SameUser {
        /// Both are theirs.
        user: User,
        /// The upper one.
        first: FileLocation,
        /// The lower one.
        second: FileLocation,
    },
    /// A user in bind mode, and nothing to bind.
    #[error("{0}: mode bind needs bind_root or bind_dir, a directory of the host")]
    NothingToBind(Origin),
    /// A directory to bind, and nobody in bind mode.
    #[error("{0}: no user is in mode bind; set the mode to bind, or leave this out")]
    NobodyBinds(Origin),
    /// Two directories to bind.
    #[error("{dir}: bind_root is given too ({root}); only one of them may be")]
    RootAndDir {
        /// Of `bind_root`.
        root: Origin,
        /// Of `bind_dir`.
        dir: Origin,
    },
    /// `[backup]` is something else than a table.
    #[error("{place}: [backup] is a table, found {found}")]
    NotBackupTable {
        /// Where it stands.
        place: FileLocation,
        /// TOML's word for what is there.
        found: &'static str,
    },
    /// Backups by the clock, and nowhere to put them.
    #[error("{0}: there is no backup_target where the backups go")]
    BackupNowhere(Origin),
    /// A way to authenticate without what it needs.
    #[error("{auth}: {scheme} needs {} too", missing.key())]
    AuthWithout {
        /// Of `auth`.
        auth: Origin,
        /// As given there.
        scheme: &'static str,
        /// What was not given.
        missing: Setting,
    },
    /// What another way to authenticate takes: whoever gave it believes that it is in force.
    #[error("{origin}: it has no effect unless auth is {scheme}")]
    AuthUnused {
        /// Of the setting without effect.
        origin: Origin,
        /// The way that takes it.
        scheme: &'static str,
    },
    /// Where the directory to bind should be, there is none.
    #[error("{origin}: {}: {reason}; create the directory, or give another one", path.display())]
    NoDirectory {
        /// Where it was given.
        origin: Origin,
        /// The directory.
        path: PathBuf,
        /// What the kernel said. Part of the message, so not a `source` of it.
        reason: io::Error,
    },
    /// A value is bytes that are no text.
    #[error("{0}: the value is not valid UTF-8")]
    NotUtf8(Origin),
    /// A key holds a table, an array or a date.
    #[error("{origin}: expected text, a number or true or false, found {found}")]
    WrongType {
        /// Where it was given.
        origin: Origin,
        /// TOML's word for what is there.
        found: &'static str,
    },
    /// A value is not what its setting takes.
    #[error("{origin}: {value} is not allowed: {reason}")]
    BadValue {
        /// Where it was given.
        origin: Origin,
        /// As given.
        value: Excerpt,
        /// What the setting takes. Part of the message, so not a `source` of it.
        reason: Box<ValueError>,
    },
    /// The file cannot be read.
    #[error("cannot read the settings file {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where the parser was.
        place: FileLocation,
        /// What the parser said.
        message: String,
    },
}

/// Why a value is not what its setting takes.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ValueError {
    /// Outside its bounds.
    #[error("it goes from {least} to {most}")]
    OutOfBounds {
        /// In the setting's own unit.
        least: String,
        /// In the setting's own unit.
        most: String,
    },
    /// Not a size.
    #[error("a size is a whole number of b, k, m, g or t (powers of 1024), such as 512m")]
    Size,
    /// Not a number of CPUs.
    #[error("a number of CPUs has at most 9 decimals, such as 1.5")]
    Cpus,
    /// Not a number.
    #[error("a whole number is needed")]
    Number,
    /// Not a duration.
    #[error("a duration has a unit, such as 90s or 15m: {0}")]
    Duration(#[from] humantime::DurationError),
    /// Not one of a few words.
    #[error("it is one of: {}", .0.join(", "))]
    Choice(&'static [&'static str]),
    /// Not a directory that may be bound.
    #[error(
        "a directory of the host is an absolute path without `..` and control characters, \
         not `/` itself, of {PATH_BYTES} bytes at most"
    )]
    HostDir,
    /// Too short for how long files are kept.
    #[error("workspaces are kept for 1h at least, or with off for ever")]
    Retention,
    /// A sandbox may not run as one of these uids.
    #[error(
        "the {count} uids (uid_count) from this one on must be between {least} and {most}, \
         without 65534 and 65535"
    )]
    UidBase {
        /// How many there are to be.
        count: u32,
        /// The lowest that may be.
        least: u32,
        /// The highest.
        most: u32,
    },
    /// Not the path of a file.
    #[error("a file is named by a path without control characters, of {PATH_BYTES} bytes at most")]
    File,
    /// Not an address to listen on.
    #[error(
        "an address is `127.0.0.1:9464` or `[::1]:9464`, or a port of 127.0.0.1 such as `9464`"
    )]
    Address,
    /// Not a URL, or one without TLS.
    #[error(
        "a URL is `https://host/path` without user, query and fragment; `http` only with a \
         loopback address or localhost"
    )]
    Url,
    /// Not an audience.
    #[error("an audience is 1 to 1024 bytes without white space and control characters")]
    Audience,
    /// Not a name that a `Host` header can have.
    #[error(
        "a host is a name or an address, with or without a port, such as `mcp.example.com:8080`; several have commas between them"
    )]
    Host,
    /// Not an origin.
    #[error(
        "an origin is `https://host` or `https://host:port`, without a path; there is none for all; several have commas between them"
    )]
    WebOrigin,
    /// Not where backups can be.
    #[error("backups go to a directory or to `s3://bucket` or `s3://bucket/prefix`")]
    BackupTarget,
    /// Not an image.
    #[error("an image is named like `registry/name:tag`, in 255 characters at most")]
    Image,
    /// Not a filter of log lines.
    #[error("a log filter is a level such as `info`, or `target=level` with commas: {0}")]
    Log(String),
    /// Not a user or an instance.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// A value as an error shows it: quoted, escaped, its first 64 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Of this value.
    pub fn of(value: &str) -> Self {
        match value.char_indices().nth(EXCERPT_CHARS) {
            Some((end, _)) => Self(format!("{:?}…", &value[..end])),
            None => Self(format!("{value:?}")),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
