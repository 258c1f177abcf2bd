//! The face of an Engine itself and its host: where it is, what it can, what it counts.

use std::sync::Arc;

use super::Engine;
use super::address::EngineAddress;
use super::capabilities::Capabilities;
use super::engine_version::EngineVersion;
use super::error::EngineError;
use super::volume::Quota;
use crate::meter::Meter;

impl Engine {
    /// Where it is.
    pub fn address(&self) -> &EngineAddress {
        dispatch!(self.address())
    }

    /// `host:port` of the socket that it is driven by, where that is TCP: no sandbox may reach it.
    pub fn control_address(&self) -> Option<&str> {
        dispatch!(self.control_address())
    }

    /// The metrics that its calls are counted in.
    pub fn meter(&self) -> &Meter {
        dispatch!(self.meter())
    }

    /// Which program answers, and of which version it is.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        dispatch!(self.version().await)
    }

    /// What it and its host can do, requested once per connection.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn capabilities(&self) -> Result<Arc<Capabilities>, EngineError> {
        dispatch!(self.capabilities().await)
    }

    /// The time on its machine, RFC 3339 in any time zone; `None` if it does not report one.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn time(&self) -> Result<Option<String>, EngineError> {
        dispatch!(self.time().await)
    }

    /// Free bytes on the disk that it keeps volumes on; `None` where this machine cannot see it.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn disk_free(&self) -> Result<Option<u64>, EngineError> {
        dispatch!(self.disk_free().await)
    }

    /// Why a directory of this machine cannot be a workspace, as what is said of the Engine; `None`:
    /// it can.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn bind_refusal(&self) -> Result<Option<&'static str>, EngineError> {
        dispatch!(self.bind_refusal().await)
    }

    /// Whether it can limit the size of a volume, found once per connection.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn quota(&self) -> Result<Quota, EngineError> {
        dispatch!(self.quota().await)
    }
}
