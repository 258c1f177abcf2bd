//! The table of metrics. Dashboards and alerts rely on the names.

use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};

use super::metric::{Instrument, Metric, register};
use super::process::ProcessCollector;

/// Seconds of calls: from a read that takes 0.3 ms to a command at its longest timeout.
const CALL_BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0,
];

/// Seconds of the Engine: from an answer out of its memory to a layer that it writes.
const ENGINE_BUCKETS: [f64; 11] = [
    0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0, 30.0,
];

/// Makes the struct of all instruments, its constructor and the list of metrics from one table.
macro_rules! instruments {
    ($($field:ident: $kind:ty = $name:literal, [$($label:literal),*], $help:literal
        $(, $option:ident = $value:expr)*;)+) => {
        /// All instruments of a server.
        #[derive(Debug)]
        pub(super) struct Instruments {
            pub(super) registry: Registry,
            /// Held while `sandboxes` is counted again, and while it is read.
            pub(super) counting: Mutex<()>,
            $(pub(super) $field: $kind,)+
        }

        /// All metrics, except those about the process, whose names are Prometheus' own.
        pub const METRICS: &[Metric] = &[$(Metric {
            $($option: $value,)*
            ..Metric::new($name, &[$($label),*], $help)
        }),+];

        impl Instruments {
            pub(super) fn new() -> Self {
                let registry = Registry::new();
                register(&registry, ProcessCollector::new());
                let mut metrics = METRICS.iter();
                $(let $field = <$kind>::register(&registry, metrics.next().expect("a row of the table"));)+
                let all = Self {
                    registry,
                    counting: Mutex::default(),
                    $($field,)+
                };
                all.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
                all
            }
        }
    };
}

instruments! {
    build: IntGaugeVec = "casemate_build_info", ["version"],
        "Always 1; the version of the server is in its label.";
    calls: IntCounterVec = "casemate_tool_calls_total", ["tool", "outcome"],
        "Tool calls that were answered, by a command's outcome, ok, or the error's code.";
    call_seconds: HistogramVec = "casemate_tool_call_duration_seconds", ["tool"],
        "Time from a call to its answer, waiting included.",
        buckets = &CALL_BUCKETS;
    wait_seconds: Histogram = "casemate_call_wait_seconds", [],
        "Time that calls waited for a container: for their turn, for a free place, and for its start.",
        buckets = &CALL_BUCKETS;
    waiting: IntGauge = "casemate_calls_waiting", [],
        "Calls of all users that wait now.";
    refused: IntCounterVec = "casemate_calls_refused_total", ["reason"],
        "Calls that got no container: too many waited, no place was free, or none became free in time.";
    kills: IntCounterVec = "casemate_command_kills_total", ["reason"],
        "Commands that were ended with everything they had started, once for each answer about it.";
    oom_kills: IntCounter = "casemate_oom_kills_total", [],
        "Processes that the kernel killed at a sandbox's memory limit.";
    output_bytes: IntCounterVec = "casemate_command_output_bytes_total", ["stream"],
        "Bytes that commands wrote, shown or not, once for each answer with the outcome.";
    transfer_bytes: IntCounterVec = "casemate_transfer_bytes_total", ["direction"],
        "Bytes of files that went in or out over HTTP.";
    http_requests: IntCounterVec = "casemate_http_requests_total", ["route", "status"],
        "HTTP requests that were answered.";
    spares: IntCounterVec = "casemate_ephemeral_seats_total", ["result"],
        "Commands of ephemeral mode, by whether a warm container was ready (hit or miss).";
    starts: IntCounterVec = "casemate_sandbox_starts_total", ["how"],
        "Containers that this server created or adopted.";
    start_seconds: Histogram = "casemate_sandbox_start_duration_seconds", [],
        "Time until a created or adopted container answered.",
        buckets = &ENGINE_BUCKETS;
    ends: IntCounterVec = "casemate_sandbox_ends_total", ["reason"],
        "Containers of this server that ended while it used them, by reason.";
    reconnects: IntCounter = "casemate_channel_reconnects_total", [],
        "Channels to a container that broke and were opened again.";
    engine_seconds: HistogramVec = "casemate_engine_request_duration_seconds", ["operation"],
        "Time of requests to the Engine.",
        buckets = &ENGINE_BUCKETS;
    engine_errors: IntCounterVec = "casemate_engine_errors_total", ["operation", "error"],
        "Requests to the Engine that failed.";
    engine_up: IntGauge = "casemate_engine_up", [],
        "Whether the Engine answered this scrape.";
    sandboxes: IntGaugeVec = "casemate_sandboxes", ["mode", "state"],
        "Containers of the instance, of all its servers.";
    memory: IntGauge = "casemate_sandbox_memory_bytes", [],
        "Memory of all sandboxes that this server has a channel to, without page cache.";
    audit_lines: IntCounter = "casemate_audit_lines_total", [],
        "Lines of the audit that were written.";
    egress_connections: IntCounterVec = "casemate_egress_connections_total", ["outcome"],
        "Connections of sandboxes that ended (closed, reset) or were refused (the reason).";
    egress_refused: IntCounterVec = "casemate_egress_refusals_total", ["reason"],
        "Names and connections that sandboxes were refused.";
    egress_bytes: IntCounterVec = "casemate_egress_bytes_total", ["direction"],
        "Bytes of sandboxes' connections, sent and received.",
        series = &["sent", "received"];
    egress_open: IntGauge = "casemate_egress_connections_open", [],
        "Connections of sandboxes that are open.";
    egress_settings_broken: IntGauge = "casemate_egress_settings_broken", [],
        "1 while the settings file cannot be used, so that older egress rules are in force.";
    preview_requests: IntCounterVec = "casemate_preview_requests_total", ["outcome"],
        "Requests to programs in sandboxes by previews: answered, not_listening, ended, busy, failed.",
        series = &["answered", "not_listening", "ended", "busy", "failed"];
    preview_bytes: IntCounterVec = "casemate_preview_bytes_total", ["direction"],
        "Bytes of previews, sent to programs and received from them.",
        series = &["sent", "received"];
    preview_open: IntGauge = "casemate_preview_connections_open", [],
        "Connections of previews to programs in sandboxes that are open.";
    audit_failures: IntCounter = "casemate_audit_failures_total", [],
        "Lines of the audit that could not be written, or not in time.";
    audit_up: IntGaugeVec = "casemate_audit_up", [],
        "Whether the last line of the audit could be written; if not, calls are refused.";
    backups: IntCounterVec = "casemate_backups_total", ["result"],
        "Backups of this server by result: ok, failed or damaged.",
        series = &["ok", "failed", "damaged"];
    oldest_backup: IntGaugeVec = "casemate_backup_oldest_timestamp_seconds", [],
        "The oldest among the newest backups of all workspaces.";
    backup_interval: IntGaugeVec = "casemate_backup_interval_seconds", [],
        "Interval between backups of a workspace.";
    collected: IntCounterVec = "casemate_collected_total", ["kind"],
        "Unused objects that this server removed: container, image or volume.",
        series = &["container", "image", "volume", "shared"];
    disk_free: IntGaugeVec = "casemate_engine_disk_free_bytes", [],
        "Free space on the Engine's disk; no series where this machine cannot see it.";
}
