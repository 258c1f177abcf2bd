//! Gauges, which are updated at each scrape.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::manager::Manager;
use crate::engine::{ContainerSummary, EngineError, labels};
use crate::meter::Meter;
use crate::provision::look;

/// How long an update may take: Prometheus gives a scrape 10 s. Values that the Engine does not
/// return in time are reported as missing.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(4);

impl Manager {
    /// Updates the gauges: sandboxes by mode and state, their memory, the
    /// calls that wait, free disk. Makes no sandbox, and opens no channel. 4 s at most.
    pub async fn measure(&self) {
        let meter = self.meter();
        meter.waiting(self.context.waiting.load(Ordering::Relaxed));
        let looked = timeout(SURVEY_TIMEOUT, self.look_at_all(meter)).await;
        let is_up = matches!(looked, Ok(Ok(())));
        meter.engine_up(is_up);
        if let Ok(Err(error)) = looked {
            debug!(error = &error as &dyn std::error::Error, "not measured");
        }
        if !is_up {
            // The last known values may be out of date.
            meter.sandboxes([]);
            meter.memory(0);
        }
    }

    async fn look_at_all(&self, meter: &Meter) -> Result<(), EngineError> {
        let context = &self.context;
        let ours = [(labels::INSTANCE, context.config.instance.as_str())];
        let mut rows = context.engine.list_containers(&ours).await?;
        rows.retain(ContainerSummary::is_sandbox);
        let found = rows.iter().map(|row| {
            let mode = row.labels.get(labels::MODE);
            (mode.map_or("unknown", String::as_str), row.state.as_str())
        });
        meter.sandboxes(found);
        let seen = look(rows, |row| context.capacity.channel(&row.id)).await;
        let memory = seen.iter().filter_map(|one| one.stats.as_ref());
        meter.memory(memory.map(|stats| stats.memory_bytes).sum());
        if let Some(free) = context.engine.disk_free().await? {
            meter.disk_free(free);
        }
        Ok(())
    }
}
