//! The user's browser, as far as the example needs one: it opens links.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

/// What a link shows.
pub struct Page {
    /// Its media type.
    pub media_type: String,
    /// Its content.
    pub content: Bytes,
}

/// Opens a link of `server`. The part after `#` is a ticket, which the page at that address
/// exchanges for a cookie.
pub async fn open(server: SocketAddr, link: &str) -> anyhow::Result<Page> {
    let (address, ticket) = link.split_once('#').unwrap_or((link, ""));
    let address: Uri = address.parse()?;
    let host = address.authority().context("no host")?.as_str();
    if ticket.is_empty() {
        return get(server, host, address.path(), None).await;
    }
    let body = json!({ "ticket": ticket }).to_string();
    let exchange = Request::post(address.path())
        .header("host", host)
        .header("origin", format!("http://{host}"))
        .header("content-type", "application/json")
        .body(Full::from(body))?;
    let (headers, _) = send(server, exchange).await?;
    let cookie = headers.get(SET_COOKIE).context("no cookie")?.to_str()?;
    let cookie = cookie.split(';').next().unwrap_or_default();
    get(server, host, "/", Some(cookie)).await
}

/// `GET` of a path.
async fn get(
    server: SocketAddr,
    host: &str,
    path: &str,
    cookie: Option<&str>,
) -> anyhow::Result<Page> {
    let mut request = Request::get(path).header("host", host);
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    let (headers, content) = send(server, request.body(Full::default())?).await?;
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::to_str);
    Ok(Page {
        media_type: media_type.transpose()?.unwrap_or_default().to_owned(),
        content,
    })
}

/// All names below `localhost` are this machine, so every request goes to the server.
async fn send(
    server: SocketAddr,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(HeaderMap, Bytes)> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let content = body.collect().await?.to_bytes();
    let said = String::from_utf8_lossy(&content);
    ensure!(head.status.is_success(), "{}: {said}", head.status);
    Ok((head.headers, content))
}
