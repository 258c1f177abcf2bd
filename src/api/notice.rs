//! Notices about the sandbox itself, in a result.

use schemars::JsonSchema;
use serde::Serialize;

use crate::sandbox::{EMPTIED, KEPT, LOST, Notice};

/// The `sandbox` field of a result. Present only when there is something to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SandboxNotice {
    /// The container is new since the previous call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RestartNotice")]
    pub restarted: Option<RestartNotice>,
    /// The running container has other settings than this server; it keeps them
    /// until it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub other_settings: Option<bool>,
    /// What else happened in the sandbox since the previous call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// Why the container is new, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RestartNotice {
    /// Why the previous container is gone.
    pub reason: String,
    /// The things that were lost with it.
    pub lost: String,
    /// The things that are still there.
    pub kept: String,
}

impl From<Notice> for SandboxNotice {
    fn from(notice: Notice) -> Self {
        Self::new(Some(notice), Vec::new()).unwrap_or_default()
    }
}

impl SandboxNotice {
    /// `None` when there is nothing to say.
    pub fn new(notice: Option<Notice>, notices: Vec<String>) -> Option<Self> {
        if notice.is_none() && notices.is_empty() {
            return None;
        }
        let restarted = match notice {
            Some(Notice::Restarted(reason)) => Some((reason, (LOST, KEPT))),
            Some(Notice::Emptied(reason)) => Some((reason, EMPTIED)),
            Some(Notice::OtherSettings) | None => None,
        };
        let restarted = restarted.map(|(reason, (lost, kept))| RestartNotice {
            reason: reason.sentence().to_owned(),
            lost: lost.to_owned(),
            kept: kept.to_owned(),
        });
        let other_settings = (notice == Some(Notice::OtherSettings)).then_some(true);
        Some(Self {
            restarted,
            other_settings,
            notices,
        })
    }

    /// The same as lines of text.
    pub fn lines(&self) -> Vec<String> {
        let restarted = self.restarted.as_ref().map(|restarted| {
            let RestartNotice { reason, lost, kept } = restarted;
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
