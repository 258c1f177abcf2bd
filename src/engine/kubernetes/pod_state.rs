//! What a stored Pod says of itself: where it is in its life, and what is wrong. Pure.

use serde_json::Value;

use super::error::first_line;
use super::names::{PodId, annotations};
use super::pod::CONTAINER;
use super::verify::is_gated;
use crate::engine::error::EngineError;
use crate::engine::{Container, ContainerSummary, State, parse_rfc3339};

/// The exit code of PID 1 by the kubelet's word; `None`: it says that the Pod has ended, and not how, or
/// the container never began.
pub type ExitCode = Option<i64>;

/// Where a Pod is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodPhase {
    /// Held back until it was compared.
    Gated,
    /// Looks for a node, or begins there.
    Starting,
    /// Its container runs, as far as the API server knows.
    Running,
    /// Its containers have ended, by the word of its kubelet, or none can ever begin.
    Ended(ExitCode),
    /// Somebody says that it has ended, and its kubelet does not: its containers may run.
    Unconfirmed,
}

impl PodPhase {
    pub fn of(pod: &Value) -> Self {
        let (status, metadata) = (&pod["status"], &pod["metadata"]);
        let is_deleted = !metadata["deletionTimestamp"].is_null();
        let has_node = pod["spec"]["nodeName"]
            .as_str()
            .is_some_and(|node| !node.is_empty());
        let phase = status["phase"].as_str().unwrap_or_default();
        if !has_node {
            // No kubelet has seen it, and with a deletion no scheduler gives it one.
            return match is_deleted {
                true => Self::Ended(None),
                false if is_gated(pod) => Self::Gated,
                false => Self::Starting,
            };
        }
        match phase {
            "Succeeded" | "Failed" => match all_terminated(status) {
                true => Self::Ended(exit_code(status)),
                false => Self::Unconfirmed,
            },
            _ if is_deleted => Self::Unconfirmed,
            "Running" if is_up(status) => Self::Running,
            _ => Self::Starting,
        }
    }

    /// In the words of an Engine.
    pub fn state(&self) -> State {
        match self {
            Self::Gated => State::Created,
            // Who opens a channel to it waits.
            Self::Starting | Self::Running => State::Running,
            Self::Ended(_) => State::Exited,
            Self::Unconfirmed => State::Removing,
        }
    }
}

/// The kubelet writes how each container ended; nobody else does. A Pod that it refused never had one.
fn all_terminated(status: &Value) -> bool {
    let of = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let mut all = of("containerStatuses");
    all.extend(of("initContainerStatuses"));
    let is_refused = all.is_empty() && is_refused_by_kubelet(status);
    let has_ended = |one: &Value| {
        let never_began = one["started"] == false
            && one["state"]["waiting"]["reason"] == "PodInitializing"
            && one["containerID"].as_str().unwrap_or_default().is_empty();
        !one["state"]["terminated"].is_null() || never_began
    };
    // Of a Pod whose node object is gone, and of one that a controller says has failed, too.
    is_refused || (!all.is_empty() && all.iter().all(has_ended) && !is_by_controller(status))
}

/// Reasons that the kubelet gives before it starts anything (`pkg/kubelet/lifecycle`).
fn is_refused_by_kubelet(status: &Value) -> bool {
    let reason = status["reason"].as_str().unwrap_or_default();
    [
        "OutOf",
        "NodeAffinity",
        "UnexpectedAdmissionError",
        "Evicted",
        "NodeShutdown",
        "Preempting",
    ]
    .iter()
    .any(|known| reason.starts_with(known))
}

/// The garbage collector of Pods fails those of nodes that are gone: nobody has seen them end.
fn is_by_controller(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .any(|condition| condition["reason"] == "DeletionByPodGC" && condition["status"] == "True")
}

fn sandbox(status: &Value) -> Option<&Value> {
    let all = status["containerStatuses"].as_array()?;
    all.iter().find(|one| one["name"] == CONTAINER)
}

fn is_up(status: &Value) -> bool {
    sandbox(status).is_some_and(|one| !one["state"]["running"].is_null())
}

fn exit_code(status: &Value) -> ExitCode {
    sandbox(status)?["state"]["terminated"]["exitCode"].as_i64()
}

/// What the kubelet or PID 1 said at the end, for the log.
pub fn last_words(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let container = sandbox(status).map(|one| &one["state"]["terminated"]["message"]);
    let makers = status["initContainerStatuses"].as_array();
    let makers = makers
        .into_iter()
        .flatten()
        .map(|one| &one["state"]["terminated"]["message"]);
    let all = [&status["message"], &status["reason"]]
        .into_iter()
        .chain(container)
        .chain(makers);
    let mut texts = all
        .filter_map(Value::as_str)
        .filter(|text| !text.is_empty());
    texts
        .next()
        .map(|text| text.trim().lines().last().unwrap_or_default().to_owned())
}

/// What keeps a Pod from starting that will not pass by itself soon, or not at all.
pub fn obstacle(pod: &Value) -> Option<EngineError> {
    let name = PodId::of(pod).name;
    let status = &pod["status"];
    let all = ["initContainerStatuses", "containerStatuses"];
    let all = all
        .into_iter()
        .filter_map(|key| status[key].as_array())
        .flatten();
    for one in all {
        let waiting = &one["state"]["waiting"];
        let reason = waiting["reason"].as_str().unwrap_or_default();
        let message = first_line(waiting["message"].as_str().unwrap_or(reason));
        let image = one["image"].as_str().unwrap_or_default().to_owned();
        match reason {
            "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => {
                return Some(EngineError::ImageMissing {
                    image,
                    reason: message,
                    remedy: "bring it to a registry that nodes may pull from \
                             (kubernetes_image_pull_secrets)"
                        .to_owned(),
                });
            }
            "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "CrashLoopBackOff" => return Some(EngineError::NotStarted { name, message }),
            _ => {}
        }
        let ended = &one["state"]["terminated"];
        let words = ended["message"].as_str().unwrap_or_default();
        if ["StartError", "ContainerCannotRun"]
            .iter()
            .any(|known| ended["reason"] == *known)
        {
            return Some(match words.contains("no such file or directory") {
                true => not_prepared(image),
                false => EngineError::NotStarted {
                    name,
                    message: first_line(words),
                },
            });
        }
        if one["name"] != CONTAINER && ended["exitCode"].as_i64().is_some_and(|code| code != 0) {
            let message = match first_line(words) {
                words if words.is_empty() => format!("its workspace could not be made: {ended}"),
                words => words,
            };
            return Some(EngineError::NotStarted { name, message });
        }
    }
    None
}

fn not_prepared(image: String) -> EngineError {
    let reason = "casemate-init is not in it: on Kubernetes the image must be a prepared one, which \
                  `casemate prepare-image` makes (docs/kubernetes.md)";
    EngineError::ImageUnusable {
        image,
        reason: reason.to_owned(),
    }
}

/// Why a Pod that found no node in time did not.
pub fn unscheduled(pod: &Value) -> Option<EngineError> {
    let name = PodId::of(pod).name;
    let conditions = pod["status"]["conditions"].as_array();
    let of = conditions
        .into_iter()
        .flatten()
        .find(|one| one["type"] == "PodScheduled")?;
    if of["status"] != "False" {
        return None;
    }
    let message = first_line(of["message"].as_str().unwrap_or("no reason is given"));
    let is_claim = [
        "PersistentVolumeClaim",
        "persistentvolumeclaim",
        "volume node affinity",
    ];
    Some(match is_claim.iter().any(|word| message.contains(word)) {
        true => EngineError::ClaimPending { name, message },
        false => EngineError::Unschedulable { name, message },
    })
}

/// As inspect shows it.
pub fn container(pod: &Value) -> Container {
    let (phase, status) = (PodPhase::of(pod), &pod["status"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ended = sandbox(status).map(|one| &one["state"]["terminated"]["reason"]);
    Container {
        id: PodId::of(pod).to_string(),
        name: text(&pod["metadata"]["name"]),
        state: phase.state(),
        exit_code: match phase {
            PodPhase::Ended(code) => code,
            _ => None,
        },
        oom_killed: ended.is_some_and(|reason| reason == "OOMKilled"),
        created: text(&pod["metadata"]["creationTimestamp"]),
        started: text(&status["startTime"]),
        labels: annotations(pod),
        workspace_volume: claims(pod).into_iter().next(),
        stored: pod.clone(),
    }
}

/// As a list shows it.
pub fn summary(pod: &Value) -> ContainerSummary {
    let created = pod["metadata"]["creationTimestamp"].as_str();
    let created = created.and_then(parse_rfc3339);
    let created = created.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let seconds = created.map_or(0, |since| since.as_secs());
    ContainerSummary {
        id: PodId::of(pod).to_string(),
        name: PodId::of(pod).name,
        labels: annotations(pod),
        state: PodPhase::of(pod).state(),
        created: i64::try_from(seconds).unwrap_or(i64::MAX),
        volumes: claims(pod),
    }
}

/// The claims that it mounts.
pub fn claims(pod: &Value) -> Vec<String> {
    let volumes = pod["spec"]["volumes"].as_array();
    let name = |volume: &Value| {
        Some(
            volume["persistentVolumeClaim"]["claimName"]
                .as_str()?
                .to_owned(),
        )
    };
    volumes.into_iter().flatten().filter_map(name).collect()
}

#[cfg(test)]
#[path = "pod_state_tests.rs"]
mod tests;
