//! Where backups go, when, and how many stay.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::bind::PATH_BYTES;
use super::choices::switch;
use super::environment::Environment;
use super::error::{ConfigError, ValueError};
use super::limits;
use super::raw::Layer;
use super::setting::Setting as S;
use super::units::Quantity as _;

/// The backups of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSettings {
    /// Where they go.
    pub target: Option<BackupTarget>,
    /// How often a server makes one of each workspace; `None`: it makes none. There is a target
    /// then; [`limits::BACKUP_EVERY`].
    pub every: Option<Duration>,
    /// Which stay.
    pub keep: Retention,
    /// Whether each is read again when it is made.
    pub verify: bool,
}

/// How many backups of one workspace stay. The newest always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest ones; [`limits::BACKUP_KEEP_LAST`].
    pub last: u32,
    /// The newest of each of so many days that have one; [`limits::BACKUP_KEEP_OLDER`].
    pub daily: u32,
    /// The same of weeks.
    pub weekly: u32,
}

/// Where backups are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupTarget {
    /// A directory of this machine, with an absolute path.
    Directory(PathBuf),
    /// A bucket of S3, or of what speaks like it.
    S3 {
        /// Its name.
        bucket: String,
        /// What the keys begin with, without a `/` at either end.
        prefix: String,
    },
}

impl BackupSettings {
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        let target = given.optional(S::BackupTarget)?;
        let every = given.value(S::BackupEvery, None, every)?;
        if every.is_some() && target.is_none() {
            let every = given.get(S::BackupEvery);
            let origin = every.map_or(super::Origin::Default, |given| given.origin.clone());
            return Err(ConfigError::BackupNowhere(origin));
        }
        Ok(Self {
            target: target.map(|(target, _)| target),
            every,
            keep: Retention {
                last: given.bounded(S::BackupKeepLast, limits::BACKUP_KEEP_LAST)?,
                daily: given.bounded(S::BackupKeepDaily, limits::BACKUP_KEEP_OLDER)?,
                weekly: given.bounded(S::BackupKeepWeekly, limits::BACKUP_KEEP_OLDER)?,
            },
            verify: given.value(S::BackupVerify, true, switch)?,
        })
    }
}

fn every(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == NEVER {
        return Ok(None);
    }
    let every = Duration::read(text)?;
    let bounds = limits::BACKUP_EVERY;
    if bounds.contains(&every) {
        return Ok(Some(every));
    }
    Err(ValueError::OutOfBounds {
        least: bounds.least.show(),
        most: bounds.most.show(),
    })
}

/// No backups.
pub const NEVER: &str = "never";

impl FromStr for BackupTarget {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = !text.is_empty() && !text.contains(|c: char| c.is_control());
        if !plain || text.len() > PATH_BYTES {
            return Err(ValueError::BackupTarget);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3(rest).ok_or(ValueError::BackupTarget);
        }
        // `gs://bucket` is no directory that anybody means.
        if text.contains("://") {
            return Err(ValueError::BackupTarget);
        }
        let path = std::path::absolute(text).map_err(|_| ValueError::BackupTarget)?;
        Ok(Self::Directory(path))
    }
}

/// The names of buckets: Amazon S3 User Guide, "General purpose bucket naming rules".
fn s3(rest: &str) -> Option<BackupTarget> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    let prefix = prefix.trim_matches('/');
    let clean = prefix.is_empty()
        || prefix
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."));
    let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(inner);
    (is_bucket && clean).then(|| BackupTarget::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

impl fmt::Display for BackupTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// The variables that every program for S3 reads: keys, region, endpoint. They are no settings of
/// ours, and no file has them: a secret stays where its operator put it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AwsVariables(pub BTreeMap<String, String>);

impl AwsVariables {
    /// Those that are set.
    pub fn read(environment: &dyn Environment) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables = environment.variables().into_iter().filter_map(text);
        let ours = variables.filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        Self(ours.collect())
    }
}

/// Without the values: one of them is a secret.
impl fmt::Debug for AwsVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
