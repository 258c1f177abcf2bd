//! A client that sends and receives bytes, not text.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Response, StatusCode};

pub use crate::harness::Reply;
use crate::harness::{HttpServer, connect};

/// Headers of a request.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// One request, with its whole answer.
pub async fn ask(
    server: &HttpServer,
    method: &str,
    path: &str,
    headers: Headers<'_>,
    body: impl Into<Bytes>,
) -> Reply {
    let mut request = server.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = server.send(request, body).await;
    let status = answer.status().as_u16();
    let headers = std::mem::take(answer.response.headers_mut());
    let body = answer.response.body_mut().collect().await;
    Reply {
        status,
        headers,
        body: body.expect("a whole body").to_bytes(),
    }
}

/// A request without headers or body.
pub async fn get(server: &HttpServer, path: &str) -> Reply {
    ask(server, "GET", path, &[], "").await
}

/// Stores a file.
pub async fn put(server: &HttpServer, path: &str, content: impl Into<Bytes>) -> Reply {
    let path = format!("/files/content/{path}");
    ask(server, "PUT", &path, &[], content).await
}

/// The content of a file; panics when it is not there.
pub async fn content(server: &HttpServer, path: &str) -> Bytes {
    let reply = get(server, &format!("/files/content/{path}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

/// A request whose body streams, in chunks or, where `length` says how much comes,
/// as one; the head of the answer, and its body to come.
pub async fn stream(
    server: &HttpServer,
    method: &str,
    path: &str,
    headers: Headers<'_>,
    body: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Incoming> {
    let mut request = server.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let frames = body.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
    let request = request.body(StreamBody::new(frames)).expect("a request");
    let (mut sender, _) = connect(server.address).await;
    sender.send_request(request).await.expect("an answer")
}

/// The same, with its whole answer.
pub async fn stream_up(
    server: &HttpServer,
    method: &str,
    path: &str,
    headers: Headers<'_>,
    body: impl Stream<Item = Bytes> + Send + 'static,
) -> Reply {
    Reply::of(stream(server, method, path, headers, body).await).await
}

/// The boundary of [`form`].
pub const BOUNDARY: &str = "----a-boundary";

/// What [`form`] is.
pub const FORM: (&str, &str) = (
    "content-type",
    "multipart/form-data; boundary=----a-boundary",
);

/// A form with these files, as browsers send it: name, as written between the quotes, and
/// content.
pub fn form(files: &[(&str, &[u8])]) -> Bytes {
    let mut form = Vec::new();
    for (name, content) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    form.into()
}

/// Uploads files into a directory, which is written into `?path=` as it is.
pub async fn upload(server: &HttpServer, directory: &str, files: &[(&str, &[u8])]) -> Reply {
    let path = format!("/files/upload?path={directory}");
    ask(server, "POST", &path, &[FORM], form(files)).await
}

/// Bytes in which every place differs from its neighbours, and so does every part.
pub fn noise(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

/// Whether this is the status of a success.
pub fn is_success(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(|status| status.is_success())
}
