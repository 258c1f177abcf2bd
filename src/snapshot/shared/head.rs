//! What makes a version of shared data count, beside clean-ups.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::map;
use crate::config::SharedName;
use crate::engine::{Engine, EngineError, head_volume, labels, version_volume};
use crate::identity::Instance;
use crate::provision::sort_shared;

/// How long a clean-up may take for one version; after that it was killed.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two looks for it.
const REMOVAL_INTERVAL: Duration = Duration::from_millis(100);

/// Makes a version the newest: the one step that counts. A caller without a container on its volume looks
/// afterwards whether it is still there.
///
/// # Errors
/// The Engine's.
pub async fn make_head(
    engine: &Engine,
    instance: &Instance,
    name: &SharedName,
    version: &str,
    bytes: u64,
    entries: u64,
) -> Result<(), EngineError> {
    let token = uuid::Uuid::new_v4().simple().to_string();
    let (bytes, entries) = (bytes.to_string(), entries.to_string());
    loop {
        let rows = engine.shared_volumes(instance.as_str()).await?;
        let shares = sort_shared(instance.as_str(), rows);
        let number = shares.get(name).map_or(1, |share| share.next_number());
        let labels = [
            (labels::INSTANCE, instance.as_str()),
            (labels::SHARED, name.as_str()),
            (labels::SHARED_HEAD, version),
            (labels::SHARED_BYTES, bytes.as_str()),
            (labels::SHARED_ENTRIES, entries.as_str()),
            (labels::MADE_FOR, token.as_str()),
        ];
        let head = head_volume(instance.as_str(), name.as_str(), number);
        let made = engine.make_shared_volume(&head, map(&labels)).await?;
        if made.labels.get(labels::MADE_FOR) == Some(&token) {
            let volume = version_volume(instance.as_str(), name.as_str(), version);
            return removals_end(engine, instance, name, &volume).await;
        }
        if made.labels.get(labels::SHARED).map(String::as_str) != Some(name.as_str()) {
            let kind = "volume";
            return Err(EngineError::Foreign { kind, name: head });
        }
        // Another was faster: the next number.
    }
}

/// Waits for clean-ups that looked before the head was there and remove its version after that. Each
/// makes its mark before it looks: so one without a mark by now sees the head.
async fn removals_end(
    engine: &Engine,
    instance: &Instance,
    name: &SharedName,
    volume: &str,
) -> Result<(), EngineError> {
    let give_up = Instant::now() + REMOVAL_TIMEOUT;
    // Of unknown age it may be new.
    let is_young = |at: Option<SystemTime>| {
        let age = at.and_then(|at| at.elapsed().ok());
        age.is_none_or(|age| age < REMOVAL_TIMEOUT)
    };
    loop {
        let rows = engine.shared_volumes(instance.as_str()).await?;
        let mut shares = sort_shared(instance.as_str(), rows);
        let removals = shares.remove(name).unwrap_or_default().removals;
        let mut removals = removals.iter();
        let is_removed = removals.any(|mark| mark.volume == volume && is_young(mark.made));
        if !is_removed || Instant::now() > give_up {
            return Ok(());
        }
        sleep(REMOVAL_INTERVAL).await;
    }
}
