//! All sandboxes of this server, by user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info_span};

use super::admission::Admission;
use super::bring_up::{Common, Maker};
use super::owner::Owner;
use super::{NoteSlot, Sandbox, Status};
use crate::config::Config;
use crate::engine::Engine;
use crate::identity::{SandboxName, User};

/// Requests that wait for one owner: all calls of a user that may run at once
/// ask for a lease, and nothing else is queued here.
const REQUESTS: usize = 256;

/// How long the end of the server waits for its commands to be ended.
const ENDING: Duration = Duration::from_millis(1500);

/// How long it then waits for the channels to be let go of: nothing in it waits.
const LETTING_GO: Duration = Duration::from_millis(300);

/// Hands out sandboxes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Manager {
    common: Arc<Common>,
    sandboxes: Arc<Mutex<HashMap<User, Sandbox>>>,
    owners: TaskTracker,
    calls: TaskTracker,
    /// Calls end what they run, then the owners let go of their channels.
    ending: CancellationToken,
    ended: CancellationToken,
}

impl Manager {
    /// No sandboxes yet. Does not reach for the Engine.
    pub fn new(config: Config, engine: Engine) -> Self {
        let common = Common {
            config,
            engine,
            since: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            node: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            preparing: tokio::sync::Mutex::new(()),
        };
        Self {
            common: Arc::new(common),
            sandboxes: Arc::default(),
            owners: TaskTracker::new(),
            calls: TaskTracker::new(),
            ending: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.common.config
    }

    /// Calls that the end of the server waits for.
    pub fn calls(&self) -> &TaskTracker {
        &self.calls
    }

    /// The sandbox of `user`. Nothing is made before its first use.
    pub fn sandbox(&self, user: &User) -> Sandbox {
        let mut sandboxes = self
            .sandboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sandboxes.get(user) {
            return known.clone();
        }
        let sandbox = self.start_owner(user);
        sandboxes.insert(user.clone(), sandbox.clone());
        sandbox
    }

    fn start_owner(&self, user: &User) -> Sandbox {
        let config = &self.common.config;
        let name = SandboxName::new(&config.instance, user);
        let settings = config.for_user(user);
        let admission = Admission::new(settings.calls_per_user);
        let span = info_span!("sandbox", name = name.as_str());
        let maker = Maker {
            common: self.common.clone(),
            engine: self.common.engine.clone(),
            user: user.clone(),
            settings,
            name,
        };
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let (status_sender, status) = watch::channel(Status::Absent);
        let note = NoteSlot::default();
        let owner = Owner::new(maker, status_sender, note.clone());
        self.owners
            .spawn(owner.run(receiver, self.ended.clone()).instrument(span));
        Sandbox {
            requests,
            status,
            note,
            admission,
            ending: self.ending.clone(),
        }
    }

    /// Ends what the calls of this server run, then closes the channels. The
    /// containers stay and end themselves when idle. Takes 1.8 s at most.
    pub async fn close(self) {
        self.ending.cancel();
        self.calls.close();
        let _ = tokio::time::timeout(ENDING, self.calls.wait()).await;
        self.ended.cancel();
        self.owners.close();
        let _ = tokio::time::timeout(LETTING_GO, self.owners.wait()).await;
    }
}
