use serde_json::json;

use super::*;

fn pod(status: Value) -> Value {
    json!({
        "metadata": { "name": "casemate-default-ada-1", "uid": "u" },
        "spec": { "nodeName": "node1" },
        "status": status,
    })
}

fn ended(code: i64) -> Value {
    json!({ "name": CONTAINER, "state": { "terminated": { "exitCode": code, "message": "idle" } } })
}

#[test]
fn only_the_kubelets_word_ends_a_pod_that_had_a_node() {
    let running = json!([{ "name": CONTAINER, "state": { "running": {} } }]);
    let cases = [
        (
            json!({ "phase": "Succeeded", "containerStatuses": [ended(0)] }),
            PodPhase::Ended(Some(0)),
        ),
        (
            json!({ "phase": "Failed", "containerStatuses": [ended(76)] }),
            PodPhase::Ended(Some(76)),
        ),
        (
            json!({ "phase": "Failed", "reason": "Evicted" }),
            PodPhase::Ended(None),
        ),
        (json!({ "phase": "Failed" }), PodPhase::Unconfirmed),
        (
            json!({ "phase": "Failed", "containerStatuses": running }),
            PodPhase::Unconfirmed,
        ),
        (
            json!({
                "phase": "Failed",
                "containerStatuses": [ended(76)],
                "conditions": [{ "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC" }],
            }),
            PodPhase::Unconfirmed,
        ),
        (
            json!({ "phase": "Running", "containerStatuses": running }),
            PodPhase::Running,
        ),
        (json!({ "phase": "Pending" }), PodPhase::Starting),
        (json!({}), PodPhase::Starting),
    ];
    for (status, phase) in cases {
        let found = PodPhase::of(&pod(status.clone()));
        assert_eq!(found, phase, "{status}");
    }
}

#[test]
fn a_deleted_pod_has_ended_when_no_node_had_it_or_when_its_kubelet_says_so() {
    let deleted = |mut pod: Value| {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod
    };
    let running = json!([{ "name": CONTAINER, "state": { "running": {} } }]);
    let running = pod(json!({ "phase": "Running", "containerStatuses": running }));
    assert_eq!(PodPhase::of(&deleted(running)), PodPhase::Unconfirmed);
    let over = pod(json!({ "phase": "Failed", "containerStatuses": [ended(137)] }));
    assert_eq!(PodPhase::of(&deleted(over)), PodPhase::Ended(Some(137)));
    let mut new = pod(json!({ "phase": "Pending" }));
    new["spec"]["nodeName"] = Value::Null;
    new["spec"]["schedulingGates"] = json!([{ "name": super::super::pod::GATE }]);
    assert_eq!(PodPhase::of(&new), PodPhase::Gated);
    assert_eq!(PodPhase::of(&deleted(new)), PodPhase::Ended(None));
}

#[test]
fn what_keeps_a_pod_from_starting_is_said_in_the_clusters_words() {
    let waiting = |reason: &str| {
        let state = json!({ "waiting": { "reason": reason, "message": "so it says\nand more" } });
        let one = json!({ "name": "workspace", "image": "tools:1", "state": state });
        obstacle(&pod(
            json!({ "phase": "Pending", "initContainerStatuses": [one] }),
        ))
    };
    let missing = waiting("ErrImagePull");
    assert!(
        matches!(&missing, Some(EngineError::ImageMissing { image, reason, .. }) if image == "tools:1" && reason == "so it says"),
        "{missing:?}"
    );
    assert!(matches!(
        waiting("CreateContainerError"),
        Some(EngineError::NotStarted { .. })
    ));
    assert!(waiting("PodInitializing").is_none() && waiting("ContainerCreating").is_none());
    let start = json!({ "terminated": { "exitCode": 128, "reason": "StartError",
        "message": "exec: \"/casemate-init\": stat /casemate-init: no such file or directory" } });
    let one = json!({ "name": "workspace", "image": "debian:12", "state": start });
    let error = obstacle(&pod(json!({ "initContainerStatuses": [one] })));
    assert!(
        matches!(error, Some(EngineError::ImageUnusable { .. })),
        "{error:?}"
    );
    let failed = json!({ "terminated": { "exitCode": 73, "reason": "Error", "message": "casemate-init: it fails" } });
    let one = json!({ "name": "workspace", "state": failed });
    let error = obstacle(&pod(json!({ "initContainerStatuses": [one] })));
    assert!(error.is_some_and(|error| error.to_string().contains("it fails")));
}

#[test]
fn a_pod_without_a_node_says_what_the_scheduler_said() {
    let of = |message: &str| {
        let condition = json!({ "type": "PodScheduled", "status": "False", "message": message });
        unscheduled(&pod(json!({ "conditions": [condition] })))
    };
    let full = of("0/2 nodes are available: 2 Insufficient memory.");
    assert!(
        matches!(&full, Some(EngineError::Unschedulable { message, .. }) if message.contains("Insufficient"))
    );
    let claim = of("pod has unbound immediate PersistentVolumeClaims");
    assert!(matches!(claim, Some(EngineError::ClaimPending { .. })));
    assert!(unscheduled(&pod(json!({}))).is_none());
}
