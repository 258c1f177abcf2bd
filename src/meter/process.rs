//! Metrics of the process, under the names of Prometheus' client libraries.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts};
use rustix::param::page_size;

/// Read at each scrape. If `/proc` cannot be read, the last value stays.
#[derive(Debug)]
pub struct ProcessCollector {
    memory: IntGauge,
    descriptors: IntGauge,
}

impl ProcessCollector {
    pub fn new() -> Self {
        let gauge = |name, help| {
            let gauge = IntGauge::with_opts(Opts::new(name, help));
            gauge.expect("the name is well-formed")
        };
        Self {
            memory: gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            ),
            descriptors: gauge("process_open_fds", "Number of open file descriptors."),
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        [self.memory.desc(), self.descriptors.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(bytes) = resident_bytes() {
            self.memory.set(super::number(bytes));
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // One is the descriptor of the directory.
            self.descriptors
                .set(super::number(open.count().saturating_sub(1)));
        }
        [self.memory.collect(), self.descriptors.collect()].concat()
    }
}

/// proc(5): `/proc/pid/statm` counts pages, the resident ones second.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(page_size())
}
