//! Where backups go, how often they are made, and how many are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::bind::PATH_BYTES;
use super::choices::switch;
use super::environment::Environment;
use super::error::ConfigError;
use super::layer::Layer;
use super::limits;
use super::setting::Setting as S;
use super::value_error::ValueError;

/// The backups of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSettings {
    /// Where they go.
    pub target: Option<BackupTarget>,
    /// How often a server makes one of each workspace; `None`: never. With an interval there is a
    /// target; [`limits::BACKUP_EVERY`].
    pub every: Option<Duration>,
    /// Which of them are kept.
    pub keep: Retention,
    /// Whether each new one is read again.
    pub verify: bool,
}

/// How many backups of one workspace are kept. The newest always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest ones; [`limits::BACKUP_KEEP_LAST`].
    pub last: u32,
    /// The newest of each of this many days that have one; [`limits::BACKUP_KEEP_OLDER`].
    pub daily: u32,
    /// The same of weeks.
    pub weekly: u32,
}

/// Where backups are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupTarget {
    /// A directory of this machine, with an absolute path.
    Directory(PathBuf),
    /// A bucket of S3, or of another service with its API.
    S3 {
        /// Its name.
        bucket: String,
        /// Prefix of the keys, without a `/` at either end.
        prefix: String,
    },
}

impl BackupSettings {
    pub(super) fn from_layer(given: &Layer) -> Result<Self, ConfigError> {
        let target = given.optional(S::BackupTarget)?;
        let every = given.value(S::BackupEvery, None, every)?;
        if every.is_some() && target.is_none() {
            let problem = "there is no backup_target where the backups go";
            return Err(ConfigError::setting(&given.origin(S::BackupEvery), problem));
        }
        Ok(Self {
            target,
            every,
            keep: Retention {
                last: given.bounded(S::BackupKeepLast)?,
                daily: given.bounded(S::BackupKeepDaily)?,
                weekly: given.bounded(S::BackupKeepWeekly)?,
            },
            verify: given.value(S::BackupVerify, true, switch)?,
        })
    }
}

fn every(text: &str) -> Result<Option<Duration>, ValueError> {
    match text {
        limits::NO_BACKUPS => Ok(None),
        _ => limits::BACKUP_EVERY.read(text).map(Some),
    }
}

const TARGET: ValueError =
    ValueError::Form("backups go to a directory or to `s3://bucket` or `s3://bucket/prefix`");

impl FromStr for BackupTarget {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = !text.is_empty() && !text.contains(|c: char| c.is_control());
        if !plain || text.len() > PATH_BYTES {
            return Err(TARGET);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3(rest).ok_or(TARGET);
        }
        // `gs://bucket` is not meant as a directory.
        if text.contains("://") {
            return Err(TARGET);
        }
        let path = std::path::absolute(text).map_err(|_| TARGET)?;
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

/// The variables that every program for S3 reads: keys, region, endpoint. They are not settings of
/// this server, so that secrets stay where the operator put them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AwsVariables(pub BTreeMap<String, String>);

impl AwsVariables {
    /// Takes those that are set.
    pub fn read(environment: &dyn Environment) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables = environment.variables().into_iter().filter_map(text);
        let ours = variables.filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        Self(ours.collect())
    }
}

/// Without the values, because one of them is a secret.
impl fmt::Debug for AwsVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
