//! Whether one seccomp profile allows no more than another. Servers of two versions may share a
//! container: the stricter profile suits both.

use serde_json::Value;

/// The keys of a profile that are understood here. A profile with other keys is not judged.
const KEYS: &[&str] = &[
    "defaultAction",
    "defaultErrnoRet",
    "archMap",
    "architectures",
    "syscalls",
];

/// Whether `stored` allows nothing that `wanted` denies. Both are JSON. `false` if that cannot be
/// decided.
pub(super) fn allows_no_more(stored: &Value, wanted: &Value) -> bool {
    match (Profile::parse(stored), Profile::parse(wanted)) {
        (Some(stored), Some(wanted)) => stored.allows_no_more(&wanted),
        _ => false,
    }
}

struct Profile {
    default_action: Value,
    architectures: Vec<Value>,
    /// One name each, without comments.
    rules: Vec<Value>,
}

impl Profile {
    fn parse(text: &Value) -> Option<Self> {
        let profile: Value = serde_json::from_str(text.as_str()?).ok()?;
        let known = profile
            .as_object()?
            .keys()
            .all(|key| KEYS.contains(&key.as_str()));
        let list = |key: &str| profile[key].as_array().cloned().unwrap_or_default();
        known.then(|| Self {
            default_action: profile["defaultAction"].clone(),
            architectures: [list("archMap"), list("architectures")].concat(),
            rules: list("syscalls").iter().flat_map(single_rules).collect(),
        })
    }

    fn allows_no_more(&self, other: &Self) -> bool {
        let subset = |these: &[Value], of: &[Value]| these.iter().all(|this| of.contains(this));
        let (allowed, denied) = self.split();
        let (others_allowed, others_denied) = other.split();
        self.default_action == other.default_action
            && subset(&self.architectures, &other.architectures)
            && subset(&allowed, &others_allowed)
            && subset(&others_denied, &denied)
    }

    fn split(&self) -> (Vec<Value>, Vec<Value>) {
        self.rules
            .iter()
            .cloned()
            .partition(|rule| !is_denial(&rule["action"]))
    }
}

fn is_denial(action: &Value) -> bool {
    let action = action.as_str().unwrap_or_default();
    action == "SCMP_ACT_ERRNO" || action.starts_with("SCMP_ACT_KILL")
}

fn single_rules(rule: &Value) -> Vec<Value> {
    let names = rule["names"].as_array().cloned().unwrap_or_default();
    // The older form has one name.
    let names = names.into_iter().chain(rule.get("name").cloned());
    names
        .map(|name| {
            let mut single = rule.clone();
            if let Some(map) = single.as_object_mut() {
                map.retain(|key, value| {
                    !["names", "comment"].contains(&key.as_str()) && !empty(value)
                });
                map.insert("name".to_owned(), name);
            }
            single
        })
        .collect()
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours() -> Value {
        serde_json::from_str(casemate_seccomp::engine_profile()).unwrap()
    }

    /// Whether our profile, changed by `change`, is still as strict as ours.
    fn changed(change: impl FnOnce(&mut Value)) -> bool {
        let mut profile = ours();
        change(&mut profile);
        allows_no_more(&json!(profile.to_string()), &json!(ours().to_string()))
    }

    #[test]
    fn the_same_rules_written_otherwise_are_as_strict() {
        assert!(changed(|_| {}));
        assert!(changed(|profile| {
            profile["syscalls"].as_array_mut().unwrap().reverse();
            profile["syscalls"][0]["comment"] = json!("because");
            profile["syscalls"][0]["excludes"] = json!({});
        }));
    }

    #[test]
    fn a_call_or_an_architecture_less_is_as_strict() {
        assert!(changed(|profile| {
            profile["syscalls"][0]["names"]
                .as_array_mut()
                .unwrap()
                .pop();
            profile["archMap"].as_array_mut().unwrap().pop();
        }));
    }

    #[test]
    fn anything_more_is_not() {
        let allow = |name: &str| json!({ "names": [name], "action": "SCMP_ACT_ALLOW" });
        assert!(!changed(
            |profile| profile["defaultAction"] = json!("SCMP_ACT_ALLOW")
        ));
        assert!(!changed(|profile| {
            profile["syscalls"]
                .as_array_mut()
                .unwrap()
                .push(allow("bpf"));
        }));
        assert!(!changed(|profile| {
            let log = json!({ "names": ["bpf"], "action": "SCMP_ACT_LOG" });
            profile["syscalls"].as_array_mut().unwrap().push(log);
        }));
        assert!(!changed(|profile| {
            profile["architectures"] = json!(["SCMP_ARCH_X86"]);
        }));
        assert!(!changed(
            |profile| profile["flags"] = json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])
        ));
    }

    #[test]
    fn a_condition_or_a_denial_less_is_not() {
        let rules = |profile: &mut Value| profile["syscalls"].as_array().unwrap().clone();
        let mut conditional = 0;
        for (index, rule) in rules(&mut ours()).iter().enumerate() {
            if rule["args"].is_array() {
                conditional += 1;
                assert!(!changed(
                    |profile| profile["syscalls"][index]["args"] = json!([])
                ));
            }
            if is_denial(&rule["action"]) {
                assert!(!changed(|profile| {
                    profile["syscalls"].as_array_mut().unwrap().remove(index);
                }));
            }
        }
        assert!(conditional > 0);
    }

    #[test]
    fn what_is_no_profile_is_not() {
        for text in ["unconfined", "", "{", "[]"] {
            assert!(
                !allows_no_more(&json!(text), &json!(ours().to_string())),
                "{text}"
            );
        }
    }
}
