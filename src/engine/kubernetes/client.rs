//! Requests to the API server, as raw JSON: [`super::verify`] must see each field that is stored, also
//! one that no type knows. kube-rs brings the configuration, the credentials and TLS.

use std::future::Future;
use std::time::{Duration, Instant};

use http::{Method, Request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _, Connection};
use serde_json::Value;
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};
use tracing::{Instrument as _, debug_span};

use super::api_call::ApiCall;
use super::error::from_kube;
use crate::engine::error::EngineError;
use crate::meter::Meter;

/// From a request to a connection, if the API server is gone.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From the last word of a connection to the first question whether the other side is there, and between two.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Questions without an answer that end a connection.
const KEEPALIVE_RETRIES: u32 = 3;

/// Requests again after "too many requests": an API server asks for a second in between, and a call has 10.
const RETRIES: u32 = 6;
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// A JSON merge patch (RFC 7386): `null` removes.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A client as kube-rs makes it (it asks again after 429, and reads a token anew), but for its
/// connections: kube-rs leaves Nagle's algorithm on, and a message to PID 1 then waits for the delayed
/// acknowledgement of the one before, 40 ms.
///
/// # Errors
/// What in the configuration cannot be used.
pub fn client(config: kube::Config) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // A load balancer forgets connections without a word, and watches wait for minutes.
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let http: legacy::Client<_, Body> =
        legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(again_after_a_refusal()))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}

/// As kube-rs does it, but for the number of tries: its 15 take longer than a call has, and then nobody is
/// told that the API server refuses.
fn again_after_a_refusal() -> RetryPolicy {
    let [shortest, longest] = RETRY_DELAYS;
    RetryPolicy::new(shortest, longest, RETRIES, true).unwrap_or_default()
}

/// The objects of one namespace.
#[derive(Clone)]
pub struct Api {
    client: Client,
    /// Where the API server is.
    pub url: String,
    pub namespace: String,
    meter: Meter,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Api({}, {})", self.url, self.namespace)
    }
}

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Pods,
    Claims,
    Leases,
}

impl ObjectKind {
    fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Pods => ("/api/v1", "pods"),
            Self::Claims => ("/api/v1", "persistentvolumeclaims"),
            Self::Leases => ("/apis/coordination.k8s.io/v1", "leases"),
        }
    }
}

impl Api {
    pub fn new(client: Client, url: String, namespace: String, meter: Meter) -> Self {
        Self {
            client,
            url,
            namespace,
            meter,
        }
    }

    /// The path of an object, or of all with an empty `name`.
    pub fn path(&self, kind: ObjectKind, name: &str) -> String {
        let (group, plural) = kind.path();
        let namespace = &self.namespace;
        match name {
            "" => format!("{group}/namespaces/{namespace}/{plural}"),
            name => format!("{group}/namespaces/{namespace}/{plural}/{name}"),
        }
    }

    /// `None` if no object has this name.
    pub async fn get(
        &self,
        call: ApiCall<'_>,
        kind: ObjectKind,
    ) -> Result<Option<Value>, EngineError> {
        let path = self.path(kind, call.object);
        present(self.request(call, Method::GET, &path, None).await)
    }

    /// All objects with these labels.
    pub async fn list(
        &self,
        name: &'static str,
        kind: ObjectKind,
        labels: &[(&str, String)],
    ) -> Result<Value, EngineError> {
        let path = format!("{}?labelSelector={}", self.path(kind, ""), selector(labels));
        self.request(ApiCall::query(name, ""), Method::GET, &path, None)
            .await
    }

    pub async fn create(
        &self,
        call: ApiCall<'_>,
        kind: ObjectKind,
        object: &Value,
    ) -> Result<Value, EngineError> {
        let path = self.path(kind, "");
        self.request(
            call,
            Method::POST,
            &path,
            Some((object, "application/json")),
        )
        .await
    }

    /// Changes it. With a `resourceVersion` in `patch` it fails with 409 where another was faster.
    pub async fn patch(
        &self,
        call: ApiCall<'_>,
        kind: ObjectKind,
        patch: &Value,
    ) -> Result<Value, EngineError> {
        let path = self.path(kind, call.object);
        self.request(call, Method::PATCH, &path, Some((patch, MERGE_PATCH)))
            .await
    }

    /// Deletes it if it still has this uid. One that is gone is fine.
    pub async fn delete(
        &self,
        call: ApiCall<'_>,
        kind: ObjectKind,
        uid: &str,
    ) -> Result<(), EngineError> {
        let options = serde_json::json!({ "preconditions": { "uid": uid } });
        match self.delete_with(call, kind, &options).await {
            // Another of its name.
            Err(error) if error.status() == Some(409) => Ok(()),
            other => other,
        }
    }

    /// Deletes it with these options (`DeleteOptions`). One that is gone is fine; where a precondition
    /// does not hold it fails with 409.
    pub async fn delete_with(
        &self,
        call: ApiCall<'_>,
        kind: ObjectKind,
        options: &Value,
    ) -> Result<(), EngineError> {
        let path = self.path(kind, call.object);
        let body = Some((options, "application/json"));
        present(self.request(call, Method::DELETE, &path, body).await).map(drop)
    }

    pub async fn request(
        &self,
        call: ApiCall<'_>,
        method: Method,
        path: &str,
        body: Option<(&Value, &str)>,
    ) -> Result<Value, EngineError> {
        let request = request(method, path, body)?;
        self.bounded(call, self.client.request::<Value>(request))
            .await
    }

    /// A stream of frames.
    pub async fn connect(&self, call: ApiCall<'_>, path: &str) -> Result<Connection, EngineError> {
        let request = request(Method::GET, path, None)?;
        self.bounded(call, self.client.connect(request)).await
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn bounded<T>(
        &self,
        call: ApiCall<'_>,
        future: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, EngineError> {
        let start = Instant::now();
        let future = future.instrument(debug_span!("kubernetes", request = call.name));
        let answer = match tokio::time::timeout(call.timeout, future).await {
            Ok(answer) => answer.map_err(|error| from_kube(call, &self.url, error)),
            Err(_) => Err(EngineError::Deadline {
                call: call.name,
                after: call.timeout,
            }),
        };
        let error = answer.as_ref().err().and_then(EngineError::failure);
        self.meter.engine(call.name, start.elapsed(), error);
        answer
    }
}

pub fn request(
    method: Method,
    path: &str,
    body: Option<(&Value, &str)>,
) -> Result<Request<Vec<u8>>, EngineError> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some((_, kind)) = body {
        request = request.header(http::header::CONTENT_TYPE, kind);
    }
    let bytes = body.map_or(Vec::new(), |(value, _)| value.to_string().into_bytes());
    request.body(bytes).map_err(|source| EngineError::Answer {
        call: "request",
        source: Box::new(source),
    })
}

/// `None` for an object that is not there.
pub fn present(answer: Result<Value, EngineError>) -> Result<Option<Value>, EngineError> {
    match answer {
        Err(error) if error.status() == Some(404) => Ok(None),
        other => other.map(Some),
    }
}

/// As in a URL. Keys and values of labels have no other character to escape.
pub fn selector(labels: &[(&str, String)]) -> String {
    let each = labels.iter().map(|(key, value)| {
        let key = key.replace('/', "%2F");
        match value.as_str() {
            // Whatever it is.
            "" => key,
            value => format!("{key}%3D{value}"),
        }
    });
    each.collect::<Vec<_>>().join("%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_escaped() {
        let labels = [("a.example/b", "c".to_owned()), ("d", String::new())];
        assert_eq!(selector(&labels), "a.example%2Fb%3Dc%2Cd");
    }
}
