//! What was stored otherwise than wanted.

use std::fmt;

/// What a difference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// The container is less isolated than wanted, or may be: never use it.
    Hardening,
    /// Another bound, for example after the operator changed one.
    Limit,
    /// Another version, image or label: it is as safe.
    Identity,
}

/// One field that was stored otherwise than wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name in an inspect: `HostConfig.CapDrop`.
    pub field: String,
    /// The wanted value, as JSON, cut.
    pub wanted: String,
    /// The stored value, as JSON, cut.
    pub stored: String,
    /// What it means.
    pub kind: DifferenceKind,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            wanted,
            stored,
            ..
        } = self;
        write!(f, "{field} is {stored} instead of {wanted}")
    }
}
