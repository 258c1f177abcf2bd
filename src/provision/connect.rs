//! The way into a container.

use super::error::SandboxError;
use crate::channel::Channel;
use crate::engine::Engine;

/// The user id that the bridge runs as.
const BRIDGE_USER: &str = "65534";

/// Opens a channel to a container that runs.
pub async fn connect_to(engine: &Engine, container: &str) -> Result<Channel, SandboxError> {
    let command = [casemate_protocol::INIT_PATH, "bridge"];
    let stream = engine.exec(container, BRIDGE_USER, &command).await?;
    Ok(Channel::open(stream).await?)
}
