//! The metrics, for monitoring from outside.
//!
//! ```text
//! tools, sandbox, engine ─ count ─► Meter ◄─ gather ─ the admin address, at each scrape
//! ```
//!
//! Invariants:
//! - A [`Meter`] is a value, not a global: each server and each test has one.
//! - Names follow Prometheus' conventions: base units, and `_total` on counters.
//! - No label has a user, nor anything that a caller chose: the number of series is bounded.

mod instruments;
mod metric;
mod process;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus::{IntGauge, TextEncoder};

use instruments::Instruments;
pub use instruments::METRICS;
pub use metric::Metric;

/// All counters of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Instruments>);

/// Counts an open connection of a sandbox until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    pub fn new() -> Self {
        Self(Arc::new(Instruments::new()))
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Errors
    /// The library cannot encode a series.
    pub fn text(&self) -> prometheus::Result<String> {
        let _counted = self.0.counting.lock();
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }

    /// A tool call was answered. `outcome` is a command's, or `ok`, or the error's code.
    pub fn call(&self, tool: &str, outcome: &str, took: Duration) {
        self.0.calls.with_label_values(&[tool, outcome]).inc();
        let seconds = self.0.call_seconds.with_label_values(&[tool]);
        seconds.observe(took.as_secs_f64());
    }

    /// A call waited this long for a container.
    pub fn waited(&self, time: Duration) {
        self.0.wait_seconds.observe(time.as_secs_f64());
    }

    /// This many calls wait now.
    pub fn waiting(&self, calls: usize) {
        self.0.waiting.set(number(calls));
    }

    /// A call did not get a container.
    pub fn refused(&self, why: &str) {
        self.0.refused.with_label_values(&[why]).inc();
    }

    /// A command was ended with everything it had started.
    pub fn killed(&self, why: &str) {
        self.0.kills.with_label_values(&[why]).inc();
    }

    /// The kernel killed processes of a sandbox for memory.
    pub fn oom_killed(&self, processes: u32) {
        self.0.oom_kills.inc_by(processes.into());
    }

    /// A command wrote this many bytes, shown or not.
    pub fn output(&self, stdout: u64, stderr: u64) {
        let bytes = &self.0.output_bytes;
        bytes.with_label_values(&["stdout"]).inc_by(stdout);
        bytes.with_label_values(&["stderr"]).inc_by(stderr);
    }

    /// Bytes of files went `in` or `out` over HTTP.
    pub fn transferred(&self, direction: &str, bytes: u64) {
        let all = &self.0.transfer_bytes;
        all.with_label_values(&[direction]).inc_by(bytes);
    }

    /// A request over HTTP was answered. `route` is the server's own pattern, not the path.
    pub fn requested(&self, route: &str, status: u16) {
        let labels = [route, &status.to_string()];
        self.0.http_requests.with_label_values(&labels).inc();
    }

    /// A command of ephemeral mode found a warm container, or did not.
    pub fn spare(&self, was_there: bool) {
        let result = if was_there { "hit" } else { "miss" };
        self.0.spares.with_label_values(&[result]).inc();
    }

    /// A container was `created` or `adopted`, and answers.
    pub fn started(&self, how: &str) {
        self.0.starts.with_label_values(&[how]).inc();
    }

    /// A container answered after this time.
    pub fn brought_up(&self, took: Duration) {
        self.0.start_seconds.observe(took.as_secs_f64());
    }

    /// A container of this server is gone.
    pub fn ended(&self, why: &str) {
        self.0.ends.with_label_values(&[why]).inc();
    }

    /// A channel broke and was opened again.
    pub fn reconnected(&self) {
        self.0.reconnects.inc();
    }

    /// The Engine answered a request, or did not: then `error` is the kind of failure.
    pub fn engine(&self, operation: &str, took: Duration, error: Option<&str>) {
        let seconds = self.0.engine_seconds.with_label_values(&[operation]);
        seconds.observe(took.as_secs_f64());
        if let Some(error) = error {
            let errors = &self.0.engine_errors;
            errors.with_label_values(&[operation, error]).inc();
        }
    }

    /// A connection of a sandbox begins; it is open until this is dropped.
    pub fn egress_opened(&self) -> OpenConnection {
        self.0.egress_open.inc();
        OpenConnection(self.0.egress_open.clone())
    }

    /// A connection of a sandbox has ended, or was refused.
    pub fn egress_ended(&self, outcome: &str, sent: u64, received: u64) {
        let connections = &self.0.egress_connections;
        connections.with_label_values(&[outcome]).inc();
        let bytes = &self.0.egress_bytes;
        bytes.with_label_values(&["sent"]).inc_by(sent);
        bytes.with_label_values(&["received"]).inc_by(received);
    }

    /// A connection of a preview begins; it is open until this is dropped.
    pub fn preview_opened(&self) -> OpenConnection {
        self.0.preview_open.inc();
        OpenConnection(self.0.preview_open.clone())
    }

    /// A request of a preview was answered by its program, or was not.
    pub fn preview_requested(&self, outcome: &str) {
        let requests = &self.0.preview_requests;
        requests.with_label_values(&[outcome]).inc();
    }

    /// Bytes of a preview passed.
    pub fn previewed(&self, sent: u64, received: u64) {
        let bytes = &self.0.preview_bytes;
        bytes.with_label_values(&["sent"]).inc_by(sent);
        bytes.with_label_values(&["received"]).inc_by(received);
    }

    /// A name or a connection was refused.
    pub fn egress_refused(&self, reason: &str) {
        self.0.egress_refused.with_label_values(&[reason]).inc();
    }

    /// Whether the settings file cannot be used, so that older rules of egress are in force.
    pub fn egress_settings_broken(&self, is_broken: bool) {
        self.0.egress_settings_broken.set(is_broken.into());
    }

    /// This many lines of the audit were written.
    pub fn audited(&self, lines: u64) {
        self.0.audit_lines.inc_by(lines);
    }

    /// A line of the audit could not be written.
    pub fn audit_failed(&self) {
        self.0.audit_failures.inc();
    }

    /// Whether the last line of the audit could be written. There is no series before the
    /// first line: not every server has an audit.
    pub fn audit_up(&self, up: bool) {
        self.0
            .audit_up
            .with_label_values::<&str>(&[])
            .set(up.into());
    }

    /// A backup was made (`ok`), or it `failed` or is `damaged`.
    pub fn backed_up(&self, result: &str) {
        self.0.backups.with_label_values(&[result]).inc();
    }

    /// The time of the oldest among the newest backups of all workspaces; `None` without
    /// workspaces.
    pub fn oldest_backup(&self, made: Option<SystemTime>) {
        let Some(made) = made else {
            self.0.oldest_backup.reset();
            return;
        };
        let since = made.duration_since(SystemTime::UNIX_EPOCH);
        let gauge = self.0.oldest_backup.with_label_values::<&str>(&[]);
        gauge.set(number(since.unwrap_or_default().as_secs()));
    }

    /// The interval between backups of a workspace.
    pub fn backup_interval(&self, every: Duration) {
        let gauge = self.0.backup_interval.with_label_values::<&str>(&[]);
        gauge.set(number(every.as_secs()));
    }

    /// An unused `container`, `image` or `volume` was removed.
    pub fn collected(&self, kind: &str) {
        self.0.collected.with_label_values(&[kind]).inc();
    }

    /// Mode and state of each container that the scrape found.
    pub fn sandboxes<'a>(&self, found: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let _counting = self.0.counting.lock();
        self.0.sandboxes.reset();
        for (mode, state) in found {
            self.0.sandboxes.with_label_values(&[mode, state]).inc();
        }
    }

    /// Memory of the sandboxes that this server has a channel to.
    pub fn memory(&self, bytes: u64) {
        self.0.memory.set(number(bytes));
    }

    /// Whether the Engine answered the scrape.
    pub fn engine_up(&self, up: bool) {
        self.0.engine_up.set(up.into());
    }

    /// Free bytes on the Engine's disk. There is no series before they are known, because 0 means a
    /// full disk.
    pub fn disk_free(&self, bytes: u64) {
        let free = self.0.disk_free.with_label_values::<&str>(&[]);
        free.set(number(bytes));
    }
}

/// A gauge holds at most `i64::MAX`.
fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text_under_its_name() {
        let meter = Meter::new();
        meter.call("shell_exec", "timed_out", Duration::from_millis(30));
        meter.engine("create", Duration::from_secs(40), Some("deadline"));
        meter.sandboxes([("persistent", "running"), ("persistent", "running")]);
        meter.backed_up("failed");
        // An unknown value has no series: no year 1970, no full disk.
        let unknown = [
            "casemate_engine_disk_free_bytes ",
            "casemate_audit_up ",
            "casemate_backup_oldest",
        ];
        let text = meter.text().unwrap();
        assert!(!unknown.iter().any(|name| text.contains(name)), "{text}");
        meter.disk_free(0);
        meter.audit_up(true);
        meter.oldest_backup(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)));
        let text = meter.text().unwrap();
        for line in [
            r#"casemate_tool_calls_total{outcome="timed_out",tool="shell_exec"} 1"#,
            r#"casemate_tool_call_duration_seconds_bucket{tool="shell_exec",le="0.1"} 1"#,
            r#"casemate_engine_errors_total{error="deadline",operation="create"} 1"#,
            r#"casemate_sandboxes{mode="persistent",state="running"} 2"#,
            r#"casemate_backups_total{result="failed"} 1"#,
            r#"casemate_backups_total{result="ok"} 0"#,
            "casemate_backup_oldest_timestamp_seconds 7",
            r#"casemate_collected_total{kind="volume"} 0"#,
            "casemate_engine_disk_free_bytes 0",
            "casemate_audit_up 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        meter.sandboxes([]);
        meter.oldest_backup(None);
        assert!(!meter.text().unwrap().contains("casemate_backup_oldest"));
        assert!(!meter.text().unwrap().contains("casemate_sandboxes{"));
    }

    #[test]
    fn scrapes_at_the_same_time_count_each_sandbox_once() {
        let meter = Meter::new();
        let line = r#"casemate_sandboxes{mode="persistent",state="running"} 2"#;
        let scrape = || {
            for _ in 0..500 {
                meter.sandboxes([("persistent", "running"), ("persistent", "running")]);
                let text = meter.text().unwrap();
                assert!(text.lines().any(|one| one == line), "{text}");
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(scrape);
            scope.spawn(scrape);
        });
    }

    #[test]
    fn no_label_can_tell_a_user_and_every_name_has_its_unit_last() {
        for Metric { name, labels, .. } in METRICS {
            let known: &[&str] = &[
                "tool",
                "outcome",
                "reason",
                "stream",
                "direction",
                "route",
                "status",
                "result",
                "how",
                "operation",
                "error",
                "mode",
                "state",
                "kind",
                "version",
            ];
            assert!(labels.iter().all(|label| known.contains(label)), "{name}");
            let base = name.strip_suffix("_total").unwrap_or(name);
            assert!(!base.ends_with("_ms") && !base.ends_with("_kib"), "{name}");
        }
    }
}
