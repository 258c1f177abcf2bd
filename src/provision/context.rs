//! What the provisioners of all users share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::capacity::Capacity;
use super::image_descriptions::ImageDescriptions;
use super::image_files::sandbox_files;
use super::uids::{UidsInUse, uid_range};
use crate::config::{Config, Profile};
use crate::engine::{Engine, EngineError, SandboxFiles, UidRange};

/// Users whose workspaces are looked at together, in search of one that can go.
const SEARCH_LIMIT: usize = 4;

/// What all sandboxes of a server are made with.
#[derive(Debug)]
pub struct ServerContext {
    pub config: Config,
    pub engine: Engine,
    /// When this server started, RFC 3339.
    pub since: String,
    /// The name of this server's host.
    pub node: String,
    /// One preparation at a time: the others find it done.
    pub preparing: tokio::sync::Mutex<()>,
    /// What the images of sandboxes say of themselves.
    pub image_descriptions: ImageDescriptions,
    /// Calls of all users that wait for their turn.
    pub waiting: Arc<AtomicUsize>,
    /// Numbers that volumes are about to have.
    pub uids_in_use: UidsInUse,
    /// How many sandboxes there are, and may be.
    pub capacity: Capacity,
    /// The searches of all users for a workspace that can go: each has several helper containers.
    pub searches: Semaphore,
    /// The owners, and the containers that are being made: the end of the server waits
    /// for them.
    pub tasks: TaskTracker,
}

impl ServerContext {
    /// Of a server that starts now. Does not reach for the Engine.
    pub fn new(config: Config, engine: Engine) -> Arc<Self> {
        let waiting: Arc<AtomicUsize> = Arc::default();
        Arc::new(Self {
            since: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            node: node(),
            preparing: tokio::sync::Mutex::new(()),
            uids_in_use: UidsInUse::default(),
            capacity: Capacity::new(&config, &engine, waiting.clone()),
            searches: Semaphore::new(SEARCH_LIMIT),
            image_descriptions: ImageDescriptions::new(&engine),
            config,
            engine,
            waiting,
            tasks: TaskTracker::new(),
        })
    }

    /// The files that are put into images of sandboxes of this profile.
    pub fn files(&self, profile: Profile) -> SandboxFiles<'_> {
        sandbox_files(&self.config, profile)
    }

    /// When this server started, in milliseconds since 1970.
    pub fn since_ms(&self) -> i64 {
        let since = humantime::parse_rfc3339(&self.since).ok();
        let since = since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    /// The uids that users have here.
    pub async fn uids(&self) -> Result<UidRange, EngineError> {
        let capabilities = self.engine.capabilities().await?;
        Ok(uid_range(&self.config.uids, &capabilities))
    }
}

/// The name of this machine, for labels and records.
pub fn node() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}
