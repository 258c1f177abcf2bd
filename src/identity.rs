//! The identity of a caller, and the name of its sandbox.
//!
//! ```text
//! (issuer, subject) ──► User ──┐
//!   a workspace's name, if any ┼──► casemate-<instance>-<slug>-<12 hex, or 32 with a name>
//!                   instance ──┘
//! ```
//!
//! Invariants:
//!
//! - Exact bytes decide. Nothing is trimmed, folded or normalised: `a` and `a ` are two users, and
//!   so are the composed and the decomposed `é`. An id that cannot be kept exactly is refused.
//! - A name depends on instance, issuer, subject and workspace alone, so every server computes the
//!   same one. Without a workspace it is what it was before there were any.
//! - A name finds a sandbox but proves nothing: an attacker who can choose ids can make two that
//!   share 48 bits of hash. The labels with the full issuer, subject and workspace prove whose
//!   container it is.

mod group;
mod sandbox_name;
mod scope;
mod shown;
mod workspace;
mod workspace_hash;

use std::fmt;
use std::str::FromStr;

pub use group::{GROUP_CHARS, GroupName, Identity};
pub use sandbox_name::{SLUG_CHARS, SandboxName};
pub use scope::{Scope, Scopes};
pub use shown::shown;
pub use workspace::{WORKSPACE_CHARS, WorkspaceId, WorkspaceName};
pub use workspace_hash::{WorkspaceHash, from_hex, hex};

use thiserror::Error;

/// Longest subject or issuer, in bytes. OpenID Connect Core section 2 keeps a subject below 256
/// ASCII characters and an issuer is a URL; both become label values, which every listing of the
/// Engine repeats.
pub const ID_BYTES: usize = 1_024;

/// Longest instance, in characters: with it a sandbox name stays below 100.
pub const INSTANCE_CHARS: usize = 32;

/// Why a text is not an id. The text is not repeated: it may be long.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Nothing, or only white space.
    #[error("the {0} is blank")]
    Blank(&'static str),
    /// Above [`ID_BYTES`].
    #[error("the {what} has {bytes} bytes; at most {ID_BYTES} are allowed")]
    TooLong {
        /// `subject` or `issuer`.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// NUL, a line break or another control character (Unicode category Cc).
    #[error("the {what} contains the control character U+{code:04X}")]
    Control {
        /// `subject` or `issuer`.
        what: &'static str,
        /// The character.
        code: u32,
    },
    /// Not `[a-z0-9][a-z0-9_-]*`, or above [`INSTANCE_CHARS`].
    #[error(
        "an instance has 1 to {INSTANCE_CHARS} of the characters a-z, 0-9, `_` and `-`, \
         and begins with a letter or digit"
    )]
    Instance,
    /// Not `[a-z0-9][a-z0-9._-]*`, or above [`GROUP_CHARS`].
    #[error(
        "a group's name has 1 to {GROUP_CHARS} of the characters a-z, 0-9, `.`, `_` and `-`, and \
         begins with a letter or digit"
    )]
    Group,
    /// Empty, above [`WORKSPACE_CHARS`], with a control character, or with white space at an end.
    #[error(
        "a workspace's name has 1 to {WORKSPACE_CHARS} characters, no control characters, and no \
         white space at its ends"
    )]
    Workspace,
}

/// The id of a user at its issuer: 1 to [`ID_BYTES`] bytes, not blank, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

/// The authority for a subject: `local` for the user who launched the process, otherwise a URL.
/// Bounds as for [`Subject`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer(String);

/// One user: the same subject at two issuers is two users.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User {
    /// The authority for the subject.
    pub issuer: Issuer,
    /// The id at that issuer.
    pub subject: Subject,
}

/// The caller, as the credential of this request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose sandbox it is, which of theirs, and the group that decides what it is made with.
    pub identity: Identity,
    /// The scopes of the credential.
    pub scopes: Scopes,
}

/// Namespace of names and labels: deployments and test runs share an Engine.
/// `[a-z0-9][a-z0-9_-]{0,31}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(String);

impl Subject {
    /// The exact text, as in the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Issuer {
    /// The issuer of the user who launched the process, for stdio.
    pub fn local() -> Self {
        Self("local".to_owned())
    }

    /// The exact text, as in the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl User {
    /// The user of a stdio server.
    pub fn local(subject: Subject) -> Self {
        Self {
            issuer: Issuer::local(),
            subject,
        }
    }
}

impl Instance {
    /// The text, as in names and in the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Instance {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

fn checked(what: &'static str, text: &str) -> Result<String, IdentityError> {
    if text.len() > ID_BYTES {
        let bytes = text.len();
        return Err(IdentityError::TooLong { what, bytes });
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        let code = u32::from(control);
        return Err(IdentityError::Control { what, code });
    }
    if text.trim().is_empty() {
        return Err(IdentityError::Blank(what));
    }
    Ok(text.to_owned())
}

impl FromStr for Subject {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        checked("subject", text).map(Self)
    }
}

impl FromStr for Issuer {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        checked("issuer", text).map(Self)
    }
}

impl FromStr for Instance {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= INSTANCE_CHARS && text.bytes().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentityError::Instance)
        }
    }
}

/// Quoted and escaped: quotes, bidi controls and terminal tricks in an id cannot change the log
/// line or the message around it. The derived `Debug` escapes as well.
impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [subject, issuer] = [&self.subject.0, &self.issuer.0].map(|name| shown(name));
        write!(f, "\"{subject}\" of \"{issuer}\"")
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
