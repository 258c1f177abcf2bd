//! Clean-up by the clock, in a server.

use std::time::Duration;

use tracing::warn;

use super::{Gc, Scope};

/// Between two times.
const RUN_INTERVAL: Duration = Duration::from_secs(3600);

/// After one that failed: the Engine may be down.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Cleans up when the server is first used, and then every hour. Images and volumes not
/// before it has served for an hour: several servers may start and end many times a day,
/// and none of them is in a hurry. Never ends.
pub async fn hourly(mut gc: Gc) {
    gc.manager.used().await;
    let mut scope = Scope::Containers;
    loop {
        let pause = match gc.run(scope).await {
            Ok(_) => {
                scope = Scope::All;
                RUN_INTERVAL
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "the clean-up failed");
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(pause).await;
    }
}
