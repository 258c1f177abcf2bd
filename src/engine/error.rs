//! Errors of an Engine.

use std::error::Error as StdError;
use std::time::Duration;

use super::difference::Difference;

/// A cause whose type is not part of the interface.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Characters of an Engine's own message that are kept: it may quote an image or a volume driver.
const MAX_MESSAGE: usize = 1000;

/// A failed call to the Engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No Engine was found. Lists the tried places and what to do.
    #[error("no Docker Engine was found: {tried}; start Docker, or set DOCKER_HOST")]
    NotFound {
        /// Each place with its problem.
        tried: String,
    },
    /// The address of the Engine cannot be used.
    #[error("the Engine's address {address} (from {found_by}) cannot be used: {reason}")]
    Address {
        /// The address as given.
        address: String,
        /// Where it was found.
        found_by: String,
        /// The problem, and what can be used.
        reason: String,
    },
    /// The Engine does not answer, or its answer broke off.
    #[error("the Engine at {address} does not answer")]
    Unavailable {
        /// Where it should be.
        address: String,
        /// What a caller can do, a sentence.
        remedy: &'static str,
        /// The error of the connection.
        #[source]
        source: Cause,
    },
    /// This process may not open the Engine's socket.
    #[error("this user may not use the Engine at {address} (permission denied); {remedy}")]
    Forbidden {
        /// Where it is.
        address: String,
        /// How to get the permission.
        remedy: String,
    },
    /// The cluster does not know this server's credentials, or not any more.
    #[error("the API server at {address} does not know this server's credentials: {message}")]
    Unauthenticated {
        /// Where it is.
        address: String,
        /// Its own words.
        message: String,
    },
    /// The Engine took too long. It may still carry out the request.
    #[error("the Engine did not finish `{call}` in {after:?}")]
    Deadline {
        /// The call.
        call: &'static str,
        /// How long it had.
        after: Duration,
    },
    /// The Engine has no such image and could not pull it.
    #[error("the Engine has no image {image} ({reason}); {remedy}")]
    ImageMissing {
        /// The image as it was named.
        image: String,
        /// Why it was not pulled.
        reason: String,
        /// How the Engine gets it.
        remedy: String,
    },
    /// The image exists, but no sandbox can be made from it.
    #[error("the image {image} cannot be used: {reason}")]
    ImageUnusable {
        /// The image as it was named.
        image: String,
        /// The property of the image, and why it is refused.
        reason: String,
    },
    /// The container's name is in use.
    #[error("the container name {name} is in use")]
    Conflict {
        /// The name.
        name: String,
    },
    /// Something of our name exists without our labels. It was not touched.
    #[error("the {kind} {name} exists but does not belong to this user; it was not touched")]
    Foreign {
        /// `volume`, `container` or `image`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is no such container or volume (any more).
    #[error("there is no {kind} {name}")]
    Missing {
        /// `volume` or `container`.
        kind: &'static str,
        /// Its name or id.
        name: String,
    },
    /// The container exists but does not run.
    #[error("the container {id} is not running")]
    NotRunning {
        /// Its name or id.
        id: String,
    },
    /// The volume is in use by a container.
    #[error("the volume {name} is in use")]
    InUse {
        /// Its name.
        name: String,
    },
    /// The Engine stored a container with less hardening than requested. It was removed.
    #[error(
        "the Engine stored the container {name} weaker than asked: {}{}",
        fields(.differences),
        and_then(.remedy.unwrap_or_default())
    )]
    Weakened {
        /// Its name.
        name: String,
        /// The differences.
        differences: Vec<Difference>,
        /// What an operator can do, where that is known.
        remedy: Option<&'static str>,
    },
    /// Its host would not enforce the limits of a sandbox. Nothing was made.
    #[error("the Engine cannot limit the {limits} of a sandbox, so none is started; {fix}")]
    Unlimited {
        /// Which limits.
        limits: String,
        /// What an operator can do.
        fix: &'static str,
    },
    /// It cannot run sandboxes by this runtime. Nothing was made.
    #[error("no sandbox of the profile high can be run by {runtime}: {reason}")]
    NoRuntime {
        /// As the settings name it.
        runtime: String,
        /// Why, and what an operator can do.
        reason: String,
    },
    /// The Engine stored protections of a running container that its kernel does not have.
    #[error(
        "the sandbox {name} lacks these protections, although the Engine accepted them: {protections}"
    )]
    Unreal {
        /// Its name.
        name: String,
        /// Each with what the kernel shows.
        protections: String,
    },
    /// The Engine could not run the program of an exec.
    #[error("the Engine could not run the program in the container: {message}")]
    Exec {
        /// The Engine's or the runtime's words.
        message: String,
    },
    /// The name is invalid, so it was not sent.
    #[error("{name:?} is no name of a {kind}")]
    Name {
        /// `volume`, `container` or `image`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The Engine's disk has too little space for the request.
    #[error("the Engine has no disk space left for `{call}` ({message})")]
    Full {
        /// The call.
        call: &'static str,
        /// The Engine's words: they name the file.
        message: String,
    },
    /// The Engine refused the call.
    #[error("the Engine refused `{call}` ({status}): {message}")]
    Refused {
        /// The call.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The Engine's words.
        message: String,
    },
    /// No node of the cluster takes the sandbox now.
    #[error("the cluster has no node for the sandbox {name} now: {message}")]
    Unschedulable {
        /// Its name.
        name: String,
        /// The scheduler's words.
        message: String,
    },
    /// The workspace's claim has no volume.
    #[error("the cluster has no volume for the claim {name} now: {message}")]
    ClaimPending {
        /// Its name.
        name: String,
        /// The cluster's words.
        message: String,
    },
    /// A quota, a limit range, a policy or a webhook of the cluster refuses the object.
    #[error("the cluster does not admit {name}: {message}")]
    NotAdmitted {
        /// Its name.
        name: String,
        /// The API server's words.
        message: String,
    },
    /// The node's kubelet cannot start the sandbox.
    #[error("the sandbox {name} does not start on its node: {message}")]
    NotStarted {
        /// Its name.
        name: String,
        /// The kubelet's words.
        message: String,
    },
    /// The node that had the workspace last is not known to have stopped.
    #[error(
        "the workspace {name} was last on node {node}, which is not known to have stopped using it \
         ({message}); when that node is back, or an operator says `casemate release`, it can be used"
    )]
    NodeLost {
        /// The name of the workspace's claim.
        name: String,
        /// The node.
        node: String,
        /// What is known of the node.
        message: String,
    },
    /// Only a cluster loses nodes.
    #[error("only on Kubernetes is a workspace released: no other Engine loses nodes")]
    OnlyOnKubernetes,
    /// The program was built without Kubernetes.
    #[error(
        "this casemate was built without Kubernetes: take the server's image, or build it with \
         `--features kubernetes`"
    )]
    NotBuilt,
    /// The backend of this Engine does not do this.
    #[error("{what} is not there on Kubernetes yet")]
    NotOnKubernetes {
        /// What was asked for.
        what: &'static str,
    },
    /// The Engine's answer was not understood.
    #[error("the Engine answered `{call}` with something unexpected")]
    Answer {
        /// The call.
        call: &'static str,
        /// The part that was not understood.
        #[source]
        source: Cause,
    },
}

impl EngineError {
    /// Whether the same call can succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Deadline { .. })
    }

    /// Whether a container that was made did not begin, for a reason that stays until something is changed.
    #[cfg(feature = "kubernetes")]
    pub(super) fn is_failed_start(&self) -> bool {
        matches!(
            self,
            Self::ImageMissing { .. }
                | Self::ImageUnusable { .. }
                | Self::NotStarted { .. }
                | Self::Unschedulable { .. }
                | Self::ClaimPending { .. }
                | Self::Deadline { call: "start", .. }
        )
    }

    /// The kind of failure for the metrics; `None`: the Engine served the request, but the object
    /// is missing or in use.
    pub(super) fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable { .. } => Some("unavailable"),
            Self::Forbidden { .. } | Self::Unauthenticated { .. } => Some("forbidden"),
            Self::Deadline { .. } => Some("deadline"),
            Self::Full { .. } => Some("full"),
            Self::Answer { .. } => Some("answer"),
            Self::NotAdmitted { .. } => Some("refused"),
            Self::Refused {
                status: 404 | 409, ..
            } => None,
            Self::Refused { .. } => Some("refused"),
            _ => None,
        }
    }

    /// The HTTP status, if the Engine refused.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// `text` without a trailing line end, at most [`MAX_MESSAGE`] characters of it.
pub(super) fn shorten(text: &str) -> String {
    text.trim_end().chars().take(MAX_MESSAGE).collect()
}

/// After what failed: what can be done, if anything is known.
fn and_then(remedy: &str) -> String {
    match remedy {
        "" => String::new(),
        remedy => format!("; {remedy}"),
    }
}

fn fields(differences: &[Difference]) -> String {
    let names: Vec<_> = differences
        .iter()
        .map(|difference| difference.field.as_str())
        .collect();
    names.join(", ")
}
