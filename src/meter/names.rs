//! The names. Dashboards and alerts rely on them.

/// The labels of a metric.
pub type Labels = &'static [&'static str];

/// A metric.
#[derive(Debug)]
pub struct Name {
    /// What it is called, without the suffixes of a histogram's series.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// What it is split by.
    pub labels: Labels,
}

macro_rules! names {
    ($($constant:ident = $name:literal, [$($label:literal),*], $help:literal;)+) => {
        $(pub(super) const $constant: Name = Name {
            name: $name,
            help: $help,
            labels: &[$($label),*],
        };)+

        /// All of them, but those about the process, whose names are Prometheus' own.
        pub const NAMES: &[Name] = &[$($constant),+];
    };
}

names! {
    BUILD = "casemate_build_info", ["version"],
        "Always 1; the version of the server is in its label.";
    CALLS = "casemate_tool_calls_total", ["tool", "outcome"],
        "Tool calls that were answered, by a command's outcome, ok, or the error's code.";
    CALL_SECONDS = "casemate_tool_call_duration_seconds", ["tool"],
        "Time from a call to its answer, waiting included.";
    WAIT_SECONDS = "casemate_call_wait_seconds", [],
        "Time that calls waited until they had a container: for their turn, room and its making.";
    WAITING = "casemate_calls_waiting", [],
        "Calls of all users that wait now.";
    REFUSED = "casemate_calls_refused_total", ["reason"],
        "Calls that got no container, because too many waited, there was no room, or not in time.";
    KILLS = "casemate_command_kills_total", ["reason"],
        "Commands that were ended with all they had started, as often as that was told.";
    OOM_KILLS = "casemate_oom_kills_total", [],
        "Processes that the kernel killed at a sandbox's memory limit.";
    OUTPUT_BYTES = "casemate_command_output_bytes_total", ["stream"],
        "Bytes that commands wrote, shown or not, as often as the outcome was told.";
    TRANSFER_BYTES = "casemate_transfer_bytes_total", ["direction"],
        "Bytes of files that went in or out over HTTP.";
    HTTP_REQUESTS = "casemate_http_requests_total", ["route", "status"],
        "HTTP requests that were answered.";
    SPARES = "casemate_ephemeral_seats_total", ["result"],
        "Commands of ephemeral mode, by whether a container waited for them (hit or miss).";
    STARTS = "casemate_sandbox_starts_total", ["how"],
        "Containers that this server created or adopted.";
    START_SECONDS = "casemate_sandbox_start_duration_seconds", [],
        "Time until a created or adopted container answered.";
    ENDS = "casemate_sandbox_ends_total", ["reason"],
        "Containers of this server that ended while it used them, by why.";
    RECONNECTS = "casemate_channel_reconnects_total", [],
        "Channels to a container that broke and were opened again.";
    ENGINE_SECONDS = "casemate_engine_request_duration_seconds", ["operation"],
        "Time of the Docker Engine's requests.";
    ENGINE_ERRORS = "casemate_engine_errors_total", ["operation", "error"],
        "Requests that the Docker Engine did not serve.";
    ENGINE_UP = "casemate_engine_up", [],
        "Whether the Docker Engine answered this scrape.";
    SANDBOXES = "casemate_sandboxes", ["mode", "state"],
        "Containers of the instance, those of all servers.";
    MEMORY = "casemate_sandbox_memory_bytes", [],
        "Memory of all sandboxes that this server has a channel to, without page cache.";
    AUDIT_LINES = "casemate_audit_lines_total", [],
        "Lines of the audit that were written.";
    AUDIT_FAILURES = "casemate_audit_failures_total", [],
        "Lines of the audit that could not be written, or not in time.";
    AUDIT_UP = "casemate_audit_up", [],
        "Whether the last line of the audit could be written; while not, calls are refused.";
    BACKUPS = "casemate_backups_total", ["result"],
        "Backups that this server made (ok), or did not (failed, damaged).";
    OLDEST_BACKUP = "casemate_backup_oldest_timestamp_seconds", [],
        "When the newest backup was made of that workspace whose newest is oldest.";
    BACKUP_INTERVAL = "casemate_backup_interval_seconds", [],
        "How often each workspace is to be backed up.";
    COLLECTED = "casemate_collected_total", ["kind"],
        "What this server cleaned up: container, image or volume.";
    DISK_FREE = "casemate_engine_disk_free_bytes", [],
        "Free space on the Engine's disk; no series where this machine cannot see it.";
}
