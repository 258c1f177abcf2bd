//! Without the cargo feature `otlp` there are no traces.

use tracing_subscriber::layer::Identity;

use crate::config::Environment;

/// The sender of traces; here it does nothing.
#[derive(Debug)]
#[must_use = "dropping it ends the traces"]
pub struct Traces;

/// # Errors
/// None; the signature is that of the feature.
#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
pub fn layer(_: &dyn Environment) -> anyhow::Result<(Option<Identity>, Traces)> {
    Ok((None, Traces))
}
