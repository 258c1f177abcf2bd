//! The table of all settings. It makes the flag, the variable and the key of the file, the help, the
//! defaults and bounds that the help names, and says which ones a user may have of their own.
//!
//! To add a setting: a row here, a field of `Config` or `SandboxSettings` with the line that parses
//! it, a row in docs/settings.md. The tests then name what is missing.

use std::time::Duration;

use super::backup;
use super::choices::{AuthScheme, Mode, Results, SWITCH, SWITCH_OFF, ToolSet};
use super::limits::{self, Bounds};
use super::units::{Bytes, NanoCpus, Quantity};

/// What variables of this server begin with. An unknown one is an error.
pub const PREFIX: &str = "CASEMATE_";

/// The variable that names the settings file; not a setting itself, so no file can name a second.
pub const CONFIG_VARIABLE: &str = "CASEMATE_CONFIG";

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct SettingSpec {
    /// In the settings file; flag and variable are made from it.
    key: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// What it decides, for the help.
    pub what: &'static str,
    /// Its values.
    pub value_kind: ValueKind,
}

/// What settings belong to: a heading of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One server as a whole.
    Server,
    /// The sandbox of one user. In the file a user may have others than the rest.
    Sandbox,
    /// The machine that the Engine runs on, shared by all sandboxes.
    Host,
}

impl Group {
    /// For the help.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Server => "The server",
            Self::Sandbox => "A user's sandbox (the file may have others per user, as [[users]])",
            Self::Host => "The host",
        }
    }
}

/// The values of a setting: unit, bounds and default.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// Text with a grammar of its own: what the help calls it, and the default if there is one.
    Text(&'static str, Option<&'static str>),
    /// One of a few words; the first is the default.
    Words(&'static [&'static str]),
    /// A whole number.
    Number(Bounds<u32>),
    /// A size in bytes.
    Size(Bounds<Bytes>),
    /// A decimal number of CPUs.
    Cpus(Bounds<NanoCpus>),
    /// A duration.
    Time(Bounds<Duration>),
}

impl ValueKind {
    /// What the help calls a value.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Text(name, _) => name,
            Self::Words(_) => "WORD",
            Self::Number(_) | Self::Cpus(_) => "NUMBER",
            Self::Size(_) => "SIZE",
            Self::Time(_) => "DURATION",
        }
    }

    /// Which values are allowed, where that can be said in a few words.
    pub fn range(self) -> Option<String> {
        match self {
            Self::Text(..) => None,
            Self::Words(words) => Some(words.join(", ")),
            Self::Number(bounds) => Some(range(bounds)),
            Self::Size(bounds) => Some(range(bounds)),
            Self::Cpus(bounds) => Some(range(bounds)),
            Self::Time(bounds) => Some(range(bounds)),
        }
    }

    /// What holds when nothing is given; `None`: nothing does.
    pub fn default(self) -> Option<String> {
        match self {
            Self::Text(_, default) => default.map(str::to_owned),
            Self::Words(words) => words.first().map(|&word| word.to_owned()),
            Self::Number(bounds) => Some(bounds.default.show()),
            Self::Size(bounds) => Some(bounds.default.show()),
            Self::Cpus(bounds) => Some(bounds.default.show()),
            Self::Time(bounds) => Some(bounds.default.show()),
        }
    }
}

fn range<T: Quantity>(bounds: Bounds<T>) -> String {
    format!("{} to {}", bounds.least.show(), bounds.most.show())
}

/// Makes the enum, its list and its rows from one text, so that none can lack an entry.
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
    Instance = "instance", Server, "Namespace of containers and volumes on the Engine",
        Text("NAME", Some("default"));
    Results = "results", Server, "Halves of a tool result",
        Words(&Results::WORDS);
    Tools = "tools", Server, "Tools that clients see: core is without edit_file",
        Words(&ToolSet::WORDS);
    Wait = "wait", Server, "When shell_exec answers that a command still runs, in a call that does not say",
        Time(limits::WAIT);
    Warm = "warm", Server, "Make the sandbox ready before the first call",
        Words(&SWITCH);
    UploadLimit = "upload_limit", Server, "Largest upload over HTTP",
        Size(limits::UPLOAD_LIMIT);
    Admin = "admin", Server, "Where metrics are served: an address and a port, or a port of 127.0.0.1",
        Text("ADDR", None);
    Audit = "audit", Server, "Where calls are recorded, a line each: a directory",
        Text("DIR", None);
    AuditContent = "audit_content", Server, "Record also what commands and files contain, 64 KiB of each",
        Words(&SWITCH_OFF);
    Log = "log", Server, "What is logged on stderr, as in `warn,casemate=debug`",
        Text("FILTER", Some(limits::LOG));
    Auth = "auth", Server, "HTTP: how callers show who they are",
        Words(&AuthScheme::WORDS);
    TokensFile = "tokens_file", Server, "Auth tokens: the TOML file with the tokens' digests",
        Text("FILE", None);
    JwtIssuer = "jwt_issuer", Server, "Auth jwt: the URL that access tokens are from, exactly as their iss has it",
        Text("URL", None);
    JwtAudience = "jwt_audience", Server, "Auth jwt: this server, exactly as the tokens' aud names it",
        Text("AUDIENCE", None);
    JwtJwks = "jwt_jwks", Server, "Auth jwt: the issuer's public keys (JWKS), an https URL or a file",
        Text("URL|FILE", None);
    AllowedHosts = "allowed_hosts", Server, "HTTP: names that requests may call this server by, with commas",
        Text("HOSTS", Some("the loopback names and the listening address"));
    AllowedOrigins = "allowed_origins", Server, "HTTP: origins whose pages may call this server, with commas",
        Text("ORIGINS", Some("those of the loopback names at the listening port"));
    BackupTarget = "backup_target", Server, "Where backups go",
        Text("DIR|s3://BUCKET/PREFIX", None);
    BackupEvery = "backup_every", Server, "How often serve makes a backup of each workspace",
        Text("DURATION", Some(backup::NEVER));
    BackupKeepLast = "backup_keep_last", Server, "Newest backups of a workspace that stay",
        Number(limits::BACKUP_KEEP_LAST);
    BackupKeepDaily = "backup_keep_daily", Server, "Days of which the newest backup stays",
        Number(limits::BACKUP_KEEP_OLDER);
    BackupKeepWeekly = "backup_keep_weekly", Server, "Weeks of which the newest backup stays",
        Number(limits::BACKUP_KEEP_OLDER);
    BackupVerify = "backup_verify", Server, "Read each backup again when it is made",
        Words(&SWITCH);
    Mode = "mode", Sandbox, "How container and workspace live",
        Words(&Mode::WORDS);
    Image = "image", Sandbox, "Any Linux image",
        Text("IMAGE", Some(limits::IMAGE));
    Memory = "memory", Sandbox, "Memory, swap included",
        Size(limits::MEMORY);
    Cpus = "cpus", Sandbox, "CPUs",
        Cpus(limits::CPUS);
    Pids = "pids", Sandbox, "Processes and threads",
        Number(limits::PIDS);
    Quota = "quota", Sandbox, "Size of the workspace, where the Engine can limit it",
        Size(limits::QUOTA);
    IdleTimeout = "idle_timeout", Sandbox, "How long a sandbox without work stays",
        Time(limits::IDLE_TIMEOUT);
    BackgroundTtl = "background_ttl", Sandbox, "How long background processes outlive the last call",
        Time(limits::BACKGROUND_TTL);
    CallsPerUser = "calls_per_user", Sandbox, "Calls that run at once; more wait",
        Number(limits::CALLS_PER_USER);
    EphemeralLive = "ephemeral_live", Sandbox, "Ephemeral containers that run a command at once",
        Number(limits::EPHEMERAL_LIVE);
    MaxSandboxes = "max_sandboxes", Host, "Sandboxes of the instance alive at once, over all its servers",
        Number(limits::MAX_SANDBOXES);
    VolumeRetention = "volume_retention", Host, "How long an unused workspace is kept, where there are backups: 1h at least, or off",
        Text("DURATION", Some("off"));
    DiskFloor = "disk_floor", Host, "Free space on the Engine's disk that writes and new sandboxes leave",
        Size(limits::DISK_FLOOR);
    UidCount = "uid_count", Host, "Uids for users, one each; 0: all users share uid 1000",
        Number(limits::UID_COUNT);
    UidBase = "uid_base", Host, "The first of these uids",
        Text("NUMBER", Some("65536, and 20000 where the Engine maps uids"));
    BindRoot = "bind_root", Host, "Mode bind: the directory with a directory for each user",
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
        self.key().replace('_', "-")
    }

    /// Its variable in the environment.
    pub fn variable(self) -> String {
        format!("{PREFIX}{}", self.key().to_ascii_uppercase())
    }

    /// Whether the file may have another value for one user.
    pub fn is_per_user(self) -> bool {
        self.spec().group == Group::Sandbox
    }

    /// All that [`Setting::is_per_user`].
    pub fn per_user() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|s| s.is_per_user())
    }

    /// The setting with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.key() == key)
    }

    /// The settings that the file may have in the table `section`, with their keys there: in
    /// `[backup]`, `every` is `backup_every`.
    pub fn in_section(section: &str) -> impl Iterator<Item = (&'static str, Self)> {
        let rest = move |key: &'static str| key.strip_prefix(section)?.strip_prefix('_');
        let all = Self::ALL.iter().copied();
        all.filter_map(move |setting| Some((rest(setting.key())?, setting)))
    }

    /// The setting with this variable.
    pub fn from_variable(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.variable() == name)
    }
}
