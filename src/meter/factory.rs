//! Makes instruments.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::names::Name;

/// Makes instruments and registers them. Nothing here depends on anything but the
/// constants of `names`, so what could fail does so in every test.
pub(super) struct MetricFactory<'a>(pub(super) &'a Registry);

impl MetricFactory<'_> {
    pub(super) fn registered<C: Collector + 'static>(&self, collector: C) {
        let registered = self.0.register(Box::new(collector));
        registered.expect("each name is there once");
    }

    fn made<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let made = made.expect("names and labels are well-formed");
        self.registered(made.clone());
        made
    }

    pub(super) fn counter(&self, name: &Name) -> IntCounter {
        self.made(IntCounter::with_opts(name.options()))
    }

    pub(super) fn counters(&self, name: &Name) -> IntCounterVec {
        self.made(IntCounterVec::new(name.options(), name.labels))
    }

    /// From 0 on for each of these: what has never happened yet can be asked for too, and the
    /// first time is a rise.
    pub(super) fn counters_of(&self, name: &Name, values: &[&str]) -> IntCounterVec {
        let counters = self.counters(name);
        for value in values {
            counters.with_label_values(&[value]);
        }
        counters
    }

    pub(super) fn gauge(&self, name: &Name) -> IntGauge {
        self.made(IntGauge::with_opts(name.options()))
    }

    pub(super) fn gauges(&self, name: &Name) -> IntGaugeVec {
        self.made(IntGaugeVec::new(name.options(), name.labels))
    }

    pub(super) fn histogram(&self, name: &Name, buckets: &[f64]) -> Histogram {
        self.made(Histogram::with_opts(name.buckets(buckets)))
    }

    pub(super) fn histograms(&self, name: &Name, buckets: &[f64]) -> HistogramVec {
        self.made(HistogramVec::new(name.buckets(buckets), name.labels))
    }
}

impl Name {
    fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn buckets(&self, buckets: &[f64]) -> HistogramOpts {
        HistogramOpts::new(self.name, self.help).buckets(buckets.to_vec())
    }
}
