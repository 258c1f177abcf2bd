//! A metric, and the instruments that count it.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, Result,
};

/// A metric, as Prometheus sees it.
#[derive(Debug)]
pub struct Metric {
    /// Without the suffixes of a histogram's series.
    pub name: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram.
    pub(super) buckets: &'static [f64],
    /// Values of the only label whose series start at 0, so that the first event is a rise and
    /// queries find the series before.
    pub(super) series: &'static [&'static str],
}

impl Metric {
    pub(super) const fn new(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            help,
            labels,
            buckets: &[],
            series: &[],
        }
    }

    fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram(&self) -> HistogramOpts {
        HistogramOpts::from(self.options()).buckets(self.buckets.to_vec())
    }
}

/// Counts one metric.
pub(super) trait Instrument: Collector + Clone + 'static {
    fn create(metric: &Metric) -> Result<Self>;

    /// Depends on constants alone, so an error would show in every test.
    fn register(registry: &Registry, metric: &Metric) -> Self {
        let instrument = Self::create(metric).expect("name and labels are well-formed");
        register(registry, instrument.clone());
        instrument
    }
}

pub(super) fn register(registry: &Registry, collector: impl Collector + 'static) {
    let registered = registry.register(Box::new(collector));
    registered.expect("each name is there once");
}

impl Instrument for IntCounter {
    fn create(metric: &Metric) -> Result<Self> {
        Self::with_opts(metric.options())
    }
}

impl Instrument for IntCounterVec {
    fn create(metric: &Metric) -> Result<Self> {
        let counters = Self::new(metric.options(), metric.labels)?;
        for value in metric.series {
            counters.with_label_values(&[value]);
        }
        Ok(counters)
    }
}

impl Instrument for IntGauge {
    fn create(metric: &Metric) -> Result<Self> {
        Self::with_opts(metric.options())
    }
}

impl Instrument for IntGaugeVec {
    fn create(metric: &Metric) -> Result<Self> {
        Self::new(metric.options(), metric.labels)
    }
}

impl Instrument for Histogram {
    fn create(metric: &Metric) -> Result<Self> {
        Self::with_opts(metric.histogram())
    }
}

impl Instrument for HistogramVec {
    fn create(metric: &Metric) -> Result<Self> {
        Self::new(metric.histogram(), metric.labels)
    }
}
