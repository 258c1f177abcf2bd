//! Why Kubernetes ended a Pod, by its status.

use serde_json::Value;

use crate::engine::EndCause;

/// `None`: Kubernetes says of no reason of its own.
pub fn end_cause(pod: &Value) -> Option<EndCause> {
    let status = &pod["status"];
    // The kubelet's own, which it writes over those of others.
    match status["reason"].as_str() {
        Some("Evicted") => return Some(EndCause::Evicted),
        Some("NodeShutdown" | "Terminated") => return Some(EndCause::NodeShutdown),
        Some("Preempting") => return Some(EndCause::Preempted),
        _ => {}
    }
    let conditions = status["conditions"].as_array()?;
    let disruption = conditions
        .iter()
        .find(|one| one["type"] == "DisruptionTarget" && one["status"] == "True")?;
    match disruption["reason"].as_str()? {
        "PreemptionByScheduler" => Some(EndCause::Preempted),
        "EvictionByEvictionAPI" => Some(EndCause::Drained),
        "DeletionByTaintManager" => Some(EndCause::Tainted),
        "TerminationByKubelet" => Some(EndCause::Evicted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cause(status: Value) -> Option<EndCause> {
        end_cause(&json!({ "status": status }))
    }

    #[test]
    fn the_kubelets_word_counts_before_a_condition() {
        assert_eq!(
            cause(json!({ "reason": "Evicted", "conditions": [
                { "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet" },
            ] })),
            Some(EndCause::Evicted)
        );
        assert_eq!(
            cause(json!({ "reason": "Terminated" })),
            Some(EndCause::NodeShutdown)
        );
    }

    #[test]
    fn each_disruption_has_its_cause() {
        for (reason, expected) in [
            ("PreemptionByScheduler", Some(EndCause::Preempted)),
            ("EvictionByEvictionAPI", Some(EndCause::Drained)),
            ("DeletionByTaintManager", Some(EndCause::Tainted)),
            ("TerminationByKubelet", Some(EndCause::Evicted)),
            ("SomethingNew", None),
        ] {
            let with = |status: &str| {
                cause(json!({ "conditions": [
                    { "type": "Ready", "status": "False", "reason": "PodCompleted" },
                    { "type": "DisruptionTarget", "status": status, "reason": reason },
                ] }))
            };
            assert_eq!(with("True"), expected, "{reason}");
            assert_eq!(with("False"), None, "{reason}");
        }
        assert_eq!(cause(json!({ "phase": "Succeeded" })), None);
    }
}
