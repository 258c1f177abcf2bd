//! Settings that are one of a few words.

use std::str::FromStr;

use super::error::ValueError;

/// How a user's container and workspace live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One container a user, long-running, over a named volume.
    Persistent,
    /// A container is used up by one command; the named volume outlives it.
    Ephemeral,
    /// One container a user, long-running, over a directory of the host.
    Bind,
}

/// Which halves a tool result has. Some clients give the model only one of them, others both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// `content` and, where the tool has it, `structuredContent`.
    Both,
    /// `content` alone: half the tokens with a client that passes both on.
    Text,
}

/// Which tools clients see: every tool's description costs tokens in every conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSet {
    /// All of them.
    All,
    /// `shell_exec`, `write_file`, `read_file`, `list_files`.
    Core,
}

/// How the callers of an HTTP server show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// Not at all: one user, on a loopback address.
    None,
    /// By tokens whose digests are in a file.
    Tokens,
    /// By the access tokens of an OAuth authorization server.
    Jwt,
}

/// What a switch takes; the first is the default.
pub const SWITCH: [&str; 2] = ["on", "off"];

/// What a switch takes that is off by default.
pub const SWITCH_OFF: [&str; 2] = ["off", "on"];

impl Mode {
    /// All of them in words; the first is the default.
    pub const WORDS: [&str; 3] = ["persistent", "ephemeral", "bind"];

    /// The word for it in settings and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Persistent => "persistent",
            Self::Ephemeral => "ephemeral",
            Self::Bind => "bind",
        }
    }
}

impl FromStr for Mode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "persistent" => Ok(Self::Persistent),
            "ephemeral" => Ok(Self::Ephemeral),
            "bind" => Ok(Self::Bind),
            _ => Err(ValueError::Choice(&Self::WORDS)),
        }
    }
}

impl Results {
    /// All of them in words; the first is the default.
    pub const WORDS: [&str; 2] = ["both", "text"];
}

impl FromStr for Results {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "both" => Ok(Self::Both),
            "text" => Ok(Self::Text),
            _ => Err(ValueError::Choice(&Self::WORDS)),
        }
    }
}

impl ToolSet {
    /// All of them in words; the first is the default.
    pub const WORDS: [&str; 2] = ["all", "core"];
}

impl FromStr for ToolSet {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "all" => Ok(Self::All),
            "core" => Ok(Self::Core),
            _ => Err(ValueError::Choice(&Self::WORDS)),
        }
    }
}

impl AuthScheme {
    /// All of them in words; the first is the default.
    pub const WORDS: [&str; 3] = ["none", "tokens", "jwt"];
}

impl FromStr for AuthScheme {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "none" => Ok(Self::None),
            "tokens" => Ok(Self::Tokens),
            "jwt" => Ok(Self::Jwt),
            _ => Err(ValueError::Choice(&Self::WORDS)),
        }
    }
}

/// TOML's own booleans come as `true` and `false`.
pub fn switch(text: &str) -> Result<bool, ValueError> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(ValueError::Choice(&SWITCH)),
    }
}
