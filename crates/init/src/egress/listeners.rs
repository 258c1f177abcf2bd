//! The listeners of the names that are allowed: one for each name and port, on the name's own
//! loopback address.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_egress::sandbox::{AddressTable, Key, Listeners, Opening};
use casemate_protocol::egress::not_listening::Cause;
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::connections::WaitingConnections;

/// Between two looks for listeners that nothing has used for long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// After an accept that failed: where descriptors are out, some will be given back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener, and a connection that it has accepted before a descriptor was free for it.
const DESCRIPTORS_OF_A_LISTENER: u32 = 2;

/// The listeners that are open.
#[derive(Debug)]
pub struct OpenListeners {
    connections: Arc<WaitingConnections>,
    descriptors: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    addresses: AddressTable,
    uses: Listeners,
    /// Each accepts on one listener, which closes when it is aborted.
    tasks: HashMap<Key, AbortHandle>,
}

impl State {
    fn close(&mut self, key: Key) {
        self.uses.close(key);
        self.abort(key);
    }

    fn abort(&mut self, key: Key) {
        if let Some(task) = self.tasks.remove(&key) {
            task.abort();
        }
    }
}

/// A name cannot be listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOpen {
    pub port: u16,
    pub cause: Cause,
}

/// A connection that is counted, until it is dropped.
struct UseGuard {
    listeners: Arc<OpenListeners>,
    key: Key,
}

impl Drop for UseGuard {
    fn drop(&mut self) {
        let now = Instant::now().into_std();
        self.listeners.state().uses.disconnected(self.key, now);
    }
}

impl OpenListeners {
    /// None is open.
    pub fn new(connections: Arc<WaitingConnections>, descriptors: Arc<Semaphore>) -> Self {
        Self {
            connections,
            descriptors,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens for `host` on all of `ports`, and returns its address. It is about to be answered
    /// with it.
    ///
    /// # Errors
    /// Where one port cannot be opened, none is: a program that connects to that port of the
    /// address would reach a server of the user's instead of the host.
    pub fn open(self: &Arc<Self>, host: &Arc<str>, ports: &[u16]) -> Result<Ipv4Addr, NotOpen> {
        let mut state = self.state();
        let Some(address) = state.addresses.address(host) else {
            let port = ports.first().copied().unwrap_or_default();
            return Err(NotOpen {
                port,
                cause: Cause::Names,
            });
        };
        let now = Instant::now().into_std();
        let mut opened = Vec::new();
        for &port in ports {
            let key = SocketAddrV4::new(address, port);
            let task = match state.uses.answered(key, now) {
                Opening::IsOpen => continue,
                Opening::Full => Err(Cause::Listeners),
                Opening::Open => {
                    opened.push(key);
                    self.listen(key, host)
                }
            };
            match task {
                Ok(task) => drop(state.tasks.insert(key, task)),
                Err(cause) => {
                    opened.into_iter().for_each(|key| state.close(key));
                    return Err(NotOpen { port, cause });
                }
            }
        }
        Ok(address)
    }

    fn listen(self: &Arc<Self>, key: Key, host: &Arc<str>) -> Result<AbortHandle, Cause> {
        let descriptors = self.descriptors.clone();
        let descriptors = descriptors.try_acquire_many_owned(DESCRIPTORS_OF_A_LISTENER);
        let descriptors = descriptors.map_err(|_| Cause::Descriptors)?;
        let listener = bind(key).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::ADDRINUSE) => Cause::PortInUse,
            Some(Errno::MFILE | Errno::NFILE) => Cause::Descriptors,
            _ => Cause::Unspecified,
        })?;
        let accepting = self
            .clone()
            .accept(listener, key, host.clone(), descriptors);
        Ok(tokio::spawn(accepting).abort_handle())
    }

    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        key: Key,
        host: Arc<str>,
        _descriptors: OwnedSemaphorePermit,
    ) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            self.state().uses.connected(key);
            let in_use = UseGuard {
                listeners: self.clone(),
                key,
            };
            // The next ones wait in the backlog until then. The semaphore is never closed.
            let descriptor = self.descriptors.clone().acquire_owned().await;
            let (connections, host) = (self.connections.clone(), host.clone());
            tokio::spawn(async move {
                let _held = (in_use, descriptor);
                connections.serve(stream, &host, key.port()).await;
            });
        }
    }

    /// Closes again and again what nothing has used for long.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            sleep(SWEEP_INTERVAL).await;
            let mut state = self.state();
            for key in state.uses.expire(Instant::now().into_std()) {
                state.abort(key);
            }
        }
    }
}

fn bind(key: Key) -> io::Result<TcpListener> {
    let listener = StdListener::bind(key)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
