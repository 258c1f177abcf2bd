//! Connections to programs that listen in a container, for previews.
//!
//! They go to one container, by its id, and have no owner task: what listens there is gone with it,
//! and a connection never makes a sandbox. Each container has one channel for all of them, apart
//! from the one for calls, so that no download delays a command.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, ReadBytesReply, ReadBytesRequest};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::files::FILE_CALL_TIMEOUT;
use super::handle::{Containers, Sandbox};
use super::port_history::{EndTime, PortHistory};
use crate::channel::{CallError, Channel, PortStream};
use crate::engine::Engine;
use crate::provision::{LEASE_TIMEOUT, SandboxError, connect_for_connections};

/// A channel that was not used for this long is closed: a person reads a page for some minutes, and
/// to open one takes 70 ms.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The channels for connections, by the id of the container, and what was seen over them. Cheap to
/// clone.
#[derive(Debug, Clone, Default)]
pub(super) struct PortChannels {
    open: Arc<Mutex<HashMap<String, Arc<PortChannel>>>>,
    pub history: PortHistory,
}

/// The one of a container; a lock, so that the first page of an application opens one.
#[derive(Debug)]
struct PortChannel {
    open: tokio::sync::Mutex<Option<Channel>>,
    used: Mutex<Instant>,
}

/// The way to the programs that listen in one container, and to the files of its workspace. It
/// starts nothing: where the container is gone, all of it fails.
#[derive(Debug, Clone)]
pub struct ContainerPorts {
    container: Arc<str>,
    channel: Channel,
    history: PortHistory,
}

/// Where a program would listen, and whether one does.
#[derive(Debug)]
pub struct ProbedPort {
    /// The id of the container.
    pub container: Arc<str>,
    pub is_listening: bool,
}

impl PortChannels {
    pub async fn open(
        &self,
        engine: &Engine,
        container: &str,
    ) -> Result<ContainerPorts, SandboxError> {
        let entry = self.entry(container);
        let mut open = entry.open.lock().await;
        let channel = match open.as_ref().filter(|channel| channel.is_open()) {
            Some(channel) => channel.clone(),
            None => {
                let opened = connect_for_connections(engine, container).await;
                let channel = opened.inspect_err(|_| self.forget(container))?;
                *open = Some(channel.clone());
                channel
            }
        };
        drop(open);
        Ok(ContainerPorts {
            container: container.into(),
            channel,
            history: self.history.clone(),
        })
    }

    fn entry(&self, container: &str) -> Arc<PortChannel> {
        let mut channels = self.open.lock();
        let entry = channels.entry(container.to_owned()).or_insert_with(|| {
            Arc::new(PortChannel {
                open: tokio::sync::Mutex::default(),
                used: Mutex::new(Instant::now()),
            })
        });
        *entry.used.lock() = Instant::now();
        entry.clone()
    }

    /// Open connections stay open: each holds its channel.
    fn forget(&self, container: &str) {
        self.open.lock().remove(container);
    }

    /// Closes unused channels, for as long as the server runs.
    pub async fn sweep(self) {
        loop {
            sleep(IDLE_TIMEOUT).await;
            let is_used = |channel: &Arc<PortChannel>| channel.used.lock().elapsed() < IDLE_TIMEOUT;
            self.open.lock().retain(|_, channel| is_used(channel));
            self.history.sweep();
        }
    }
}

impl ContainerPorts {
    /// Connects to a port.
    ///
    /// # Errors
    /// `NOT_LISTENING`; the container is gone.
    pub async fn connect(&self, port: u16) -> Result<PortStream, SandboxError> {
        let start = Instant::now();
        let connected = self.channel.connect(port).await;
        let stream = connected.map_err(|error| SandboxError::from_call(error, start.elapsed()))?;
        self.history.listens(&self.container, port);
        Ok(stream)
    }

    /// A connection to the program on this port was open until now.
    pub fn was_open(&self, port: u16) {
        self.history.was_open(&self.container, port);
    }

    /// Nothing listens on this port: the end of the program that did, as far as this server saw one.
    pub fn refused(&self, port: u16) -> Option<EndTime> {
        self.history.refused(&self.container, port)
    }

    /// A part of a file.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn read_bytes(
        &self,
        request: ReadBytesRequest,
    ) -> Result<ReadBytesReply, SandboxError> {
        let read = self.channel.call(request, FILE_CALL_TIMEOUT).await;
        read.map_err(|error| SandboxError::from_call(error, FILE_CALL_TIMEOUT))
    }
}

impl Sandbox {
    /// The container as it is now, and whether a program listens on a port of it.
    ///
    /// # Errors
    /// Those of every call; `INVALID` in ephemeral mode, where no program outlives its command.
    pub async fn probe_port(&self, port: u16) -> Result<ProbedPort, SandboxError> {
        let Containers::Lasting(handle) = &self.containers else {
            let detail =
                "a program ends with its command in this mode, so there is nothing to show";
            return Err(SandboxError::Failed(Failure::new(Code::Invalid, detail)));
        };
        let start = Instant::now();
        let told = |ahead| self.waits(ahead);
        let lease = handle.lease(start + LEASE_TIMEOUT, told).await?;
        self.last_container.set(&lease.container);
        let is_listening = match lease.channel.connect(port).await {
            Ok(_) => {
                self.ports.listens(&lease.container, port);
                true
            }
            Err(CallError::Failed(failure)) if failure.code() == Code::NotListening => false,
            Err(error) => return Err(SandboxError::from_call(error, start.elapsed())),
        };
        Ok(ProbedPort {
            container: lease.container,
            is_listening,
        })
    }
}
