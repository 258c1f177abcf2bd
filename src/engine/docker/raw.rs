//! Reads JSON from the Engine unchanged.
//!
//! bollard parses answers into its own structs, which drop unknown fields and refuse unknown values.
//! For a stored container that is not enough: an unknown field may weaken it. And one container in a
//! state that bollard does not know must not hide all others.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Instant;

use hyper::body::Body;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::endpoint::Endpoint;
use super::{DockerEngine, QUERY_TIMEOUT};
use crate::engine::error::{Cause, EngineError};

/// Largest answer, in bytes: an inspect has some 10 kB, an image's history and labels more, and a
/// listing about 3 kB for each container.
const MAX_ANSWER: usize = 64 << 20;

/// The Engine's form of an error.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

impl DockerEngine {
    /// GET `path`, in the negotiated version.
    ///
    /// # Errors
    /// Those of every call. `Refused` for every status except 200.
    pub(super) async fn get(&self, call: &'static str, path: &str) -> Result<Value, EngineError> {
        let version = self.docker().await?.client_version();
        self.get_unversioned(call, &format!("/v{version}{path}"))
            .await
    }

    /// GET `path`, which has its version.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) async fn get_unversioned(
        &self,
        call: &'static str,
        path: &str,
    ) -> Result<Value, EngineError> {
        let start = Instant::now();
        let answer = self.get_uncounted(call, path).await;
        self.counted(call, start, answer)
    }

    async fn get_uncounted(&self, call: &'static str, path: &str) -> Result<Value, EngineError> {
        let exchange = async {
            match &self.shared.endpoint {
                Endpoint::Unix(socket) => exchange(UnixStream::connect(socket).await?, path).await,
                Endpoint::Tcp(host) => exchange(TcpStream::connect(host).await?, path).await,
            }
        };
        let (status, body) = tokio::time::timeout(QUERY_TIMEOUT, exchange)
            .await
            .map_err(|_| EngineError::Deadline {
                call,
                after: QUERY_TIMEOUT,
            })?
            .map_err(|source| self.unavailable(source))?;
        let Some(body) = body else {
            let source = format!("it has more than {MAX_ANSWER} bytes").into();
            return Err(EngineError::Answer { call, source });
        };
        if status != 200 {
            let text = match serde_json::from_slice::<ErrorBody>(&body) {
                Ok(ErrorBody { message }) => message,
                Err(_) => String::from_utf8_lossy(&body).into_owned(),
            };
            return Err(EngineError::refused(call, status, &text));
        }
        serde_json::from_slice(&body).map_err(|error| EngineError::Answer {
            call,
            source: error.into(),
        })
    }

    pub(super) fn unavailable(&self, source: impl Into<Cause>) -> EngineError {
        self.noted(EngineError::unreachable(&self.shared.address.uri, source))
    }
}

/// One request on a new connection, as bollard does it: the Engine closes idle ones.
async fn exchange<S>(stream: S, path: &str) -> Result<(u16, Option<Vec<u8>>), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, "docker")
        .body(String::new())?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        collect(response).await
    };
    // The connection moves the bytes. It ends by itself once `sender` is gone.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

/// Status and body; no body if it is larger than [`MAX_ANSWER`].
async fn collect(
    response: Response<impl Body<Data = bytes::Bytes, Error: Into<Cause>>>,
) -> Result<(u16, Option<Vec<u8>>), Cause> {
    let status = response.status().as_u16();
    let mut body = pin!(response.into_body());
    let mut collected = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(Into::into)?.into_data() {
            if collected.len() + data.len() > MAX_ANSWER {
                return Ok((status, None));
            }
            collected.extend_from_slice(&data);
        }
    }
    Ok((status, Some(collected)))
}
