//! Docker's house: the Engine API of Docker, and of Podman, by bollard.
//!
//! ```text
//! DockerEngine ─► connect (negotiates the API version) ─► bollard, raw ─► Engine's socket
//!   containers, volumes, exec calls
//!   image, pull, prepare      from any Linux image to one with casemate-init in it
//!   spec ─► verify            the wanted container ─► the stored one
//! ```
//!
//! Invariants:
//!
//! - No module outside names bollard or sees one of its types.
//! - A [`DockerEngine`] is a value, not a global. Making one does no I/O: the Engine may be down.
//! - Every call has a deadline, named below, except [`DockerEngine::ended`].
//! - A container that is stored with less hardening than asked is never handed out.

mod body;
mod collect;
mod containers;
mod disk_usage;
mod endpoint;
mod error;
mod exec;
mod host;
mod image;
mod image_state;
mod info;
mod inspect;
mod locate;
mod owner;
mod owner_image;
mod permission;
mod podman;
mod podman_status;
mod prepare;
mod pull;
mod quota;
mod raw;
mod remedies;
mod shared;
mod spec;
mod verify;
mod version;
mod volume_driver;
mod volumes;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, Docker};

pub use locate::locate;

use parking_lot::Mutex;
use tracing::{Instrument as _, debug_span};

use crate::engine::address::EngineAddress;
use crate::engine::capabilities::Capabilities;
use crate::engine::error::{EngineError, shorten};
use crate::engine::kind::EngineKind;
use crate::engine::volume::Quota;
use crate::meter::Meter;
use endpoint::Endpoint;

/// Requests that the Engine answers from its memory: inspect, list, version. They take
/// milliseconds, or seconds if the Engine is busy with a hundred containers.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests that involve the kernel and the runtime: create, start, remove, exec. `rm -f` of a
/// container with an undrained exec stream was seen to take 20 s.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests that move data: upload and commit of an image's layer, some MB to a slow disk.
const IMAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// bollard's own limit, from the request to the head of the answer. It is longer than ours and
/// never reached: streams send their heads at once, and bollard does not limit their bodies.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(3600);

/// A Docker Engine. Cheap to clone; all clones share one connection's facts.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: EngineAddress,
    endpoint: Endpoint,
    meter: Meter,
    connection: Mutex<Option<Arc<EngineConnection>>>,
    /// Fields that are unknown to us and that the Engine fills in by itself. See [`verify`].
    unknown: Mutex<verify::UnknownFields>,
    /// Held while an image of volume owners is created: [`owner`].
    importing: tokio::sync::Mutex<()>,
}

/// Facts that hold until the Engine is unreachable: after that it may be a different one.
#[derive(Debug)]
struct EngineConnection {
    docker: Docker,
    kind: EngineKind,
    capabilities: OnceLock<Arc<Capabilities>>,
    quota: OnceLock<Quota>,
}

impl DockerEngine {
    /// The Engine at `address`. The first call connects to it.
    ///
    /// # Errors
    /// [`EngineError::Address`] for an address that cannot be one.
    pub fn new(address: EngineAddress) -> Result<Self, EngineError> {
        let endpoint = Endpoint::parse(&address.uri).map_err(|reason| EngineError::Address {
            address: address.uri.clone(),
            found_by: address.found_by.clone(),
            reason,
        })?;
        let shared = Shared {
            address,
            endpoint,
            meter: Meter::new(),
            connection: Mutex::default(),
            unknown: Mutex::default(),
            importing: tokio::sync::Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub fn address(&self) -> &EngineAddress {
        &self.shared.address
    }

    /// `host:port` of an Engine that listens on TCP.
    pub fn control_address(&self) -> Option<&str> {
        match &self.shared.endpoint {
            Endpoint::Tcp(address) => Some(address),
            Endpoint::Unix(_) => None,
        }
    }

    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// bollard with a negotiated API version: on first use, and again after the Engine was gone.
    /// Only `raw` sends it: bollard 0.21.1 sends its paths without one (`uri.rs` joins the path
    /// onto the version and so replaces it), and every Engine then uses its own newest. Concurrent
    /// callers negotiate separately, so that no caller waits for another's deadline.
    async fn connect(&self) -> Result<Arc<EngineConnection>, EngineError> {
        if let Some(connection) = &*self.shared.connection.lock() {
            return Ok(Arc::clone(connection));
        }
        let client = self.client();
        let client = client.map_err(|error| self.bollard_error("connect", QUERY_TIMEOUT, error));
        let docker = self.counted("connect", Instant::now(), client)?;
        let docker = self
            .bounded("version", QUERY_TIMEOUT, docker.negotiate_version())
            .await?;
        // negotiate_version keeps its answer to itself.
        let version = self
            .bounded("version", QUERY_TIMEOUT, docker.version())
            .await?;
        let connection = Arc::new(EngineConnection {
            docker,
            kind: version::kind_of(version.components.as_deref()),
            capabilities: OnceLock::new(),
            quota: OnceLock::new(),
        });
        *self.shared.connection.lock() = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn docker(&self) -> Result<Docker, EngineError> {
        Ok(self.connect().await?.docker.clone())
    }

    fn client(&self) -> Result<Docker, BollardError> {
        let seconds = CLIENT_TIMEOUT.as_secs();
        match &self.shared.endpoint {
            Endpoint::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
            }
            Endpoint::Tcp(host) => Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION),
        }
    }

    /// Runs one call of bollard's under a deadline.
    async fn bounded<T>(
        &self,
        call: &'static str,
        after: Duration,
        future: impl Future<Output = Result<T, BollardError>>,
    ) -> Result<T, EngineError> {
        let start = Instant::now();
        let future = future.instrument(debug_span!("engine", request = call));
        let answer = match tokio::time::timeout(after, future).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.bollard_error(call, after, error)),
            Err(_) => Err(EngineError::Deadline { call, after }),
        };
        self.counted(call, start, answer)
    }

    /// Counts a request in the metrics.
    fn counted<T>(
        &self,
        call: &'static str,
        start: Instant,
        answer: Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let error = answer.as_ref().err().and_then(EngineError::failure);
        self.shared.meter.engine(call, start.elapsed(), error);
        answer
    }

    fn bollard_error(
        &self,
        call: &'static str,
        after: Duration,
        error: BollardError,
    ) -> EngineError {
        let error = EngineError::from_bollard(call, &self.shared.address.uri, after, error);
        self.noted(error)
    }

    /// Forgets the connection where the error says that the Engine was gone.
    fn noted(&self, error: EngineError) -> EngineError {
        if matches!(error, EngineError::Unavailable { .. }) {
            *self.shared.connection.lock() = None;
        }
        error
    }
}

/// A name of a container or a volume that may stand in a path: bollard puts it there as it is.
/// The Engine's own rule (moby, `daemon/names/names.go`); ids are of it too.
fn segment<'a>(kind: &'static str, name: &'a str) -> Result<&'a str, EngineError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.len() <= MAX_NAME && name.bytes().all(inner) {
        Ok(name)
    } else {
        Err(EngineError::Name {
            kind,
            name: shorten(name),
        })
    }
}

/// The Engine's filter for labels of an object: all of them must match.
fn label_filters(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let filters = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    HashMap::from([("label".to_owned(), filters)])
}

/// Longest name that is sent, in bytes: the Engine has no bound, a file name has 255.
const MAX_NAME: usize = 255;
