//! The scheduled clean-up of a server.

use std::time::Duration;

use tracing::warn;

use super::{Gc, Scope};

/// Pause between two runs.
const RUN_INTERVAL: Duration = Duration::from_secs(3600);

/// Pause after a failed run: the Engine may be down.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Cleans up when the server is first used, and then every hour; images and volumes only after the
/// first hour, because servers may start and end many times a day and this is not urgent. Never
/// ends.
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
