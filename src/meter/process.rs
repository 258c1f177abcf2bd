//! What Prometheus' client libraries tell of their process, under its own names.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts};
use rustix::param::page_size;

/// Read at each scrape. Where `/proc` is not to be read it keeps the last.
#[derive(Debug)]
pub struct Process {
    memory: IntGauge,
    descriptors: IntGauge,
}

impl Process {
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

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [self.memory.desc(), self.descriptors.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(bytes) = resident_bytes() {
            self.memory.set(super::number(bytes));
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // One is that of the directory.
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
