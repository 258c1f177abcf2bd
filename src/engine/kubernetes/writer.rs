//! Which Pod may write to a workspace. Pure.
//!
//! A claim that is "read-write once" fences nothing: a node that is cut off goes on writing. So before
//! the first command the server writes on the claim which Pod has it, on which node, and since which boot
//! of that node. A Pod of another uid gets the workspace only when the one before is known to have ended.

use serde_json::{Value, json};

use super::pod_state::PodPhase;

/// The annotation of a claim.
pub const WRITER: &str = "io.casemate.writer";

/// The Pod that has a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterRecord {
    pub pod: String,
    pub uid: String,
    pub node: String,
    /// The boot of the node; `None`: the server may not read nodes.
    pub boot: Option<String>,
}

impl WriterRecord {
    /// A Pod that has a node.
    pub fn new(pod: &Value, node: Option<&NodeFacts>) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            pod: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
            node: text(&pod["spec"]["nodeName"]),
            boot: node.map(|node| node.boot.clone()),
        }
    }

    /// Of a claim; `None`: nobody has it.
    pub fn of(claim: &Value) -> Option<Self> {
        let text = claim["metadata"]["annotations"][WRITER].as_str()?;
        let record: Value = serde_json::from_str(text).unwrap_or_default();
        let text = |key: &str| record[key].as_str().map(str::to_owned);
        Some(Self {
            pod: text("pod").unwrap_or_default(),
            // One that cannot be read is nobody's, and keeps all others away.
            uid: text("uid").unwrap_or_default(),
            node: text("node").unwrap_or_else(|| "unknown".to_owned()),
            boot: text("boot"),
        })
    }

    /// The text of the annotation.
    pub fn text(&self) -> String {
        json!({ "pod": self.pod, "uid": self.uid, "node": self.node, "boot": self.boot })
            .to_string()
    }
}

/// What the cluster says of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    pub is_ready: bool,
    pub boot: String,
    /// An operator says that it is off.
    pub is_out_of_service: bool,
}

impl NodeFacts {
    pub fn of(node: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let conditions = list(&node["status"]["conditions"]);
        let taints = list(&node["spec"]["taints"]);
        let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        let boot = node["status"]["nodeInfo"]["bootID"].as_str();
        Self {
            is_ready: conditions.iter().any(is_ready),
            boot: boot.unwrap_or_default().to_owned(),
            is_out_of_service: taints
                .iter()
                .any(|taint| taint["key"] == "node.kubernetes.io/out-of-service"),
        }
    }

    /// Whether it runs, and nothing that ran there at that boot can.
    fn has_booted_since(&self, boot: Option<&str>) -> bool {
        self.is_ready && !self.boot.is_empty() && boot.is_some_and(|before| before != self.boot)
    }
}

/// Whether the Pod of a record is known to write no more. `pod`: its object, if one of its uid is there.
/// `node`: its node, if that is there and may be read.
///
/// # Errors
/// Why not, in words.
pub fn has_ended(
    before: &WriterRecord,
    pod: Option<&Value>,
    node: Option<&NodeFacts>,
) -> Result<(), &'static str> {
    let is_safe =
        |node: &NodeFacts| node.is_out_of_service || node.has_booted_since(before.boot.as_deref());
    if node.is_some_and(is_safe) {
        return Ok(());
    }
    if pod.is_some_and(|pod| matches!(PodPhase::of(pod), PodPhase::Ended(_))) {
        return Ok(());
    }
    Err(match (pod, node) {
        (Some(_), Some(node)) if node.is_ready => "its Pod is still ending there",
        (None, Some(node)) if node.is_ready => {
            "its Pod was removed by force, and the node has not booted since"
        }
        (_, Some(_)) => "the node is not ready",
        (_, None) => "the node cannot be seen: it is gone, or this server may not read nodes",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> WriterRecord {
        WriterRecord {
            pod: "p".to_owned(),
            uid: "u".to_owned(),
            node: "node1".to_owned(),
            boot: Some("b1".to_owned()),
        }
    }

    fn node(is_ready: bool, boot: &str, is_out_of_service: bool) -> NodeFacts {
        NodeFacts {
            is_ready,
            boot: boot.to_owned(),
            is_out_of_service,
        }
    }

    fn pod(phase: &str, state: Value) -> Value {
        json!({
            "metadata": { "name": "p", "uid": "u" },
            "spec": { "nodeName": "node1" },
            "status": { "phase": phase, "containerStatuses": [{ "name": "sandbox", "state": state }] },
        })
    }

    #[test]
    fn a_workspace_goes_to_another_pod_only_when_the_one_before_is_known_to_have_ended() {
        let running = pod("Running", json!({ "running": {} }));
        let ended = pod("Failed", json!({ "terminated": { "exitCode": 76 } }));
        let failed_by_others = pod("Failed", json!({ "running": {} }));
        let (up, down) = (node(true, "b1", false), node(false, "b1", false));
        let rebooted = node(true, "b2", false);
        let table: [(Option<&Value>, Option<&NodeFacts>, bool); 14] = [
            (Some(&ended), Some(&up), true),
            (Some(&ended), Some(&down), true),
            (Some(&ended), None, true),
            (Some(&running), Some(&up), false),
            (Some(&running), Some(&down), false),
            (Some(&running), None, false),
            (Some(&failed_by_others), Some(&up), false),
            // Deleted by force: only its record is left.
            (None, Some(&up), false),
            (None, Some(&down), false),
            (None, None, false),
            (None, Some(&rebooted), true),
            (Some(&running), Some(&rebooted), true),
            // A node that is coming up may not have run its kubelet yet.
            (None, Some(&node(false, "b2", false)), false),
            (Some(&running), Some(&node(false, "b1", true)), true),
        ];
        for (pod, node, may) in table {
            let found = has_ended(&writer(), pod, node);
            assert_eq!(found.is_ok(), may, "{pod:?} {node:?} {found:?}");
        }
    }

    #[test]
    fn without_a_known_boot_no_boot_frees_a_workspace() {
        let before = WriterRecord {
            boot: None,
            ..writer()
        };
        assert!(has_ended(&before, None, Some(&node(true, "b2", false))).is_err());
        assert!(has_ended(&writer(), None, Some(&node(true, "", false))).is_err());
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_broken_one_frees_nothing() {
        let with = |text: &str| json!({ "metadata": { "annotations": { WRITER: text } } });
        assert_eq!(WriterRecord::of(&with(&writer().text())), Some(writer()));
        assert_eq!(WriterRecord::of(&json!({ "metadata": {} })), None);
        let broken = WriterRecord::of(&with("{")).expect("a record");
        assert!(has_ended(&broken, None, Some(&node(true, "b2", false))).is_err());
    }

    #[test]
    fn a_node_is_what_its_object_says() {
        let facts = NodeFacts::of(&json!({
            "spec": { "taints": [{ "key": "node.kubernetes.io/out-of-service", "effect": "NoExecute" }] },
            "status": {
                "conditions": [{ "type": "MemoryPressure", "status": "True" }, { "type": "Ready", "status": "Unknown" }],
                "nodeInfo": { "bootID": "b" },
            },
        }));
        assert_eq!(facts, node(false, "b", true));
    }
}
