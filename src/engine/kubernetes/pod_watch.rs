//! All Pods of the namespace that are ours, as the API server last showed them: one watch for all
//! sandboxes of this server.
//!
//! ```text
//! list ─► watch from its version ──► events ─► the map; code that waits looks again
//!   ▲            │ 410: too old        │ ended, or broke: watch again from the last version
//!   └────────────┴─────────────────────┘ with pauses that grow
//! ```
//!
//! The map may be late, so code that decides by it asks the API server first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use http::Method;
use kube::core::WatchEvent;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::debug;

use super::api_call::ApiCall;
use super::client::{Api, ObjectKind, request, selector};
use super::names::{CASEMATE, MANAGED_BY};
use super::wanted_pods::WantedPods;
use crate::engine::error::EngineError;

/// How long the API server keeps one watch open.
const WATCH_SECONDS: u32 = 240;

/// Pauses between two tries.
const RETRY_INTERVALS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The Pods, by name.
#[derive(Debug)]
pub struct PodWatch {
    pods: Mutex<HashMap<String, Arc<Value>>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    wanted: Arc<WantedPods>,
}

impl PodWatch {
    /// Watches until nobody has it any more.
    pub fn start(api: Api, wanted: Arc<WantedPods>) -> Arc<Self> {
        let watch = Arc::new(Self {
            pods: Mutex::default(),
            changes: watch::Sender::new(0),
            wanted,
        });
        tokio::spawn(run(Arc::downgrade(&watch), api));
        watch
    }

    /// The Pod of this name, if it was seen.
    pub fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.pods.lock().get(name).cloned()
    }

    /// Changes with each event.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// By a list that was asked for at `asked`.
    fn replace(&self, list: &Value, asked: Instant) {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let uids: HashSet<&str> = items.iter().map(uid_of).collect();
        self.wanted.retain(&uids, asked);
        let pods = items.into_iter().map(|pod| (name_of(&pod), Arc::new(pod)));
        *self.pods.lock() = pods.collect();
        self.changed();
    }

    fn put(&self, pod: Value) {
        self.pods.lock().insert(name_of(&pod), Arc::new(pod));
        self.changed();
    }

    fn remove(&self, pod: &Value) {
        self.pods.lock().remove(&name_of(pod));
        // One that only lost its labels is still compared: the finalizer shows each other one as deleted.
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            self.wanted.remove(uid_of(pod));
        }
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn name_of(pod: &Value) -> String {
    pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn uid_of(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().unwrap_or_default()
}

async fn run(watch: Weak<PodWatch>, api: Api) {
    let (first, most) = RETRY_INTERVALS;
    let mut pause = first;
    let mut version = String::new();
    while watch.strong_count() > 0 {
        let begun = Instant::now();
        match look(&watch, &api, &mut version).await {
            Ok(()) => {
                pause = first;
                // Something on the way ends it at once.
                if begun.elapsed() < first {
                    sleep(first).await;
                }
            }
            Err(error) => {
                // Among others 410: the version is too old.
                version.clear();
                debug!(
                    error = &error as &dyn std::error::Error,
                    "the watch of Pods broke"
                );
                sleep(pause).await;
                pause = (2 * pause).min(most);
            }
        }
    }
}

/// Lists if there is no version to go on from, and watches until that ends.
async fn look(watch: &Weak<PodWatch>, api: &Api, version: &mut String) -> Result<(), EngineError> {
    let ours = [(MANAGED_BY, CASEMATE.to_owned())];
    if version.is_empty() {
        let asked = Instant::now();
        let list = api.list("list pods", ObjectKind::Pods, &ours).await?;
        if let Some(watch) = watch.upgrade() {
            watch.replace(&list, asked);
        }
        *version = version_of(&list);
    }
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}&labelSelector={}",
        api.path(ObjectKind::Pods, ""),
        selector(&ours),
    );
    let call = ApiCall::query("watch pods", "");
    let broken = |error| super::error::from_kube(call, &api.url, error);
    let events = api
        .client()
        .request_events::<Value>(request(Method::GET, &path, None)?);
    let events = tokio::time::timeout(call.timeout, events).await;
    let events = events.map_err(|_| EngineError::Deadline {
        call: call.name,
        after: call.timeout,
    })?;
    let events = events.map_err(broken)?;
    let mut events = std::pin::pin!(events);
    // A watch that says nothing is asked for again soon after it should have ended.
    let silence = Duration::from_secs(u64::from(WATCH_SECONDS) + 30);
    while let Ok(Some(event)) = tokio::time::timeout(silence, events.next()).await {
        let Some(watch) = watch.upgrade() else {
            return Ok(());
        };
        match event.map_err(broken)? {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                *version = version_of(&pod);
                watch.put(pod);
            }
            WatchEvent::Deleted(pod) => {
                *version = version_of(&pod);
                watch.remove(&pod);
            }
            WatchEvent::Bookmark(mark) => *version = mark.metadata.resource_version,
            WatchEvent::Error(status) => {
                return Err(super::error::from_kube(
                    call,
                    &api.url,
                    kube::Error::Api(status),
                ));
            }
        }
    }
    Ok(())
}

fn version_of(object: &Value) -> String {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
