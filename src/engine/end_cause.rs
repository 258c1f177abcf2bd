//! Why an engine ends a container that nobody of ours has asked to end.

/// Why, as the engine says it. Docker gives no reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// Its node was short of memory, disk or processes.
    Evicted,
    /// A Pod of higher priority needed its room.
    Preempted,
    /// Its node is drained.
    Drained,
    /// Its node has a taint that it does not tolerate.
    Tainted,
    /// Its node was shut down.
    NodeShutdown,
    /// It is no longer as it was made: somebody has added a container or changed a field.
    Changed,
}

impl EndCause {
    /// One word, for the metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Preempted => "preempted",
            Self::Drained => "drained",
            Self::Tainted => "tainted",
            Self::NodeShutdown => "node_shutdown",
            Self::Changed => "changed",
        }
    }

    /// One sentence for the user, with the engine's own word.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Evicted => {
                "Kubernetes evicted the sandbox because its node was short of memory, disk or \
                 processes (Evicted)"
            }
            Self::Preempted => {
                "Kubernetes ended the sandbox to make room for a Pod of higher priority \
                 (PreemptionByScheduler)"
            }
            Self::Drained => {
                "Kubernetes ended the sandbox because its node is drained (EvictionByEvictionAPI)"
            }
            Self::Tainted => {
                "Kubernetes ended the sandbox because its node was tainted (DeletionByTaintManager)"
            }
            Self::NodeShutdown => "the sandbox's node was shut down (NodeShutdown)",
            Self::Changed => {
                "the sandbox was changed from outside, and was ended: somebody has added a \
                 container to it, or changed one of its fields"
            }
        }
    }
}
