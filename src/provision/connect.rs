//! The way into a container.

use super::error::SandboxError;
use crate::channel::Channel;
use crate::engine::Engine;

/// Opens a channel to a container that runs.
pub async fn connect_to(engine: &Engine, container: &str) -> Result<Channel, SandboxError> {
    let stream = engine.open_channel(container).await?;
    verified(engine, container, Channel::open(stream).await?).await
}

/// Opens a channel for the bytes of connections to a container that runs.
pub async fn connect_for_connections(
    engine: &Engine,
    container: &str,
) -> Result<Channel, SandboxError> {
    let stream = engine.open_channel(container).await?;
    let channel = Channel::open_for_connections(stream).await?;
    verified(engine, container, channel).await
}

/// A channel to a container that is as its Engine says.
async fn verified(
    engine: &Engine,
    container: &str,
    channel: Channel,
) -> Result<Channel, SandboxError> {
    engine.verify_inside(container, channel.hello()).await?;
    Ok(channel)
}
