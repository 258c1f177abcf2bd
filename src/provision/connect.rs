//! The way into a container.

use super::error::SandboxError;
use crate::channel::Channel;
use crate::engine::Engine;

/// Opens a channel to a container that runs.
pub async fn connect_to(engine: &Engine, container: &str) -> Result<Channel, SandboxError> {
    let user = casemate_protocol::BRIDGE_UID.to_string();
    let command = [casemate_protocol::INIT_PATH, "bridge"];
    let stream = engine.exec(container, &user, &command).await?;
    Ok(Channel::open(stream).await?)
}
