//! All sandboxes of this server, by user and workspace.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use casemate_egress::rules::Rules;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::command_log::CommandLog;
use super::egress::{RecentRefusal, ServerEgress};
use super::handle::{Cancellations, Containers, Sandbox};
use super::handles::{Handles, UserShare};
use super::last_container::LastContainer;
use super::port_history::ObservedEnd;
use super::ports::{ContainerPorts, PortChannels};
use super::spawner::{OwnerSpawner, until};
use super::warm_pool::WarmPool;
use crate::audit::Audit;
use crate::config::{Config, EgressConfig};
use crate::engine::{
    ContainerSummary, Engine, EngineError, ImageDescription, PreparedImage, State, labels,
};
use crate::identity::{Identity, User, WorkspaceId};
use crate::meter::Meter;
use crate::provision::{LiveSandbox, Provisioner, SandboxError, ServerContext, identity, look};

/// How long the end of the server waits for its commands to be ended.
const COMMANDS_END_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long the end of the server takes in all: clients kill a server that has not ended
/// after two seconds, the first of them those of the MCP SDKs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1900);

/// Hands out sandboxes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Manager {
    pub(super) context: Arc<ServerContext>,
    handles: Arc<Mutex<Handles>>,
    audit: Audit,
    pub(super) command_log: CommandLog,
    egress: Arc<ServerEgress>,
    port_channels: PortChannels,
    /// Cancelled when somebody asks for a sandbox.
    first_use: CancellationToken,
    calls: TaskTracker,
    /// Calls end what they run, and nothing is made any more; then the owners let go of
    /// their channels.
    ending: CancellationToken,
    ended: CancellationToken,
}

impl Manager {
    /// No sandboxes yet. Does not reach for the Engine.
    pub fn new(config: Config, engine: Engine) -> Self {
        let context = ServerContext::new(config, engine);
        Self {
            egress: Arc::new(ServerEgress::new(&context, Audit::off())),
            context,
            handles: Arc::default(),
            audit: Audit::off(),
            command_log: CommandLog::default(),
            port_channels: PortChannels::default(),
            first_use: CancellationToken::new(),
            calls: TaskTracker::new(),
            ending: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// The same, with its calls recorded in `audit`.
    pub fn recorded_in(self, audit: Audit) -> Self {
        let egress = Arc::new(ServerEgress::new(&self.context, audit.clone()));
        Self {
            audit,
            egress,
            ..self
        }
    }

    /// Carries the egress of its sandboxes as a server, before the first of them is made: follows the
    /// rules, and the addresses of this machine, until the server ends.
    pub fn serve_egress(&self, rules: watch::Receiver<Arc<EgressConfig>>) {
        let egress = self.egress.clone();
        egress.serves_since(self.context.since_ms());
        self.spawn(async move { egress.follow(rules).await });
    }

    /// Closes channels of previews without a viewer, until the server ends.
    pub fn sweep_port_channels(&self) {
        self.spawn(self.port_channels.clone().sweep());
    }

    /// The way to the programs in this container. Whose it is, the caller knows.
    ///
    /// # Errors
    /// It is gone, or cannot be reached.
    pub async fn ports(&self, container: &str) -> Result<ContainerPorts, SandboxError> {
        let engine = &self.context.engine;
        self.port_channels.open(engine, container).await
    }

    /// The end of what was on this port of a container that is gone, as far as this server saw it.
    pub fn port_end(&self, container: &str, port: u16) -> ObservedEnd {
        self.port_channels.history.end(container, port)
    }

    /// The server listens on `address`: no sandbox reaches it.
    pub fn listens_on(&self, address: SocketAddr) {
        self.egress.listens_on(address);
    }

    /// What the sandboxes of this user may reach now.
    pub fn egress_rules(&self, identity: &Identity) -> Arc<Rules> {
        self.egress.rules(identity)
    }

    /// What the image of this user's sandbox says of itself, as far as that is known soon.
    pub async fn image_description(&self, identity: &Identity) -> Option<ImageDescription> {
        let image = &self.context.config.for_identity(identity).image;
        self.context.image_descriptions.of(image).await
    }

    /// The paths of the shared data that this user is given.
    pub fn shared_paths(&self, identity: &Identity) -> Vec<String> {
        let config = &self.context.config;
        let settings = config.for_identity(identity);
        let given = config.shared.given(&settings.shared);
        given.map(|data| data.path.as_str().to_owned()).collect()
    }

    /// Where calls are recorded.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.context.config
    }

    /// Where all that is done is counted.
    pub fn meter(&self) -> &Meter {
        self.context.engine.meter()
    }

    /// Calls that the end of the server waits for.
    pub fn calls(&self) -> &TaskTracker {
        &self.calls
    }

    /// Waits until somebody asks for a sandbox: before that nothing of a server over stdio reaches
    /// for the Engine.
    pub async fn used(&self) {
        self.first_use.cancelled().await;
    }

    /// Runs this until it ends or the server does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = until(self.ended.clone(), task);
        self.context.tasks.spawn(task);
    }

    /// The prepared images of this server, as far as they are there.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn prepared_images(&self) -> Result<Vec<PreparedImage>, EngineError> {
        let mut prepared = Vec::new();
        let uids = self.context.uids().await?;
        for (image, profile) in self.context.config.images() {
            let engine = &self.context.engine;
            prepared.extend(
                engine
                    .known_prepared(image.as_str(), self.context.files(profile), uids)
                    .await?,
            );
        }
        Ok(prepared)
    }

    /// The sandbox of this user's workspace, for this group. Nothing is made before its first use.
    pub fn sandbox(&self, identity: &Identity) -> Sandbox {
        let mut handles = self.handles();
        if let Some(known) = handles.sandbox(identity) {
            return known.clone();
        }
        self.first_use.cancel();
        let provisioner = self.provisioner(identity);
        let share = handles.share(&self.context, &provisioner.spec);
        let sandbox = self.start_sandbox(provisioner, share);
        handles.insert(identity, &sandbox);
        sandbox
    }

    /// The same, if it was asked for before.
    pub(super) fn known_sandbox(&self, identity: &Identity) -> Option<Sandbox> {
        self.handles().sandbox(identity).cloned()
    }

    /// The turns of the cancellations of `user`.
    pub(super) fn cancellations(&self, user: &User) -> Cancellations {
        self.handles().cancellations(user)
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock()
    }

    /// The containers of a workspace as they are now, over all servers. Makes none, and is no
    /// use of them. Those that this server has no channel to are there without their
    /// stats: a look is not worth a bridge, and anybody may look often.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn look(&self, workspace: &WorkspaceId) -> Result<Vec<LiveSandbox>, SandboxError> {
        let mut rows = self.containers(&workspace.user).await?;
        rows.retain(|row| labels::is_of_workspace(workspace, &row.labels));
        let capacity = &self.context.capacity;
        Ok(look(rows, |row| capacity.channel(&row.id)).await)
    }

    /// The containers of a user in all workspaces, as the Engine lists them.
    pub(super) async fn containers(
        &self,
        user: &User,
    ) -> Result<Vec<ContainerSummary>, SandboxError> {
        let ServerContext { engine, config, .. } = &*self.context;
        let theirs = labels::user_filter(&config.instance, user);
        let mut rows = engine.list_containers(&theirs).await?;
        rows.retain(ContainerSummary::is_sandbox);
        Ok(rows)
    }

    /// The workspace with the group of the container that runs; `None`: there is no such container.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn running_identity(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Option<Identity>, SandboxError> {
        let mut rows = self.containers(&workspace.user).await?.into_iter();
        let running = rows.find(|row| {
            let is_theirs = labels::is_of_workspace(workspace, &row.labels);
            is_theirs && row.state == State::Running && !row.is_helper()
        });
        let Some(row) = running else {
            return Ok(None);
        };
        match identity(&row.labels) {
            Some(running) => Ok(Some(running)),
            None => Err(EngineError::Foreign {
                kind: "container",
                name: row.name,
            }
            .into()),
        }
    }

    /// The hosts that sandboxes of this server were refused lately, the latest first.
    pub fn recent_refusals(&self) -> Vec<RecentRefusal> {
        self.egress.recent_refusals()
    }

    /// How the containers of this user are made.
    pub(super) fn provisioner(&self, identity: &Identity) -> Provisioner {
        Provisioner::new(&self.context, identity)
    }

    fn start_sandbox(&self, provisioner: Provisioner, share: UserShare) -> Sandbox {
        let given = &provisioner.spec.settings.shared;
        let shared = self.config().shared.given(given);
        let shared = shared.map(|data| data.path.clone()).collect();
        let workspace = provisioner.spec.identity.workspace_id();
        let spawner = OwnerSpawner {
            provisioner,
            egress: self.egress.clone(),
            audit: self.audit.clone(),
            unused: share.unused,
            ports: self.port_channels.history.clone(),
            ending: self.ending.clone(),
            ended: self.ended.clone(),
        };
        let containers = if spawner.provisioner.spec.is_long_lived() {
            Containers::Lasting(spawner.spawn_owner())
        } else {
            Containers::Fresh(WarmPool::new(spawner, share.ephemeral))
        };
        Sandbox {
            containers,
            meter: self.meter().clone(),
            last_container: LastContainer::default(),
            ports: self.port_channels.history.clone(),
            commands: self.command_log.of(workspace),
            shared,
            admission: share.admission,
            transfers: share.transfers,
            progress: None,
            ending: self.ending.clone(),
        }
    }

    /// Ends what the calls of this server run, then closes the channels. Containers that
    /// last stay and end themselves when idle; others are ended, and one that is being
    /// made is taken away as soon as the Engine has answered. Takes 1.9 s at most. Where
    /// the Engine takes longer than that, a row stays that was never started, which the
    /// sweep of a later server removes.
    pub async fn close(self) {
        let end = Instant::now() + SHUTDOWN_TIMEOUT;
        self.ending.cancel();
        self.calls.close();
        let _ = timeout(COMMANDS_END_TIMEOUT, self.calls.wait()).await;
        self.ended.cancel();
        self.context.tasks.close();
        if timeout_at(end, self.context.tasks.wait()).await.is_err() {
            warn!("the Engine took too long: a container may be left, and is swept later");
        }
    }
}
