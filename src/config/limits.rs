//! The server's bounds and defaults, each with its reason. No other module of the server repeats
//! them.
//!
//! Bounds that casemate-init enforces are defined there; those that both ends must agree on come
//! from `casemate_protocol`.

use std::time::Duration;

use super::units::{Bytes, NanoCpus, Quantity};
use super::value_error::ValueError;

pub use casemate_protocol::{MAX_ENV, MAX_SCRIPT, MAX_STDIN, MAX_WRITE};

/// Default and range of a number that a user or operator may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// The value when none is given.
    pub default: T,
    /// The lowest that is allowed.
    pub least: T,
    /// The highest that is allowed.
    pub most: T,
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether `value` is allowed.
    pub fn contains(&self, value: &T) -> bool {
        (&self.least..=&self.most).contains(&value)
    }
}

impl<T: Quantity> Bounds<T> {
    /// A value from text, if it is allowed.
    pub(super) fn read(self, text: &str) -> Result<T, ValueError> {
        let value = T::read(text)?;
        if self.contains(&value) {
            return Ok(value);
        }
        Err(ValueError::OutOfBounds {
            least: self.least.show(),
            most: self.most.show(),
        })
    }
}

// --- Settings -----------------------------------------------------------------------------------

/// The runtime of the profile `high`, as its own installer calls it.
pub const RUNTIME: &str = "runsc";

/// The image that `scripts/build-tools-image` makes.
pub const IMAGE: &str = "casemate-tools:latest";

/// The image that `scripts/build-data-image` makes.
pub const DATA_IMAGE: &str = "casemate-data:latest";

/// The log filter: starts, ends and everything that the operator should act on. Without rmcp, which
/// logs each request at `info`, each mistake of a client at `warn` and each client that disconnects
/// at `error`.
pub const LOG: &str = "info,rmcp=off";

/// The default of `egress_allow`, for people.
pub const NO_EGRESS: &str = "nothing";

/// The default of `shared_data`, in words.
pub const NO_SHARED_DATA: &str = "none";

/// Memory of one sandbox, swap included. 512 MiB is enough for a compiler or a data frame; below
/// 32 MiB an interpreter does not start beside PID 1; above 1 PiB it is a typo.
pub const MEMORY: Bounds<Bytes> = Bounds {
    default: Bytes(512 << 20),
    least: Bytes(32 << 20),
    most: Bytes(1 << 50),
};

/// CPU time of one sandbox. Docker refuses less than 0.01 and more than its host has; more than 256
/// is a typo.
pub const CPUS: Bounds<NanoCpus> = Bounds {
    default: NanoCpus(1_000_000_000),
    least: NanoCpus(10_000_000),
    most: NanoCpus(256_000_000_000),
};

/// Processes and threads of one sandbox. npm and `gcc -j` need 50 to 100; below 16 there is no room
/// for PID 1's threads, the bridges, a supervisor and a pipeline; 32,768 is the kernel's usual
/// `pid_max` (proc(5)).
pub const PIDS: Bounds<u32> = Bounds {
    default: 256,
    least: 16,
    most: 32_768,
};

/// How long an idle sandbox stays. A conversation pauses for minutes; a week is a service,
/// not a sandbox.
pub const IDLE_TIMEOUT: Bounds<Duration> = Bounds {
    default: Duration::from_secs(15 * 60),
    least: Duration::from_secs(1),
    most: WEEK,
};

/// How long background processes may run after their user's last call: a development server
/// outlasts a break, a forgotten loop does not outlast the day. 0: not at all.
pub const BACKGROUND_TTL: Bounds<Duration> = Bounds {
    default: Duration::from_secs(60 * 60),
    least: Duration::ZERO,
    most: WEEK,
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Size of a workspace: dependencies of a large project are some gigabytes. No effect where the
/// Engine cannot limit volumes.
pub const QUOTA: Bounds<Bytes> = Bounds {
    default: Bytes(10 << 30),
    least: Bytes(64 << 20),
    most: Bytes(1 << 50),
};

/// Calls of one user that run at once. Agents send a handful in parallel; every command holds a
/// supervisor beside itself, so half of 256 fill the default [`PIDS`].
pub const CALLS_PER_USER: Bounds<u32> = Bounds {
    default: 16,
    least: 1,
    most: 256,
};

/// Calls of one user that wait for their turn; more are answered `busy`.
pub const CALLS_WAITING_PER_USER: usize = 256;

/// Calls of all users together that wait; more are answered `busy`. Each holds its arguments, most
/// of them a few kB, at most 4 MiB.
pub const CALLS_WAITING: usize = 4_096;

/// Workspaces of one user that have a sandbox alive at once: a person reads one conversation, and one
/// or two others still work. Each has the memory of a whole sandbox.
pub const SANDBOXES_PER_USER: Bounds<u32> = Bounds {
    default: 3,
    least: 1,
    most: 1_000,
};

/// Workspaces of one user that have a name; 0: none. Each is a volume of the Engine, whose listings
/// grow with them.
pub const WORKSPACES_PER_USER: Bounds<u32> = Bounds {
    default: 200,
    least: 0,
    most: 10_000,
};

/// How long an unused workspace with a name is kept. A user who comes back to a
/// conversation after a month begins with an empty workspace.
pub const WORKSPACE_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The same, for people.
pub const WORKSPACE_RETENTION_TEXT: &str = "30d";

/// The header in which a request names a workspace.
pub const WORKSPACE_HEADER: &str = "X-Casemate-Workspace";

/// Ephemeral containers of one user that run commands at once. Each has the memory of a whole
/// sandbox; 64 of them are a batch, which one long-running container does better.
pub const EPHEMERAL_LIVE: Bounds<u32> = Bounds {
    default: 2,
    least: 1,
    most: 64,
};

/// How long a link that opens without sign-in lasts at most: a person who gets one opens it the same
/// day, and what is meant to stay is kept elsewhere.
pub const SHARE_LINK_MAX: Bounds<Duration> = Bounds {
    default: Duration::from_secs(24 * 60 * 60),
    least: Duration::from_secs(60),
    most: WEEK,
};

/// How long a share lasts, in seconds: an hour is a look at what was just made; a week is the longest
/// that anybody remembers a link.
pub const SHARE_SECONDS: Bounds<u32> = Bounds {
    default: 3_600,
    least: 60,
    most: 604_800,
};

/// How long a port is shared at most, in seconds: a working day.
pub const PORT_SECONDS_LIMIT: u32 = 28_800;

/// A resource of MCP, in bytes: as much as `write_file` takes.
pub const RESOURCE_BYTES: u64 = MAX_WRITE as u64;

/// Sandboxes of one instance alive at once, over all its servers: 100 with the default [`MEMORY`]
/// use up to 50 GiB. Above 10,000 the Engine's own listings take seconds.
pub const MAX_SANDBOXES: Bounds<u32> = Bounds {
    default: 100,
    least: 1,
    most: 10_000,
};

/// Free space on the Engine's disk below which writes and new sandboxes are refused. With a
/// gigabyte the Engine and its host keep working; 0: no limit.
pub const MIN_FREE_DISK: Bounds<Bytes> = Bounds {
    default: Bytes(1 << 30),
    least: Bytes(0),
    most: Bytes(1 << 50),
};

/// How much of its memory and CPU a sandbox reserves on its node, in per cent. Most sandboxes are idle.
pub const KUBERNETES_REQUESTS: Bounds<u32> = Bounds {
    default: 25,
    least: 1,
    most: 100,
};

/// How long a command runs on whose server lost its channel: an upgrade of a control plane takes
/// minutes, and every stream through the API server breaks.
pub const KUBERNETES_LOST_CHANNEL_TTL: Bounds<Duration> = Bounds {
    default: Duration::from_secs(15 * 60),
    least: Duration::from_secs(10),
    most: Duration::from_secs(24 * 60 * 60),
};

/// How many uids there are for users, one each; 0: all share uid 1000. Each has a line in the
/// passwd and group files of a prepared image, and Engine and runtime read these whole at every
/// start of a container: with 4,096 lines a start took 17 ms longer than with 64 (measured,
/// medians).
pub const UID_COUNT: Bounds<u32> = Bounds {
    default: 1_024,
    least: 0,
    most: 16_384,
};

/// The first of them: above the dynamic uids of systemd's services (61,184 to 65,519), below the
/// uids that distributions delegate to users (subuid(5): from 100,000).
pub const UID_BASE: u32 = 65_536;

/// As [`UID_BASE`], where containers have a separate range of 65,536 uids: rootless, userns-remap.
pub const UID_BASE_MAPPED: u32 = 20_000;

/// No user has a lower uid: 1000 is the one that all volumes without a uid share.
pub const UID_MIN: u32 = 1_001;

/// No user has a higher uid: the Engine accepts 0 to 2^31 - 1.
pub const UID_MAX: u32 = 2_147_483_647;

/// No sandbox runs as these: the bridge's uid, which the kernel also shows for a uid that it cannot
/// map, and the one that is -1 in system calls with 16-bit uids.
pub const FORBIDDEN_UIDS: [u32; 2] = [casemate_protocol::BRIDGE_UID, 65_535];

/// The shortest time that an unused workspace is kept. The time of its last use may be a minute
/// off, and a typo must not empty a deployment.
pub const MIN_RETENTION: Duration = Duration::from_secs(60 * 60);

/// One upload over HTTP, all its files together. A data set of a conversation is below a gigabyte;
/// above 2 GiB a file meets the sandbox's own limit; below 1 KiB nothing is an upload.
pub const UPLOAD_LIMIT: Bounds<Bytes> = Bounds {
    default: Bytes(1 << 30),
    least: Bytes(1 << 10),
    most: Bytes(1 << 50),
};

/// How often a server makes a backup of each workspace. A minute is for tests; a backup a year is
/// made by hand.
pub const BACKUP_EVERY: Bounds<Duration> = Bounds {
    default: Duration::from_secs(24 * 60 * 60),
    least: Duration::from_secs(60),
    most: Duration::from_secs(365 * 24 * 60 * 60),
};

/// What a sign-in asks the issuer for: an ID token, and the scopes of this server.
pub const OIDC_SCOPES: &str = "openid tools files";

/// The word for no backups on a schedule.
pub const NO_BACKUPS: &str = "never";

/// How many of the newest backups of a workspace are kept. 0 would remove the one that was just
/// made; ten thousand is an hourly one for a year.
pub const BACKUP_KEEP_LAST: Bounds<u32> = Bounds {
    default: 7,
    least: 1,
    most: 10_000,
};

/// For how many days, and for how many weeks, one more backup is kept; 0: for none.
pub const BACKUP_KEEP_OLDER: Bounds<u32> = Bounds {
    default: 7,
    least: 0,
    most: 10_000,
};

/// Size of the settings file: a few kB for all settings, the rest for `[[users]]` tables.
pub const CONFIG_FILE_BYTES: u64 = 1 << 20;

// --- Tools --------------------------------------------------------------------------------------

/// When a command is killed, in seconds. Above [`WAIT`], or every build of 40 s would be killed
/// instead of answered `running`; an hour is a long build.
pub const TIMEOUT_SECONDS: Bounds<u32> = Bounds {
    default: 120,
    least: 1,
    most: 3_600,
};

/// After how many seconds a command that still runs is answered `running`; 0 starts it and does not
/// wait. [`WAIT`] is the operator's default.
pub const WAIT_SECONDS: Bounds<u32> = Bounds {
    default: 50,
    least: 0,
    most: 3_600,
};

/// The same for calls without `wait_seconds`: desktop clients give up on a call after 60 s, some
/// frameworks after 5 or 30.
pub const WAIT: Bounds<Duration> = Bounds {
    default: Duration::from_secs(50),
    least: Duration::ZERO,
    most: Duration::from_secs(3_600),
};

/// stdout and stderr of one command together, in characters. Claude Code cuts a result at 25,000
/// tokens; a model reads a few kB, and the rest is in a file.
pub const OUTPUT_CHARS: u32 = 30_000;

/// Shortest time between two progress messages of one call: to a person, four a second look live.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Progress messages of a call without output: clients and proxies give up on silence.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Text of one `read_file`, in characters: about 12,000 tokens, half of what Claude Code keeps.
pub const READ_CHARS: u32 = 50_000;

/// Lines of one `read_file`. A line has at least its line break, so [`READ_CHARS`] hold no more.
pub const READ_LINES: Bounds<u32> = Bounds {
    default: 2_000,
    least: 1,
    most: READ_CHARS,
};

/// Characters shown of one line: minified code has lines of megabytes.
pub const READ_LINE_CHARS: u32 = 2_000;

/// Bytes of one `read_file` in base64, which makes 4 characters of 3 bytes: [`READ_CHARS`] again.
pub const READ_BASE64_BYTES: u32 = READ_CHARS / 4 * 3;

/// An image that is shown, in bytes: base64 makes 933,336 characters of them, and the rest of
/// [`RESULT_BYTES`] is for the text beside it.
pub const IMAGE_BYTES: u32 = 700_000;

/// Excerpts of one `edit_file`, in bytes: PID 1 shows 8 KiB, and twelve times this, for control
/// characters in both halves, stays below [`RESULT_BYTES`].
pub const EDIT_BYTES: usize = 64 * 1024;

/// Entries of one `list_files`.
pub const LIST_LIMIT: Bounds<u32> = Bounds {
    default: 500,
    least: 1,
    most: 5_000,
};

/// Levels of one `list_files`. Nothing is looked for by listing more than 64 directories deep.
pub const LIST_DEPTH: Bounds<u32> = Bounds {
    default: 1,
    least: 1,
    most: 64,
};

/// Text of one `list_files`, in characters, as for [`READ_CHARS`].
pub const LIST_CHARS: u32 = 50_000;

/// A result stays below this many bytes as JSON: Claude Desktop breaks at 1,048,576 characters and
/// the Python SDK refuses an event over 1 MiB.
pub const RESULT_BYTES: usize = 1_000_000;
