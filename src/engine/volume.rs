//! A volume, as plain data.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::error::EngineError;
use super::labels::{Labels, REMADE, UID};
use super::rfc3339::parse_rfc3339;
use super::uids::RunAs;

/// One volume, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSummary {
    /// Its name.
    pub name: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made, RFC 3339, where the driver says so.
    pub created: Option<String>,
}

impl VolumeSummary {
    /// The uid of its user, if its label names one: [`UID`].
    pub fn uid(&self) -> Option<u32> {
        self.labels.get(UID)?.parse().ok()
    }

    /// Whom its user's code runs as.
    pub fn run_as(&self) -> RunAs {
        RunAs::of(self.uid())
    }

    /// Itself, where it has this owner's labels.
    ///
    /// # Errors
    /// [`EngineError::Foreign`].
    pub(super) fn owned_by(self, labels: &Labels) -> Result<Self, EngineError> {
        match labels.is_same_owner(&self.labels) {
            true => Ok(self),
            false => Err(EngineError::Foreign {
                kind: "volume",
                name: self.name,
            }),
        }
    }

    /// Whether the Engine made it in place of one that was gone: [`REMADE`].
    pub fn is_remade(&self) -> bool {
        self.labels.contains_key(REMADE)
    }

    /// When it was made.
    pub fn created_at(&self) -> Option<SystemTime> {
        parse_rfc3339(self.created.as_deref()?)
    }
}

/// How a user's workspace is kept from filling the disk that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Each volume has a size.
    Volume,
    /// Only the size of a file is limited: many files can fill the disk.
    None,
}
