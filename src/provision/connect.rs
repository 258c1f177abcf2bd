//! The way into a container.

use std::time::Duration;

use super::error::SandboxError;
use crate::channel::Channel;
use crate::engine::{Engine, EngineError};

/// Opens a channel to a container that runs, and that is as its Engine says. One that is not is asked
/// to end, so that another can replace it.
pub async fn connect_to(engine: &Engine, container: &str) -> Result<Channel, SandboxError> {
    let channel = open(engine, container).await?;
    let verified = verify(engine, container, &channel).await;
    if matches!(verified, Err(EngineError::Unreal { .. })) {
        // Busy, it stays, and is not used.
        let _ = channel.retire(Duration::ZERO).await;
    }
    verified?;
    Ok(channel)
}

/// Opens a channel for the bytes of connections to a container that runs.
pub async fn connect_for_connections(
    engine: &Engine,
    container: &str,
) -> Result<Channel, SandboxError> {
    let stream = engine.open_channel(container).await?;
    let channel = Channel::open_for_connections(stream).await?;
    verify(engine, container, &channel).await?;
    Ok(channel)
}

/// Opens a channel to a container that runs and is not verified yet.
pub(super) async fn open(engine: &Engine, container: &str) -> Result<Channel, SandboxError> {
    let stream = engine.open_channel(container).await?;
    Ok(Channel::open(stream).await?)
}

/// Whether a container is as its Engine says.
///
/// # Errors
/// [`EngineError::Unreal`], and those of every call.
pub(super) async fn verify(
    engine: &Engine,
    container: &str,
    channel: &Channel,
) -> Result<(), EngineError> {
    engine.verify_inside(container, channel.hello()).await
}
