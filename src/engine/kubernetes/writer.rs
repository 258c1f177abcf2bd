//! Which Pod may write to a workspace. Pure.
//!
//! A claim that is "read-write once" fences nothing: a node that is cut off goes on writing. So before
//! the first command the server writes on the claim which Pod has it, on which node, since which boot
//! of that node, and on which machine: a cloud gives the name of one that is lost to another. A Pod of another uid gets the workspace only when the one before is known to have ended.

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
    /// The machine behind the node's name, by its own ids; `None` as for `boot`.
    pub machine: Option<String>,
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
            machine: node.map(|node| node.machine.clone()),
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
            machine: text("machine"),
        })
    }

    /// Whether this is the Pod of `now`, where it was: a machine that gets the name of a lost one runs its
    /// Pods again, under the same uids.
    pub fn is_still(&self, now: &Self) -> bool {
        let moved = |before: &Option<String>, now: &Option<String>| {
            before.is_some() && now.is_some() && before != now
        };
        self.uid == now.uid && !moved(&self.machine, &now.machine) && !moved(&self.boot, &now.boot)
    }

    /// The text of the annotation.
    pub fn text(&self) -> String {
        json!({
            "pod": self.pod,
            "uid": self.uid,
            "node": self.node,
            "boot": self.boot,
            "machine": self.machine,
        })
        .to_string()
    }
}

/// What the cluster says of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    pub is_ready: bool,
    pub boot: String,
    /// The ids of its firmware and of its installation; empty if the kubelet says neither.
    pub machine: String,
    /// An operator says that it is off.
    pub is_out_of_service: bool,
}

impl NodeFacts {
    pub fn of(node: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let conditions = list(&node["status"]["conditions"]);
        let taints = list(&node["spec"]["taints"]);
        let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        let info = |key: &str| {
            let text = node["status"]["nodeInfo"][key].as_str();
            text.unwrap_or_default().to_owned()
        };
        let machine = [info("systemUUID"), info("machineID")].join(" ");
        Self {
            is_ready: conditions.iter().any(is_ready),
            boot: info("bootID"),
            machine: machine.trim().to_owned(),
            is_out_of_service: taints
                .iter()
                .any(|taint| taint["key"] == "node.kubernetes.io/out-of-service"),
        }
    }

    /// Whether nothing that ran there at the time of the record can run now.
    fn has_ended_all_of(&self, before: &WriterRecord) -> bool {
        match self.is_ready {
            // The machine of before, and it has booted. Another one under its name says nothing of it.
            true => {
                let is_same = before.machine.as_ref() == Some(&self.machine);
                let is_known = !self.machine.is_empty() && !self.boot.is_empty();
                is_same && is_known && before.boot.as_ref().is_some_and(|boot| *boot != self.boot)
            }
            // The word of an operator on a node that runs is an old one.
            false => self.is_out_of_service,
        }
    }

    /// Whether its name is known to be that of another machine now.
    fn is_another(&self, before: &WriterRecord) -> bool {
        let known = before.machine.as_ref().filter(|id| !id.is_empty());
        !self.machine.is_empty() && known.is_some_and(|id| *id != self.machine)
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
    if node.is_some_and(|node| node.has_ended_all_of(before)) {
        return Ok(());
    }
    // By the word of the kubelet that ran it: that of another machine has seen nothing of it.
    let is_told_by_another = node.is_some_and(|node| node.is_another(before));
    let has_ended = |pod: &Value| matches!(PodPhase::of(pod), PodPhase::Ended(_));
    if !is_told_by_another && pod.is_some_and(has_ended) {
        return Ok(());
    }
    Err(match (pod, node) {
        _ if is_told_by_another => {
            "another machine has the node's name, and nobody knows whether the one before is off"
        }
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
            machine: Some("m1".to_owned()),
        }
    }

    fn node(is_ready: bool, boot: &str, is_out_of_service: bool) -> NodeFacts {
        NodeFacts {
            is_ready,
            boot: boot.to_owned(),
            machine: "m1".to_owned(),
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
        let other = NodeFacts {
            machine: "m2".to_owned(),
            ..rebooted.clone()
        };
        let table: [(Option<&Value>, Option<&NodeFacts>, bool); 18] = [
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
            // It is back, and the operator's word is still there.
            (None, Some(&node(true, "b1", true)), false),
            // Another machine has its name.
            (None, Some(&other), false),
            (Some(&running), Some(&other), false),
            (Some(&ended), Some(&other), false),
        ];
        for (pod, node, may) in table {
            let found = has_ended(&writer(), pod, node);
            assert_eq!(found.is_ok(), may, "{pod:?} {node:?} {found:?}");
        }
    }

    #[test]
    fn without_a_known_boot_and_machine_no_boot_frees_a_workspace() {
        let rebooted = node(true, "b2", false);
        let without_boot = WriterRecord {
            boot: None,
            ..writer()
        };
        let without_machine = WriterRecord {
            machine: None,
            ..writer()
        };
        for before in [without_boot, without_machine] {
            assert!(has_ended(&before, None, Some(&rebooted)).is_err());
        }
        assert!(has_ended(&writer(), None, Some(&node(true, "", false))).is_err());
        let nameless = WriterRecord {
            machine: Some(String::new()),
            ..writer()
        };
        let unknown = NodeFacts {
            machine: String::new(),
            ..rebooted
        };
        assert!(has_ended(&nameless, None, Some(&unknown)).is_err());
    }

    #[test]
    fn a_pod_that_runs_again_elsewhere_is_another_writer() {
        let unread = WriterRecord {
            boot: None,
            machine: None,
            ..writer()
        };
        let elsewhere = WriterRecord {
            machine: Some("m2".to_owned()),
            ..writer()
        };
        let rebooted = WriterRecord {
            boot: Some("b2".to_owned()),
            ..writer()
        };
        let another = WriterRecord {
            uid: "v".to_owned(),
            ..writer()
        };
        assert!(writer().is_still(&writer()) && writer().is_still(&unread));
        for now in [elsewhere, rebooted, another] {
            assert!(!writer().is_still(&now), "{now:?}");
        }
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
                "nodeInfo": { "bootID": "b", "systemUUID": "m1" },
            },
        }));
        assert_eq!(facts, node(false, "b", true));
    }
}
