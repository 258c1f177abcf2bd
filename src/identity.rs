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
mod shown;
mod workspace;
mod workspace_hash;

use std::fmt::{self, Write as _};
use std::str::FromStr;

pub use group::{GROUP_CHARS, GroupName, Identity};
pub use shown::shown;
pub use workspace::{WORKSPACE_CHARS, WorkspaceId, WorkspaceName};
pub use workspace_hash::{WorkspaceHash, from_hex};

use thiserror::Error;

/// Longest subject or issuer, in bytes. OpenID Connect Core section 2 keeps a subject below 256
/// ASCII characters and an issuer is a URL; both become label values, which every listing of the
/// Engine repeats.
pub const ID_BYTES: usize = 1_024;

/// Longest instance, in characters: with it a sandbox name stays below 100.
pub const INSTANCE_CHARS: usize = 32;

/// Longest readable part of a sandbox name, in characters: for people who read `docker ps`.
pub const SLUG_CHARS: usize = 24;

/// Bytes of the hash that a sandbox name shows, as twice as many hexadecimal digits: two of a
/// million users with the same slug meet with a chance of 1 in 560, and the labels then keep
/// them apart.
const HASH_BYTES: usize = 6;

/// The same of a workspace that has a name. Users choose that name freely, so one could search for a
/// name whose first 48 bits are another user's. The greater length also keeps it from all users' own.
const NAMED_HASH_BYTES: usize = 16;

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

/// One thing that a credential may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The tools, over MCP and at `/v1/exec`.
    Tools,
    /// The workspace's files, over plain HTTP.
    Files,
}

/// The scopes of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    /// The tools, over MCP and at `/v1/exec`.
    pub tools: bool,
    /// The workspace's files, over plain HTTP.
    pub files: bool,
}

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self {
        tools: true,
        files: true,
    };

    /// Nothing.
    pub const NONE: Self = Self {
        tools: false,
        files: false,
    };

    /// These and one more.
    #[must_use]
    pub fn with(mut self, scope: Scope) -> Self {
        match scope {
            Scope::Tools => self.tools = true,
            Scope::Files => self.files = true,
        }
        self
    }

    /// The scopes that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tools: self.tools && other.tools,
            files: self.files && other.files,
        }
    }

    /// Whether `scope` is among them.
    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Tools => self.tools,
            Scope::Files => self.files,
        }
    }
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tools, Self::Files];

    /// The word for it, in files and in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Files => "files",
        }
    }

    /// The scope with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// Namespace of names and labels: deployments and test runs share an Engine.
/// `[a-z0-9][a-z0-9_-]{0,31}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(String);

/// Name of a workspace's container and volume. Valid for both: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`
/// (moby, `daemon/names/names.go`), 99 characters at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxName {
    full: String,
    /// Where the user's part begins.
    user_at: usize,
}

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

impl SandboxName {
    /// The name of the sandbox of `workspace` in `instance`.
    pub fn new(instance: &Instance, workspace: &WorkspaceId) -> Self {
        let slug = slug(workspace.user.subject.as_str());
        let bytes = match &workspace.name {
            None => HASH_BYTES,
            Some(_) => NAMED_HASH_BYTES,
        };
        let hex = hex(&workspace.digest().as_ref()[..bytes]);
        let prefix = format!("casemate-{}-", instance.as_str());
        Self {
            full: format!("{prefix}{slug}-{hex}"),
            user_at: prefix.len(),
        }
    }

    /// The name, for the Engine.
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// The part that identifies user and workspace, the same in every instance:
    /// `<slug>-<12 hex digits>`, or 32 for a workspace with a name.
    pub fn user_part(&self) -> &str {
        &self.full[self.user_at..]
    }
}

/// Bytes as hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The readable part of a subject: its ASCII letters and digits in lower case, with one `-` for
/// everything between them. Several subjects may share one.
fn slug(subject: &str) -> String {
    let words: Vec<&str> = subject
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut slug = words.join("-").to_ascii_lowercase();
    slug.truncate(SLUG_CHARS);
    match slug.trim_end_matches('-') {
        "" => "user".to_owned(),
        slug => slug.to_owned(),
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

impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

#[cfg(test)]
mod tests;
