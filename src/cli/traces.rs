//! Traces of calls, sent by OTLP over gRPC to the OpenTelemetry collector that the standard
//! variable names: `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317`.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::{Builder, Runtime};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Environment;

/// OpenTelemetry's variable for the collector.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// How long the server waits at its end until the collector has taken the last spans.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(300);

/// The sender of traces. Dropping it sends the rest.
#[derive(Debug)]
#[must_use = "dropping it ends the traces"]
pub struct Traces(#[expect(dead_code, reason = "held for its Drop")] Option<Sender>);

/// Has a separate runtime, because a stdio server has one thread, which must not wait for a
/// collector.
#[derive(Debug)]
struct Sender {
    provider: SdkTracerProvider,
    runtime: Option<Runtime>,
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Spans are lost if the collector does not answer.
        let _ = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The layer that makes spans, if the environment names a collector.
///
/// # Errors
/// An endpoint that is not a URL, or the system gives no thread.
pub fn layer<S>(
    environment: &dyn Environment,
) -> anyhow::Result<(Option<impl Layer<S> + use<S>>, Traces)>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let endpoint = environment.variable(ENDPOINT);
    let endpoint = endpoint.and_then(|endpoint| endpoint.into_string().ok());
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
        return Ok((None, Traces(None)));
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("traces")
        .enable_all()
        .build()?;
    let inside = runtime.enter();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&endpoint);
    let exporter = exporter.build();
    let exporter = exporter.with_context(|| format!("{ENDPOINT}={endpoint} cannot be used"))?;
    drop(inside);
    let resource = Resource::builder().with_service_name(env!("CARGO_PKG_NAME"));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build();
    let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    // Otherwise the spans of sending would be sent too, without end.
    let ours = Targets::new().with_target(env!("CARGO_PKG_NAME"), Level::DEBUG);
    let sender = Sender {
        provider,
        runtime: Some(runtime),
    };
    Ok((Some(layer.with_filter(ours)), Traces(Some(sender))))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::config::MapEnvironment;

    fn environment(endpoint: &str) -> MapEnvironment {
        let mut environment = MapEnvironment::default();
        environment
            .variables
            .insert(ENDPOINT.into(), endpoint.into());
        environment
    }

    #[test]
    fn the_last_spans_are_sent_when_the_server_ends() {
        let collector = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", collector.local_addr().expect("its address"));
        let (layer, traces) = layer(&environment(&endpoint)).expect("a layer");
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let _span = info_span!(target: "casemate", "tool_call", tool = "shell_exec").entered();
        });
        drop(traces);
        let (mut stream, _) = collector.accept().expect("it connects");
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).expect("until it ends");
        let has = |name: &[u8]| sent.windows(name.len()).any(|part| part == name);
        assert!(has(b"tool_call") && has(b"shell_exec"), "{sent:?}");
    }

    #[test]
    fn without_a_collector_nothing_is_made_and_a_wrong_one_is_named() {
        let none = layer::<tracing_subscriber::Registry>(&environment("")).expect("nothing");
        assert!(none.0.is_none());
        let wrong = layer::<tracing_subscriber::Registry>(&environment("not a url"));
        let error = wrong.map(drop).expect_err("no URL").to_string();
        assert!(error.contains(ENDPOINT), "{error}");
    }
}
