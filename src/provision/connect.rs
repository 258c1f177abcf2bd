//! The way into a container.

use super::error::SandboxError;
use crate::channel::Channel;
use crate::engine::{Engine, EngineError, ExecStream};

/// Opens a channel to a container that runs.
pub async fn connect_to(engine: &Engine, container: &str) -> Result<Channel, SandboxError> {
    let stream = bridge(engine, container).await?;
    Ok(Channel::open(stream).await?)
}

/// Opens a channel for the bytes of connections to a container that runs.
pub async fn connect_for_connections(
    engine: &Engine,
    container: &str,
) -> Result<Channel, SandboxError> {
    let stream = bridge(engine, container).await?;
    Ok(Channel::open_for_connections(stream).await?)
}

/// The streams of a bridge to PID 1 of a container that runs.
pub(super) async fn bridge(engine: &Engine, container: &str) -> Result<ExecStream, EngineError> {
    let user = casemate_protocol::BRIDGE_UID.to_string();
    let command = [casemate_protocol::INIT_PATH, "bridge"];
    engine.exec(container, &user, &command).await
}
