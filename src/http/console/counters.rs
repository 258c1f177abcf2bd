//! The counters that an operator looks at first, out of the metrics. No series names a user.

use serde::Serialize;

/// Series that are shown, by their names, and what they are called here. Those that end in `{` have a
/// label, which is shown too.
const SHOWN: [(&str, &str, &str); 10] = [
    ("casemate_calls_waiting", "calls that wait", ""),
    ("casemate_calls_refused_total{", "calls refused", ""),
    ("casemate_engine_up", "Engine answers", ""),
    (
        "casemate_engine_disk_free_bytes",
        "free on the Engine's disk",
        "bytes",
    ),
    (
        "casemate_sandbox_memory_bytes",
        "memory of sandboxes",
        "bytes",
    ),
    ("casemate_egress_refusals_total{", "egress refused", ""),
    ("casemate_backups_total{", "backups", ""),
    ("casemate_audit_up", "audit writes", ""),
    ("casemate_audit_failures_total", "audit lines lost", ""),
    ("casemate_http_requests_total{", "HTTP", ""),
];

/// Of the requests over HTTP only those that were refused for who asked, or for how much.
const REFUSED: [&str; 3] = ["401", "403", "429"];

/// One number.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Counter {
    name: String,
    value: f64,
    unit: &'static str,
}

/// Those of the text format of Prometheus, in the order of the table.
pub(super) fn counters(metrics: &str) -> Vec<Counter> {
    let mut found = Vec::new();
    for (series, name, unit) in SHOWN {
        let lines = metrics.lines().filter(|line| is_of(line, series));
        found.extend(lines.filter_map(|line| counter(line, name, unit)));
    }
    found
}

fn is_of(line: &str, series: &str) -> bool {
    let rest = line.strip_prefix(series);
    rest.is_some_and(|rest| series.ends_with('{') || rest.starts_with(' '))
}

fn counter(line: &str, name: &str, unit: &'static str) -> Option<Counter> {
    let (series, value) = line.rsplit_once(' ')?;
    // Every second part is the value of a label.
    let labels: Vec<&str> = series.split('"').skip(1).step_by(2).collect();
    let is_request = name == "HTTP";
    if is_request && !labels.iter().any(|label| REFUSED.contains(label)) {
        return None;
    }
    let name = [&[name], labels.as_slice()].concat().join(" ");
    let value = value.parse().ok()?;
    Some(Counter { name, value, unit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::METRICS;

    #[test]
    fn each_series_is_a_metric_of_the_server() {
        for (series, _, _) in SHOWN {
            let name = series.trim_end_matches('{');
            let metric = METRICS.iter().find(|metric| metric.name == name);
            let metric = metric.unwrap_or_else(|| panic!("no metric {name}"));
            assert_eq!(metric.labels.is_empty(), !series.ends_with('{'), "{name}");
        }
    }

    #[test]
    fn the_values_are_those_of_the_text() {
        let text = "# HELP casemate_calls_waiting …\n\
                    casemate_calls_waiting 3\n\
                    casemate_calls_waiting_not 9\n\
                    casemate_calls_refused_total{reason=\"full\"} 2\n\
                    casemate_http_requests_total{route=\"mcp\",status=\"200\"} 7\n\
                    casemate_http_requests_total{route=\"mcp\",status=\"401\"} 5\n\
                    casemate_engine_disk_free_bytes 1024\n";
        let found = counters(text);
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.value, one.unit))
            .collect();
        assert_eq!(
            shown,
            [
                ("calls that wait", 3.0, ""),
                ("calls refused full", 2.0, ""),
                ("free on the Engine's disk", 1024.0, "bytes"),
                ("HTTP mcp 401", 5.0, ""),
            ]
        );
    }
}
