//! The table of all settings. Flags, variables, keys of the file, the help, defaults and bounds are
//! made from it, and it decides which settings users can have different from the others.
//!
//! To add a setting: a row here, a field of `Config` or `SandboxSettings` with the line that parses
//! it, a row in docs/settings.md. The tests then name what is missing.

use std::time::Duration;

use super::choices::{
    AuthScheme, EngineChoice, GroupsClaim, Mode, Profile, Results, SWITCH, SWITCH_OFF, ToolSet,
};
use super::limits::{self, Bounds};
use super::units::{Bytes, NanoCpus, Quantity};
use super::value_kind::ValueKind;

/// Prefix of the variables of this server. An unknown variable with it is an error.
pub const PREFIX: &str = "CASEMATE_";

/// The variable that names the settings file. Not a setting, so a file cannot name another file.
pub const CONFIG_VARIABLE: &str = "CASEMATE_CONFIG";

/// Keys of older versions. They still work, with a warning; flag and variable follow from them.
pub const OLD_KEYS: [(&str, Setting); 1] = [("disk_floor", Setting::MinFreeDisk)];

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct SettingSpec {
    /// Its key in the settings file; flag and variable are made from it.
    key: &'static str,
    /// Its heading in the help.
    pub group: Group,
    /// The line of the help.
    pub what: &'static str,
    /// Its values.
    pub value_kind: ValueKind,
}

/// A heading of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One server as a whole.
    Server,
    /// The sandbox of one user. The file may give a user another value.
    Sandbox,
    /// The machine that the Engine runs on, shared by all sandboxes.
    Host,
}

impl Group {
    /// For the help.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Server => "The server",
            Self::Sandbox => {
                "A user's sandbox (the file may give a user or a group other values: [[users]], [[groups]])"
            }
            Self::Host => "The host or the cluster",
        }
    }
}

/// A quantity whose bounds are in the table.
pub trait Bounded: Quantity {
    /// The bounds of such a value; `None` for settings of another kind.
    fn of(kind: ValueKind) -> Option<Bounds<Self>>;

    /// The bounds of `setting`. The field of the configuration and the row of the table must have
    /// the same kind: a test loads every setting.
    fn bounds(setting: Setting) -> Bounds<Self> {
        let bounds = Self::of(setting.spec().value_kind);
        bounds.expect("the setting's kind in the table is that of its field")
    }
}

macro_rules! bounded {
    ($($kind:ident($quantity:ty);)+) => {
        $(impl Bounded for $quantity {
            fn of(kind: ValueKind) -> Option<Bounds<Self>> {
                match kind {
                    ValueKind::$kind(bounds) => Some(bounds),
                    _ => None,
                }
            }
        })+
    };
}

bounded! {
    Number(u32);
    Size(Bytes);
    Cpus(NanoCpus);
    Time(Duration);
}

/// Makes the enum, the list and the rows from one table, so that none can lack an entry.
macro_rules! settings {
    ($($setting:ident = $key:literal, $group:ident, $what:literal, $value_kind:expr;)+) => {
        /// One setting, under three names: `--idle-timeout`, `CASEMATE_IDLE_TIMEOUT`,
        /// `idle_timeout`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Setting {
            $(#[doc = $what] $setting,)+
        }

        impl Setting {
            /// All of them, in the order of the help.
            pub const ALL: &[Self] = &[$(Self::$setting,)+];

            /// Its row.
            pub fn spec(self) -> SettingSpec {
                use ValueKind::*;
                match self {
                    $(Self::$setting => SettingSpec {
                        key: $key,
                        group: Group::$group,
                        what: $what,
                        value_kind: $value_kind,
                    },)+
                }
            }
        }
    };
}

settings! {
    User = "user", Server, "Whose sandbox a stdio server uses",
        Text("NAME", Some("the OS user"));
    Workspace = "workspace", Server, "Which of the user's workspaces a stdio server uses",
        Text("NAME", Some("the user's own"));
    Instance = "instance", Server, "Name of this deployment, in the names and labels of its containers and volumes",
        Text("NAME", Some("default"));
    Results = "results", Server, "Forms of a tool result: both, or text only",
        Words(Results::WORDS);
    Tools = "tools", Server, "Tools that clients see: core leaves out edit_file and share",
        Words(ToolSet::WORDS);
    Wait = "wait", Server, "Default of shell_exec's wait_seconds: how long a call waits before it answers `running`",
        Time(limits::WAIT);
    Warm = "warm", Server, "Make the sandbox ready before the first call",
        Words(SWITCH);
    UploadLimit = "upload_limit", Server, "Largest upload over HTTP",
        Size(limits::UPLOAD_LIMIT);
    Admin = "admin", Server, "Address for metrics, health and the console: an address and a port, or a port of 127.0.0.1",
        Text("ADDR", None);
    AdminTokensFile = "admin_tokens_file", Server, "The admin address: the TOML file with the digests of operators' tokens, for the console",
        Text("FILE", None);
    Audit = "audit", Server, "Directory for the audit, one line per call",
        Text("DIR", None);
    AuditContent = "audit_content", Server, "Also record the content of commands and files, 64 KiB of each",
        Words(SWITCH_OFF);
    Log = "log", Server, "Filter of the log on stderr, as in `warn,casemate=debug`",
        Text("FILTER", Some(limits::LOG));
    Auth = "auth", Server, "HTTP: how callers authenticate",
        Words(AuthScheme::WORDS);
    TokensFile = "tokens_file", Server, "Auth tokens: the TOML file with the tokens' digests",
        Text("FILE", None);
    JwtIssuer = "jwt_issuer", Server, "Auth jwt: the issuer of access tokens, a URL, exactly as in their iss",
        Text("URL", None);
    JwtAudience = "jwt_audience", Server, "Auth jwt: the name of this server, exactly as in the tokens' aud",
        Text("AUDIENCE", None);
    JwtJwks = "jwt_jwks", Server, "Auth jwt: the issuer's public keys (JWKS), an https URL or a file",
        Text("URL|FILE", None);
    GroupsClaim = "groups_claim", Server, "Auth jwt: optional also accepts tokens without a claim that a group asks for",
        Words(GroupsClaim::WORDS);
    WorkspaceHeader = "workspace_header", Server, "HTTP: the header in which a request names a workspace of its user",
        Text("HEADER", Some(limits::WORKSPACE_HEADER));
    SessionKeyFile = "session_key_file", Server, "The page: the file with the keys of its sessions, one a line, each 32 bytes in base64",
        Text("FILE", Some("a random key, until the server ends"));
    OidcClientId = "oidc_client_id", Server, "The page, auth jwt: sign-in at the issuer as this client",
        Text("ID", None);
    OidcClientSecretFile = "oidc_client_secret_file", Server, "The page, auth jwt: the file with the client's secret, for a confidential client",
        Text("FILE", None);
    OidcScopes = "oidc_scopes", Server, "The page, auth jwt: what a sign-in asks the issuer for, separated by spaces; openid is added",
        Text("SCOPES", Some(limits::OIDC_SCOPES));
    PublicUrl = "public_url", Server, "The URL of this server in browsers: where sign-in comes back to, and where links lead",
        Text("URL", Some("its own address, if that is loopback"));
    LinkKeyFile = "link_key_file", Server, "The file with the keys of links, one a line, each 32 bytes in base64; the first of two signs",
        Text("FILE", Some("a key that is made once in the state directory"));
    PreviewDomain = "preview_domain", Server, "Previews: the domain whose names, one for each application and site, lead to this server",
        Text("HOST", Some("localhost with the server's port, if browsers reach it there"));
    PreviewFrameAncestors = "preview_frame_ancestors", Server, "Previews: origins whose pages may show one in a frame, separated by commas",
        Text("ORIGINS", None);
    AllowedHosts = "allowed_hosts", Server, "HTTP: names of this server that requests may use, separated by commas",
        Text("HOSTS", Some("the loopback names and the listening address"));
    AllowedOrigins = "allowed_origins", Server, "HTTP: origins whose pages may call this server, separated by commas",
        Text("ORIGINS", Some("those of the loopback names at the listening port"));
    BackupTarget = "backup_target", Server, "Where backups go",
        Text("DIR|s3://BUCKET/PREFIX", None);
    BackupEvery = "backup_every", Server, "How often serve makes a backup of each workspace",
        Text("DURATION", Some(limits::NO_BACKUPS));
    BackupKeepLast = "backup_keep_last", Server, "How many of the newest backups of a workspace to keep",
        Number(limits::BACKUP_KEEP_LAST);
    BackupKeepDaily = "backup_keep_daily", Server, "For how many days to keep the newest backup of the day",
        Number(limits::BACKUP_KEEP_OLDER);
    BackupKeepWeekly = "backup_keep_weekly", Server, "For how many weeks to keep the newest backup of the week",
        Number(limits::BACKUP_KEEP_OLDER);
    BackupVerify = "backup_verify", Server, "Read each new backup again",
        Words(SWITCH);
    EgressAllow = "egress_allow", Server, "Hosts that sandboxes may reach, separated by commas; in the file also as the table egress",
        Text("HOSTS", Some(limits::NO_EGRESS));
    EgressBytesPerDay = "egress_bytes_per_day", Server, "Bytes of a user that egress rules let pass in a day (UTC), in both directions: a size, or off",
        Text("SIZE", Some("off"));
    SharedData = "shared_data", Server, "Shared data that sandboxes read, by name, separated by commas; for a user or a group in the file: shared",
        Text("NAMES", Some(limits::NO_SHARED_DATA));
    Mode = "mode", Sandbox, "How long containers live, and where files are kept (docs/tools.md)",
        Words(Mode::WORDS);
    Profile = "profile", Sandbox, "What stands between the code and the host's kernel: a container, or gVisor",
        Words(Profile::WORDS);
    Image = "image", Sandbox, "Image of the sandbox: any Linux image",
        Text("IMAGE", Some(limits::IMAGE));
    Memory = "memory", Sandbox, "Memory, swap included",
        Size(limits::MEMORY);
    Cpus = "cpus", Sandbox, "CPUs",
        Cpus(limits::CPUS);
    Pids = "pids", Sandbox, "Processes and threads",
        Number(limits::PIDS);
    Quota = "quota", Sandbox, "Size of the workspace, where the Engine can limit it",
        Size(limits::QUOTA);
    IdleTimeout = "idle_timeout", Sandbox, "How long an idle sandbox stays",
        Time(limits::IDLE_TIMEOUT);
    BackgroundTtl = "background_ttl", Sandbox, "How long background processes outlive the last call",
        Time(limits::BACKGROUND_TTL);
    CallsPerUser = "calls_per_user", Sandbox, "Calls that run at once; more wait",
        Number(limits::CALLS_PER_USER);
    EphemeralLive = "ephemeral_live", Sandbox, "Ephemeral containers that run commands at once",
        Number(limits::EPHEMERAL_LIVE);
    SandboxesPerUser = "sandboxes_per_user", Sandbox, "Workspaces of the user that have a sandbox alive at once; the longest idle one ends for another",
        Number(limits::SANDBOXES_PER_USER);
    WorkspacesPerUser = "workspaces_per_user", Sandbox, "Workspaces that the user may have besides their own",
        Number(limits::WORKSPACES_PER_USER);
    ShareLinks = "share_links", Sandbox, "Links to what a user shares open without sign-in",
        Words(SWITCH_OFF);
    ShareLinkMax = "share_link_max", Sandbox, "How long a link without sign-in lasts at most",
        Time(limits::SHARE_LINK_MAX);
    MaxSandboxes = "max_sandboxes", Host, "Sandboxes alive at once, over all servers of the instance",
        Number(limits::MAX_SANDBOXES);
    VolumeRetention = "volume_retention", Host, "How long to keep an unused workspace: at least 1h, or off; needs backup_target",
        Text("DURATION", Some("off"));
    WorkspaceRetention = "workspace_retention", Host, "The same for workspaces that have a name; a user's own is exempt",
        Text("DURATION", Some(limits::WORKSPACE_RETENTION_TEXT));
    MinFreeDisk = "min_free_disk", Host, "Free space to leave on the Engine's disk: below it, writes and new sandboxes are refused",
        Size(limits::MIN_FREE_DISK);
    Runtime = "runtime", Host, "The Engine's runtime for the profile high",
        Text("NAME", Some(limits::RUNTIME));
    UidCount = "uid_count", Host, "Uids for users, one each; 0: all users share uid 1000",
        Number(limits::UID_COUNT);
    UidBase = "uid_base", Host, "The first of these uids",
        Text("NUMBER", Some("65536, or 20000 if the Engine maps uids"));
    Engine = "engine", Host, "What sandboxes are made on: auto is kubernetes in a Pod with a service account, else docker",
        Words(EngineChoice::WORDS);
    KubernetesNamespace = "kubernetes_namespace", Host, "Kubernetes: the namespace of sandboxes",
        Text("NAME", Some("that of the kubeconfig or the service account"));
    KubernetesStorageClass = "kubernetes_storage_class", Host, "Kubernetes: the storage class of workspaces",
        Text("NAME", Some("the cluster's default"));
    KubernetesRuntimeClass = "kubernetes_runtime_class", Host, "Kubernetes: the runtime class of sandboxes",
        Text("NAME", Some("the nodes' default"));
    KubernetesNodeSelector = "kubernetes_node_selector", Host, "Kubernetes: labels that a sandbox's node must have, as key=value, separated by commas",
        Text("LABELS", None);
    KubernetesTolerations = "kubernetes_tolerations", Host, "Kubernetes: taints of nodes that sandboxes tolerate, as key=value:Effect or key:Effect, separated by commas",
        Text("TAINTS", None);
    KubernetesRequests = "kubernetes_requests", Host, "Kubernetes: how much of its memory and CPU a sandbox requests, in per cent",
        Number(limits::KUBERNETES_REQUESTS);
    KubernetesImagePullSecrets = "kubernetes_image_pull_secrets", Host, "Kubernetes: secrets for the registry of images, separated by commas",
        Text("NAMES", None);
    KubernetesKeyFile = "kubernetes_key_file", Host, "Kubernetes: the file with the secret of the instance's servers, 32 bytes or more, the same for all of them",
        Text("FILE", None);
    KubernetesUnreachable = "kubernetes_unreachable", Host, "Kubernetes: more addresses that no sandbox may reach, as address:port, separated by commas",
        Text("ADDRS", None);
    KubernetesLostChannelTtl = "kubernetes_lost_channel_ttl", Host, "Kubernetes: how long a command keeps running after its server has lost the connection to it",
        Time(limits::KUBERNETES_LOST_CHANNEL_TTL);
    BindRoot = "bind_root", Host, "Mode bind: the directory that holds one directory per user",
        Text("DIR", None);
    BindDir = "bind_dir", Host, "Mode bind over stdio: exactly the directory to use",
        Text("DIR", None);
}

impl Setting {
    /// Its key in the settings file.
    pub fn key(self) -> &'static str {
        self.spec().key
    }

    /// Its flag on the command line, without the dashes before it.
    pub fn flag(self) -> String {
        flag(self.key())
    }

    /// Its variable in the environment.
    pub fn variable(self) -> String {
        variable(self.key())
    }

    /// Whether the file may give a user another value.
    pub fn is_per_user(self) -> bool {
        self.spec().group == Group::Sandbox
    }

    /// All settings with [`Setting::is_per_user`].
    pub fn per_user() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|s| s.is_per_user())
    }

    /// All keys with their settings, old ones too.
    fn keys() -> impl Iterator<Item = (&'static str, Self)> {
        Self::ALL.iter().map(|s| (s.key(), *s)).chain(OLD_KEYS)
    }

    /// The setting with this key, which may be an old one.
    pub fn from_key(key: &str) -> Option<(&'static str, Self)> {
        Self::keys().find(|(known, _)| *known == key)
    }

    /// The settings in the table `section` of the file, with their keys there: in `[backup]`,
    /// `every` is `backup_every`.
    pub fn in_section(section: &str) -> impl Iterator<Item = (&'static str, Self)> {
        let rest = move |key: &'static str| key.strip_prefix(section)?.strip_prefix('_');
        let all = Self::ALL.iter().copied();
        all.filter_map(move |setting| Some((rest(setting.key())?, setting)))
    }

    /// The setting with this variable, and the key that the variable is made from.
    pub fn from_variable(name: &str) -> Option<(&'static str, Self)> {
        Self::keys().find(|(key, _)| variable(key) == name)
    }
}

/// The flag of a key, without the dashes before it.
pub fn flag(key: &str) -> String {
    key.replace('_', "-")
}

/// The variable of a key.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}
