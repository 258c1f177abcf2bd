//! What a result says about the sandbox itself.

use schemars::JsonSchema;
use serde::Serialize;

use crate::sandbox::{EMPTIED, KEPT, LOST, Note};

/// The `sandbox` field of a result. Present only when there is something to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// What happened in the sandbox besides, since the call before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
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
        Self::new(Some(note), Vec::new()).unwrap_or_default()
    }
}

impl SandboxNote {
    /// `None` when there is nothing to say.
    pub fn new(note: Option<Note>, notices: Vec<String>) -> Option<Self> {
        if note.is_none() && notices.is_empty() {
            return None;
        }
        let restarted = match note {
            Some(Note::Restarted(reason)) => Some((reason, (LOST, KEPT))),
            Some(Note::Emptied(reason)) => Some((reason, EMPTIED)),
            Some(Note::OtherSettings) | None => None,
        };
        let restarted = restarted.map(|(reason, (lost, kept))| Restarted {
            reason: reason.sentence().to_owned(),
            lost: lost.to_owned(),
            kept: kept.to_owned(),
        });
        let other_settings = (note == Some(Note::OtherSettings)).then_some(true);
        Some(Self {
            restarted,
            other_settings,
            notices,
        })
    }

    /// The same as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let restarted = self.restarted.as_ref().map(|restarted| {
            let Restarted { reason, lost, kept } = restarted;
            format!("[sandbox restarted: {reason}; lost: {lost}; kept: {kept}]")
        });
        let settings = self
            .other_settings
            .map(|_| "[the sandbox still has other settings than this server]".to_owned());
        let notices = self.notices.iter().map(|notice| format!("[{notice}]"));
        restarted
            .into_iter()
            .chain(settings)
            .chain(notices)
            .collect()
    }
}
