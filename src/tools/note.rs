//! What a result says about the sandbox itself.

use schemars::JsonSchema;
use serde::Serialize;

use crate::sandbox::{KEPT, LOST, Note};

/// The `sandbox` field of a result. Present only when there is something to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SandboxNote {
    /// The container is a new one since the call before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Restarted")]
    pub restarted: Option<Restarted>,
    /// The running container has other settings than this server; it keeps them
    /// until it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub other_settings: Option<bool>,
}

/// Why the container is a new one, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restarted {
    /// Why the one before is gone.
    pub reason: String,
    /// What went with it.
    pub lost: String,
    /// What is still there.
    pub kept: String,
}

impl From<Note> for SandboxNote {
    fn from(note: Note) -> Self {
        match note {
            Note::Restarted(reason) => Self {
                restarted: Some(Restarted {
                    reason: reason.sentence().to_owned(),
                    lost: LOST.to_owned(),
                    kept: KEPT.to_owned(),
                }),
                other_settings: None,
            },
            Note::OtherSettings => Self { restarted: None, other_settings: Some(true) },
        }
    }
}

/// The same as one line of text.
pub fn line(note: &SandboxNote) -> String {
    match &note.restarted {
        Some(restarted) => format!(
            "[sandbox restarted: {}; lost: {}; kept: {}]",
            restarted.reason, restarted.lost, restarted.kept
        ),
        None => "[the sandbox still has other settings than this server]".to_owned(),
    }
}
