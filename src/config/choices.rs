//! Settings that are one of a few words.

use std::str::FromStr;

use super::value_error::ValueError;

/// Makes an enum whose variants are words of a setting, from one list.
macro_rules! words {
    (
        $(#[$enum_doc:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$enum_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All words; the first is the default.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(ValueError::Choice(Self::WORDS)),
                }
            }
        }
    };
}

words! {
    /// Lifetime of a user's container and workspace. The words are also labels.
    pub enum Mode {
        /// One long-running container per user, over a named volume.
        Persistent = "persistent",
        /// Each command has a new container; the named volume outlives it.
        Ephemeral = "ephemeral",
        /// One long-running container per user, over a directory of the host.
        Bind = "bind",
    }
}

words! {
    /// What sandboxes are made on.
    pub enum EngineChoice {
        /// Kubernetes in a Pod with a service account, else Docker.
        Auto = "auto",
        /// A Docker Engine, or Podman.
        Docker = "docker",
        /// A Kubernetes cluster.
        Kubernetes = "kubernetes",
    }
}

words! {
    /// What stands between the code of a sandbox and the host's kernel.
    pub enum Profile {
        /// The Engine's default runtime: a container, whose kernel is the host's.
        Standard = "standard",
        /// The runtime that `runtime` names: gVisor, with a kernel of its own.
        High = "high",
    }
}

words! {
    /// Whether an access token has to have the claims that `[[groups]]` ask for.
    pub enum GroupsClaim {
        /// Without one, its requests are refused.
        Required = "required",
        /// Without one, its user is not in that group.
        Optional = "optional",
    }
}

words! {
    /// The forms of a tool result. Some clients give the model only one of them, others both.
    pub enum Results {
        /// `content`, and `structuredContent` where the tool has it.
        Both = "both",
        /// Only `content`: half the tokens with a client that passes both on.
        Text = "text",
    }
}

words! {
    /// The tools that clients see: every description costs tokens in every conversation.
    pub enum ToolSet {
        /// All of them.
        All = "all",
        /// `shell_exec`, `write_file`, `read_file`, `list_files`: without `edit_file` and `share`.
        Core = "core",
    }
}

words! {
    /// How the callers of an HTTP server authenticate.
    pub enum AuthScheme {
        /// Not at all: one user, on a loopback address.
        None = "none",
        /// By tokens whose digests are in a file.
        Tokens = "tokens",
        /// By the access tokens of an OAuth authorization server.
        Jwt = "jwt",
    }
}

/// The words of a switch; the first is the default.
pub const SWITCH: &[&str] = &["on", "off"];

/// The words of a switch that is off by default.
pub const SWITCH_OFF: &[&str] = &["off", "on"];

/// TOML's booleans arrive as `true` and `false`.
pub fn switch(text: &str) -> Result<bool, ValueError> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(ValueError::Choice(SWITCH)),
    }
}
