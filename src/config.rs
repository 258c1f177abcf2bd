//! Settings, in two phases: the given texts ([`RawConfig`]) and the valid values ([`Config`]).
//!
//! ```text
//! SettingsArgs ─┐
//! Environment ──┼─► RawConfig (text, origin) ─► Config (typed, bounded) ─► for_user
//! file ─────────┘
//! ```
//!
//! Invariants:
//!
//! - After phase 2 every value is in its bounds, and no other module checks it again.
//! - An error names the setting, where it was given, the value and what is allowed.
//! - A `[[groups]]` table of the file overrides the settings of all users, wherever those were
//!   given, because it is more specific, and a `[[users]]` table overrides both.
//! - No other module of the server reads the environment.

mod admin;
mod all_users;
mod backup;
mod bind;
mod choices;
mod egress;
mod environment;
mod error;
mod file;
mod flags;
mod groups;
mod http;
mod image;
mod kubernetes;
mod layer;
pub mod limits;
mod nearest;
mod origin;
mod per_user;
mod previews;
mod raw;
mod reload;
mod sandbox;
mod setting;
mod shared;
mod sign_in;
mod text;
mod uids;
mod units;
mod users;
mod value_error;
mod value_kind;
mod values;
mod web;
mod workspace_header;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use backup::{AwsVariables, BackupSettings, BackupTarget, Retention};
pub use bind::{Bind, HostDir};
pub use choices::{AuthScheme, EngineChoice, GroupsClaim, Mode, Profile, Results, ToolSet};
pub use egress::{EgressConfig, EgressWatch, RuleLayer};
pub use environment::{Environment, MapEnvironment, ProcessEnvironment};
pub use error::{ConfigError, Excerpt};
pub use flags::SettingsArgs;
pub use groups::{GroupConfig, GroupUnknown, Groups, Members, TokenClaims, TokenView};
pub use http::{Auth, HttpSettings, JwksSource, JwtSettings};
pub use image::ImageRef;
pub use kubernetes::{KubernetesSettings, Toleration};
pub use layer::{Layer, RawUser, RawValue};
pub use origin::{FileLocation, Origin};
pub use per_user::EffectiveSetting;
pub use previews::{PreviewSettings, is_localhost};
pub use raw::{RawConfig, egress_problem};
pub use reload::{FileError, Reload};
pub use sandbox::SandboxSettings;
pub use setting::{Group, Setting, SettingSpec};
pub use shared::{SharedConfig, SharedData, SharedName, SharedPath};
pub use sign_in::SignInSettings;
pub use uids::Uids;
pub use units::{Bytes, NanoCpus, Quantity};
pub use value_error::ValueError;
pub use value_kind::ValueKind;
pub use web::{AllowedHost, HttpUrl, WebOrigin, listen_address};
pub use workspace_header::WorkspaceHeader;

use crate::identity::{Instance, User, WorkspaceId, WorkspaceName};
use choices::switch;
use egress::EgressSource;
use users::Users;
use values::{bytes_per_day, log_filter, retention, runtime};

/// The settings of a server, all valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whose sandbox a stdio server uses.
    pub user: User,
    /// Which of the user's workspaces a stdio server uses; `None`: the user's own.
    pub workspace: Option<WorkspaceName>,
    /// Namespace of names and labels on the Engine.
    pub instance: Instance,
    /// The forms of a tool result.
    pub results: Results,
    /// The tools that clients see.
    pub tools: ToolSet,
    /// How long a call of `shell_exec` waits by default; [`limits::WAIT`].
    pub wait: Duration,
    /// Whether a sandbox is made before the first call.
    pub warm: bool,
    /// One upload over HTTP; [`limits::UPLOAD_LIMIT`].
    pub upload_limit: Bytes,
    /// The address of the metrics; `None`: they are not served.
    pub admin: Option<SocketAddr>,
    /// The tokens that open the console there; `None`: there is no console.
    pub admin_tokens_file: Option<PathBuf>,
    /// The directory of the audit; `None`: there is no audit.
    pub audit: Option<HostDir>,
    /// Whether the audit has the content of commands and files.
    pub audit_content: bool,
    /// Directives of the log, for [`tracing_subscriber::EnvFilter`].
    pub log: String,
    /// Sandboxes alive at once; [`limits::MAX_SANDBOXES`].
    pub max_sandboxes: u32,
    /// How long the volume of an unused workspace is kept; `None`: for ever.
    pub volume_retention: Option<Duration>,
    /// The same, of a workspace that has a name.
    pub workspace_retention: Option<Duration>,
    /// Free space on the Engine's disk below which writes and new sandboxes are refused;
    /// [`limits::MIN_FREE_DISK`].
    pub min_free_disk: Bytes,
    /// The Engine's runtime for the profile high.
    pub runtime: String,
    /// The uids that users' code runs as.
    pub uids: Uids,
    /// What sandboxes are made on.
    pub engine: EngineChoice,
    /// How they are made on Kubernetes.
    pub kubernetes: KubernetesSettings,
    /// The directory for bind mode. There is one exactly if some user is in that mode.
    pub bind: Option<Bind>,
    /// Where backups go, how often they are made, and how many are kept.
    pub backup: BackupSettings,
    /// What sandboxes may reach, by the settings at the start; see [`Config::watch_egress`].
    pub egress: Arc<EgressConfig>,
    /// Bytes of each user that pass in a day by egress rules; `None`: any number.
    pub egress_bytes_per_day: Option<Bytes>,
    /// Where it is read again.
    egress_source: EgressSource,
    /// The data that sandboxes may share.
    pub shared: Arc<SharedConfig>,
    /// Where this server keeps what outlives it; `None`: the machine has no place for that.
    pub state_directory: Option<PathBuf>,
    /// Callers over HTTP: authentication, hosts and origins.
    pub http: HttpSettings,
    /// The sandboxes of users without a `[[users]]` table.
    sandbox: Arc<SandboxSettings>,
    /// The sandboxes of users with one.
    users: Users,
    /// The sandboxes of users in a group.
    pub groups: Arc<Groups>,
    /// The given texts, for [`Config::in_force`].
    given: Layer,
}

impl Config {
    /// Both phases. Blocks on the settings file and the list of users.
    ///
    /// # Errors
    ///
    /// The first problem; see [`ConfigError`].
    pub fn load(args: SettingsArgs, environment: &dyn Environment) -> Result<Self, ConfigError> {
        Self::from_raw(RawConfig::gather(args, environment)?)
    }

    /// Phase 2: parses the given values and fills in the defaults.
    ///
    /// # Errors
    ///
    /// The first value that is not allowed, or two that conflict.
    pub fn from_raw(raw: RawConfig) -> Result<Self, ConfigError> {
        use Setting as S;
        let mut given = raw.settings;
        let user = User::local(raw.user.parse(|text| Ok(text.parse()?))?);
        given.insert(S::User, raw.user);
        let sandbox = SandboxSettings::from_layer(&given)?;
        let users = users::identify(raw.users)?;
        let groups = groups::identify(raw.groups)?;
        let allow = given.get(S::EgressAllow);
        let egress = EgressConfig::from_raw(raw.egress.as_ref(), allow, &groups, &users)?;
        let users = Users::from_raw(users, &given)?;
        let claim = given.value(S::GroupsClaim, GroupsClaim::Required, str::parse)?;
        let groups = Groups::from_raw(groups, &given, claim)?;
        let shared = SharedConfig::from_raw(&raw.shared)?;
        shared.check(users.layers().chain(groups.layers()).chain([&given]))?;
        Ok(Self {
            user,
            workspace: given.value(S::Workspace, None, |text| Ok(Some(text.parse()?)))?,
            instance: given.value(S::Instance, Instance::default(), |text| Ok(text.parse()?))?,
            results: given.value(S::Results, Results::Both, str::parse)?,
            tools: given.value(S::Tools, ToolSet::All, str::parse)?,
            wait: given.bounded(S::Wait)?,
            warm: given.value(S::Warm, true, switch)?,
            upload_limit: given.bounded(S::UploadLimit)?,
            admin: admin::address(&given)?,
            admin_tokens_file: admin::tokens_file(&given)?,
            audit: given.value(S::Audit, None, |text| text.parse().map(Some))?,
            audit_content: given.value(S::AuditContent, false, switch)?,
            log: given.value(S::Log, limits::LOG.to_owned(), log_filter)?,
            max_sandboxes: given.bounded(S::MaxSandboxes)?,
            volume_retention: given.value(S::VolumeRetention, None, retention)?,
            workspace_retention: given.value(
                S::WorkspaceRetention,
                Some(limits::WORKSPACE_RETENTION),
                retention,
            )?,
            min_free_disk: given.bounded(S::MinFreeDisk)?,
            runtime: given.value(S::Runtime, limits::RUNTIME.to_owned(), runtime)?,
            uids: Uids::from_layer(&given)?,
            engine: given.value(S::Engine, EngineChoice::Auto, str::parse)?,
            kubernetes: KubernetesSettings::from_layer(&given)?,
            bind: Bind::from_layers(
                &given,
                users.layers().chain(groups.layers()).chain([&given]),
            )?,
            backup: BackupSettings::from_layer(&given)?,
            egress: Arc::new(egress),
            egress_bytes_per_day: given.value(S::EgressBytesPerDay, None, bytes_per_day)?,
            egress_source: raw.egress_source,
            shared: Arc::new(shared),
            state_directory: raw.state_directory,
            http: HttpSettings::from_layer(&given)?,
            sandbox: Arc::new(sandbox),
            users,
            groups: Arc::new(groups),
            given,
        })
    }

    /// How long this workspace is kept while it is unused; `None`: for ever. For one that has a name
    /// both settings count, and the shorter holds.
    pub fn retention_of(&self, workspace: &WorkspaceId) -> Option<Duration> {
        let named = self.workspace_retention;
        let named = named.filter(|_| workspace.name.is_some());
        named.into_iter().chain(self.volume_retention).min()
    }

    /// Checks that the directory to bind exists. Only a server asks this, before it serves; if the
    /// directory disappears later, the calls that need it fail. Blocks.
    ///
    /// # Errors
    ///
    /// It does not exist.
    pub fn check_directory(&self) -> Result<(), ConfigError> {
        let Some(bind) = &self.bind else {
            return Ok(());
        };
        bind.check().map_err(|reason| {
            let path = bind.as_path().display();
            let problem = format!("{path}: {reason}; create the directory, or give another one");
            ConfigError::setting(&self.given.origin(bind.setting()), problem)
        })
    }

    /// A sentence for each setting that was given under an old name.
    pub fn renamed(&self) -> impl Iterator<Item = String> {
        let old = |(setting, given): &(Setting, &RawValue)| given.origin.is_old_name_of(*setting);
        self.given.iter().filter(old).map(|(setting, given)| {
            let (origin, name) = (&given.origin, setting.key());
            format!("{origin}: this setting is now called {name}; the old name still works")
        })
    }

    /// What sandboxes may reach, from now on: a task reads the settings file again until `stop`. Of
    /// a changed file only egress counts, and what flags and environment say stays. A file that
    /// cannot be used changes nothing, and is logged once. Must be called inside the runtime.
    pub fn watch_egress(&self, stop: CancellationToken) -> EgressWatch {
        EgressWatch::start(self.egress.clone(), self.egress_source.clone(), stop)
    }

    /// A copy for a throw-away sandbox, with the image and the limits of `group`, or of all users: no
    /// settings of users and groups, no shared data, a volume even in bind mode, a short idle timeout,
    /// and no waiting for other sandboxes to end.
    #[must_use]
    pub fn for_probe(&self, group: Option<&GroupConfig>, idle_timeout: Duration) -> Self {
        let settings = group.map_or(&self.sandbox, |group| &group.settings);
        let sandbox = SandboxSettings {
            mode: Mode::Persistent,
            idle_timeout,
            shared: BTreeSet::new(),
            ..SandboxSettings::clone(settings)
        };
        Self {
            sandbox: Arc::new(sandbox),
            users: Users::default(),
            groups: Arc::default(),
            bind: None,
            // So that no user's sandbox has to end for it.
            max_sandboxes: limits::MAX_SANDBOXES.most,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
