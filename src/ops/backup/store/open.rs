//! What a store is opened with.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, RetryConfig};

use crate::config::AwsVariables;

/// Tries of one request: a store that is down for longer is an error, and the next backup
/// has its own. The library begins no other try past this.
const RETRY_LIMIT: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// One request to S3, its body included: the 16 MiB of a part at 140 KiB a second.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// A directory, which is created if missing.
pub(super) fn directory(path: &Path) -> object_store::Result<LocalFileSystem> {
    // So that other accounts cannot read the workspaces.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| object_store::Error::Generic {
        store: "directory",
        source: error.into(),
    })?;
    let directory = LocalFileSystem::new_with_prefix(path)?;
    // So that a reported backup survives a power cut.
    Ok(directory.with_fsync(true).with_automatic_cleanup(true))
}

/// A bucket, with the variables that every program for S3 reads.
pub(super) fn bucket(bucket: &str, aws: &AwsVariables) -> object_store::Result<AmazonS3> {
    let retry = RetryConfig {
        max_retries: RETRY_LIMIT,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_client_options(ClientOptions::new().with_timeout(REQUEST_TIMEOUT))
        .with_retry(retry);
    for (name, value) in &aws.0 {
        // Only the AWS_* variables that the library knows; the others are for other programs.
        if let Ok(key) = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase()) {
            builder = builder.with_config(key, value);
        }
        // An endpoint without TLS is allowed if it is named explicitly.
        if name.starts_with("AWS_ENDPOINT") && value.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
    }
    builder.build()
}
