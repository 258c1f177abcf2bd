//! What a server counts with.

use std::sync::Mutex;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};

use super::factory::MetricFactory;
use super::{names, process};

/// The largest part of a second that matters for a call: from a read that takes 0.3 ms to a
/// command at its longest timeout.
const CALL_BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0,
];

/// From a question that the Engine answers from memory to a layer that it writes.
const ENGINE_BUCKETS: [f64; 11] = [
    0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0, 30.0,
];

#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) registry: Registry,
    pub(super) calls: IntCounterVec,
    pub(super) call_seconds: HistogramVec,
    pub(super) wait_seconds: Histogram,
    pub(super) waiting: IntGauge,
    pub(super) refused: IntCounterVec,
    pub(super) kills: IntCounterVec,
    pub(super) oom_kills: IntCounter,
    pub(super) output_bytes: IntCounterVec,
    pub(super) transfer_bytes: IntCounterVec,
    pub(super) http_requests: IntCounterVec,
    pub(super) spares: IntCounterVec,
    pub(super) starts: IntCounterVec,
    pub(super) start_seconds: Histogram,
    pub(super) ends: IntCounterVec,
    pub(super) reconnects: IntCounter,
    pub(super) engine_seconds: HistogramVec,
    pub(super) engine_errors: IntCounterVec,
    pub(super) engine_up: IntGauge,
    pub(super) sandboxes: IntGaugeVec,
    /// Held while `sandboxes` is counted anew, and while it is read.
    pub(super) counting: Mutex<()>,
    pub(super) memory: IntGauge,
    pub(super) disk_free: IntGaugeVec,
    pub(super) audit_lines: IntCounter,
    pub(super) audit_failures: IntCounter,
    pub(super) audit_up: IntGaugeVec,
    pub(super) backups: IntCounterVec,
    pub(super) oldest_backup: IntGaugeVec,
    pub(super) backup_interval: IntGaugeVec,
    pub(super) collected: IntCounterVec,
}

impl Instruments {
    /// Nothing is counted yet.
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let made = MetricFactory(&registry);
        let build = made.gauges(&names::BUILD);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        made.registered(process::Process::new());
        Self {
            calls: made.counters(&names::CALLS),
            call_seconds: made.histograms(&names::CALL_SECONDS, &CALL_BUCKETS),
            wait_seconds: made.histogram(&names::WAIT_SECONDS, &CALL_BUCKETS),
            waiting: made.gauge(&names::WAITING),
            refused: made.counters(&names::REFUSED),
            kills: made.counters(&names::KILLS),
            oom_kills: made.counter(&names::OOM_KILLS),
            output_bytes: made.counters(&names::OUTPUT_BYTES),
            transfer_bytes: made.counters(&names::TRANSFER_BYTES),
            http_requests: made.counters(&names::HTTP_REQUESTS),
            spares: made.counters(&names::SPARES),
            starts: made.counters(&names::STARTS),
            start_seconds: made.histogram(&names::START_SECONDS, &ENGINE_BUCKETS),
            ends: made.counters(&names::ENDS),
            reconnects: made.counter(&names::RECONNECTS),
            engine_seconds: made.histograms(&names::ENGINE_SECONDS, &ENGINE_BUCKETS),
            engine_errors: made.counters(&names::ENGINE_ERRORS),
            engine_up: made.gauge(&names::ENGINE_UP),
            sandboxes: made.gauges(&names::SANDBOXES),
            counting: Mutex::default(),
            memory: made.gauge(&names::MEMORY),
            disk_free: made.gauges(&names::DISK_FREE),
            audit_lines: made.counter(&names::AUDIT_LINES),
            audit_failures: made.counter(&names::AUDIT_FAILURES),
            audit_up: made.gauges(&names::AUDIT_UP),
            backups: made.counters_of(&names::BACKUPS, &["ok", "failed", "damaged"]),
            oldest_backup: made.gauges(&names::OLDEST_BACKUP),
            backup_interval: made.gauges(&names::BACKUP_INTERVAL),
            collected: made.counters_of(&names::COLLECTED, &["container", "image", "volume"]),
            registry,
        }
    }
}
