//! The bounds of HTTP, each with its reason. The bounds of calls are in
//! [`crate::config::limits`].

use std::time::Duration;

// --- Connections --------------------------------------------------------------------------------

/// Connections at once. An idle one holds about 10 kB, and the one that waits longest for its next
/// request is closed for a new one; so a client waits only if all are busy.
pub const CONNECTIONS: usize = 2_048;

/// Descriptors that are not a client's: pipes and sockets to the Engine, one a sandbox and some for
/// each transfer, logs, the runtime.
pub const OTHER_DESCRIPTORS: u64 = 512;

/// A request's head, in bytes: a token of 16 kB and the rest of what clients send.
pub const HEAD_BYTES: usize = 32 * 1024;

/// Lines of a request's head: browsers with proxies send about 30.
pub const HEAD_LINES: usize = 100;

/// How long the head of a request may take, from the opening of the connection or the end of the
/// answer before. So it is also how long a connection stays open unused: Python's httpx and Node's
/// undici close it after 5 s.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may leave sent data unacknowledged, or its window closed
/// (`TCP_USER_TIMEOUT`, tcp(7)): a client that vanished without a FIN counts as gone then, and its
/// commands end. Longer than a laptop changes its network.
pub const SILENT_CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two probes of a connection on which nothing passes (TCP keep-alive, tcp(7)). Without them
/// nothing tells that the client of a silent WebSocket vanished; proxies and routers forget silent
/// connections too.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(20);

/// How long to wait when there is no descriptor for the next connection.
pub const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

// --- Requests -----------------------------------------------------------------------------------

/// Body of one MCP message, in bytes: 3 MiB for `write_file` are 4 MiB in base64, and text grows by
/// its escapes.
pub const MESSAGE_BYTES: usize = 8 << 20;

/// How long such a body may take: 8 MiB at 300 kB/s.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the rest of a refused request is read, so that the client gets the answer.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests of one user at once, calls and streams: those that may run, those that may wait, and
/// some spare ones. More are answered 429.
pub const REQUESTS_PER_USER: usize = 320;

/// Bodies of one user's MCP messages at once, in bytes: they are held as long as their calls.
pub const MESSAGE_BYTES_PER_USER: usize = 64 << 20;

// --- Streams ------------------------------------------------------------------------------------

/// When a silent call is answered with the head of a stream. Fast calls are unaffected, and no
/// client or proxy times out in a second.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two comments on a silent stream: proxies close streams that are silent for 30 to 60 s.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Sessions of the old transport at once. Each is a stream and a task, some 50 kB.
pub const SESSIONS: usize = 512;

/// Sessions of one user: each conversation of a desktop client has one.
pub const SESSIONS_PER_USER: usize = 16;

/// Requests of one session that are not answered yet. Their results, 1 MB at most, wait for a
/// client that reads slowly.
pub const REQUESTS_PER_SESSION: usize = 64;

/// Messages of a session that wait to be handled: handling one starts a task.
pub const SESSION_QUEUE: usize = 64;

/// Messages that wait to be read by the client.
pub const SESSION_OUTBOX: usize = 16;

// --- The end ------------------------------------------------------------------------------------

/// How long running calls may take to end by themselves when the server is asked to stop.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the rest of a request's head may take then.
pub const LAST_HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the answers of the calls that were then ended may take.
pub const LAST_ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

// --- Health -------------------------------------------------------------------------------------

/// How long an answer about the Engine is reused: many may ask.
pub const READINESS_TTL: Duration = Duration::from_secs(1);

/// How long the Engine may take to answer. It takes milliseconds.
pub const READINESS_TIMEOUT: Duration = Duration::from_secs(3);
