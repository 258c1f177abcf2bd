//! Why the text of one value is not allowed.

use thiserror::Error;

use crate::identity::IdentityError;

/// Why a value is not what its setting takes.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ValueError {
    /// Outside its bounds, which are in the setting's unit.
    #[error("it goes from {least} to {most}")]
    OutOfBounds {
        /// The lower bound.
        least: String,
        /// The upper bound.
        most: String,
    },
    /// Not in the form that this sentence describes. Each parser keeps its own.
    #[error("{0}")]
    Form(&'static str),
    /// Not one of a few words.
    #[error("it is one of: {}", .0.join(", "))]
    Choice(&'static [&'static str]),
    /// Not a duration.
    #[error("a duration has a unit, such as 90s or 15m: {0}")]
    Duration(#[from] humantime::DurationError),
    /// One of these uids is not allowed for sandboxes.
    #[error(
        "the {count} uids (uid_count) from this one on must be between {least} and {most}, and \
         must not include 65534 or 65535"
    )]
    UidBase {
        /// The number of uids.
        count: u32,
        /// The lowest that is allowed.
        least: u32,
        /// The highest that is allowed.
        most: u32,
    },
    /// Not a filter of log lines.
    #[error("a log filter is a level such as `info`, or `target=level` with commas: {0}")]
    Log(String),
    /// Not what a sandbox may reach.
    #[error(transparent)]
    Egress(#[from] casemate_egress::rules::Problem),
    /// Not a user or an instance.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}
