//! The Pods that this server has made or adopted, as it wanted them: what is stored is compared with
//! them whenever it changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::Value;

/// By uid. The watch of Pods takes out those that are gone, whoever removed them.
#[derive(Debug, Default)]
pub struct WantedPods {
    pods: Mutex<HashMap<String, WantedPod>>,
}

#[derive(Debug)]
struct WantedPod {
    pod: Arc<Value>,
    since: Instant,
}

impl WantedPods {
    pub fn put(&self, uid: &str, pod: Value) {
        let wanted = WantedPod {
            pod: Arc::new(pod),
            since: Instant::now(),
        };
        self.pods.lock().insert(uid.to_owned(), wanted);
    }

    pub fn get(&self, uid: &str) -> Option<Arc<Value>> {
        self.pods.lock().get(uid).map(|wanted| wanted.pod.clone())
    }

    pub fn remove(&self, uid: &str) {
        self.pods.lock().remove(uid);
    }

    /// Keeps those of a list that was asked for at `asked`, and later ones, which it may not have.
    pub fn retain(&self, listed: &HashSet<&str>, asked: Instant) {
        let mut pods = self.pods.lock();
        pods.retain(|uid, wanted| wanted.since >= asked || listed.contains(uid.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_lacks_is_forgotten_unless_it_is_newer_than_the_list() {
        let wanted = WantedPods::default();
        wanted.put("kept", Value::Null);
        wanted.put("gone", Value::Null);
        let asked = Instant::now();
        wanted.put("new", Value::Null);
        wanted.retain(&HashSet::from(["kept"]), asked);
        let is_there = |uid: &str| wanted.get(uid).is_some();
        assert!(is_there("kept") && is_there("new") && !is_there("gone"));
        wanted.remove("kept");
        assert!(!is_there("kept"));
    }
}
