//! Connects through the operator's HTTP proxy: CONNECT (RFC 9110, section 9.3.6).

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use casemate_egress::Reason;
use casemate_egress::rules::Proxy;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

/// A connection to `target`, which is `host:port`, and what has already come from it.
///
/// # Errors
/// The proxy cannot be reached, or does not connect.
pub async fn connect(proxy: &Proxy, target: &str) -> Result<(TcpStream, Bytes), Reason> {
    let stream = TcpStream::connect((&*proxy.host, proxy.port)).await;
    let stream = stream.map_err(|_| Reason::Unreachable)?;
    let tunnel = tunnel(proxy, stream, target).await;
    let tunnel = tunnel.map_err(|_| Reason::Unreachable)?;
    tunnel.ok_or(Reason::ProxyRefused)
}

/// `None`: the proxy's answer is no.
async fn tunnel(
    proxy: &Proxy,
    stream: TcpStream,
    target: &str,
) -> io::Result<Option<(TcpStream, Bytes)>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // It ends with the answer: by the upgrade, or when `sender` is dropped.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder().method(Method::CONNECT).uri(target);
    request = request.header(HOST, target);
    if let Some(credentials) = &proxy.credentials {
        request = request.header(PROXY_AUTHORIZATION, basic(credentials)?);
    }
    let request = request.body(Empty::<Bytes>::new());
    let answer = sender
        .send_request(request.map_err(io::Error::other)?)
        .await;
    let answer = answer.map_err(io::Error::other)?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(io::Error::other)?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>();
    let parts = parts.map_err(|_| io::Error::other("another stream than it was made from"))?;
    Ok(Some((parts.io.into_inner(), parts.read_buf)))
}

/// `user:password` of a URL, as a header.
fn basic(credentials: &str) -> io::Result<HeaderValue> {
    let decoded: Vec<u8> = percent_decode_str(credentials).collect();
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(decoded)));
    let mut value = value.map_err(io::Error::other)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use casemate_egress::rules::{EgressSettings, Rules};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A proxy that answers so, and what it was asked.
    async fn asked(answer: &'static [u8]) -> (Result<(TcpStream, Bytes), Reason>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("an address").port();
        let settings = format!("proxy = {{ url = 'http://a%40b:c@127.0.0.1:{port}' }}");
        let settings: EgressSettings = toml::from_str(&settings).expect("TOML");
        let policy = settings.compile("egress.allow").expect("valid");
        assert_eq!(
            policy.rules(&[]).iter().count(),
            Rules::default().iter().count()
        );
        let proxy = policy.proxy().expect("a proxy").clone();
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a head"));
            }
            stream.write_all(answer).await.expect("written");
            String::from_utf8(head).expect("text")
        };
        tokio::join!(connect(&proxy, "203.0.113.9:22"), serve)
    }

    #[tokio::test]
    async fn what_comes_with_the_answer_is_not_lost_and_the_credentials_are_sent() {
        let (made, head) = asked(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n").await;
        let (mut stream, mut early) = made
            .map(|(stream, early)| (stream, early.to_vec()))
            .expect("made");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("the end");
        early.extend(rest);
        assert_eq!(early, b"SSH-2.0-x\r\n");
        assert!(
            head.starts_with("CONNECT 203.0.113.9:22 HTTP/1.1\r\n"),
            "{head}"
        );
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("\r\nhost: 203.0.113.9:22\r\n"), "{head}");
        // a@b:c
        assert!(head.contains("Basic YUBiOmM="), "{head}");
    }

    #[tokio::test]
    async fn a_proxy_that_says_no_or_nothing_sensible_is_told_apart() {
        for (answer, reason) in [
            (
                &b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"[..],
                Reason::ProxyRefused,
            ),
            (
                b"HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n",
                Reason::ProxyRefused,
            ),
            (b"SSH-2.0-x\r\n\r\n", Reason::Unreachable),
            (b"", Reason::Unreachable),
        ] {
            let (made, _) = asked(answer).await;
            assert_eq!(
                made.err(),
                Some(reason),
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
    }
}
