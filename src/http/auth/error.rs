//! Errors of the settings of authentication.

use thiserror::Error;

use crate::config::FileError;
use crate::http::https::TlsError;
use crate::identity::GroupName;

/// Why callers cannot be authenticated.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The file of the tokens or of the keys.
    #[error(transparent)]
    File(#[from] FileError),
    /// Several users, but one directory for all of them.
    #[error(
        "bind_dir is one directory, for the one user of auth none; with more users set bind_root"
    )]
    OneDirectory,
    /// A group that can have no member, while its operator believes its settings in force.
    #[error("the group {0} asks for claims, which only access tokens have: set auth to jwt")]
    ClaimsWithoutTokens(GroupName),
    /// The keys could not be fetched safely.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
