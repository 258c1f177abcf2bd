//! Servers that record what reaches them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::talk::{Talk, converse};
use crate::harness::eventually;

/// One connection, as far as it has come.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Of the TLS handshake.
    pub server_name: Option<String>,
    /// The first bytes, after TLS where there is TLS.
    pub head: Vec<u8>,
    /// All bytes.
    pub received: u64,
    /// All bytes that the client's side took.
    pub sent: u64,
    /// SHA-256 in hex, at the end of the client's direction.
    pub digest: Option<String>,
    /// An error ended it: the client's side has broken it off.
    pub broken: bool,
    /// It is over.
    pub ended: bool,
}

/// Where a task writes what it sees.
#[derive(Clone)]
pub struct Record(Arc<Mutex<Vec<Seen>>>, usize);

impl Record {
    /// Changes what is seen of its connection.
    pub fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().expect("lock")[self.1]);
    }
}

/// What a web server answers with: status, headers, body.
pub type Reply = (u16, Vec<(&'static str, String)>, Bytes);

/// Answers with these files, by their paths.
pub fn served(files: HashMap<String, Bytes>) -> impl Fn(&str) -> Reply + Send + Sync {
    move |path| {
        // git asks for a service first, with a query.
        let path = path.split('?').next().unwrap_or_default();
        let kind = match path.starts_with("/simple") {
            true => "text/html",
            false => "application/octet-stream",
        };
        match files.get(path) {
            Some(content) => (
                200,
                vec![("content-type", kind.to_owned())],
                content.clone(),
            ),
            None => (404, Vec::new(), Bytes::new()),
        }
    }
}

/// A server. Dropping it closes its socket; connections live on.
#[derive(Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: AbortHandle,
}

impl Target {
    /// Serves connections, over TLS where `tls` is there.
    pub fn start(listener: TcpListener, tls: Option<TlsAcceptor>, talk: Talk) -> Self {
        Self::serve(listener, move |stream, record| {
            let tls = tls.clone();
            async move {
                let Some(tls) = tls else {
                    return converse(stream, talk, &record).await;
                };
                // The client's side has refused the certificate, or broken it off.
                let Ok(stream) = tls.accept(stream).await else {
                    return record.change(|seen| seen.broken = true);
                };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                record.change(|seen| seen.server_name = name);
                converse(stream, talk, &record).await;
            }
        })
    }

    /// Answers requests over TLS.
    pub fn web(
        listener: TcpListener,
        tls: TlsAcceptor,
        reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let reply = Arc::new(reply);
        Self::serve(listener, move |stream, record| {
            let (tls, reply) = (tls.clone(), reply.clone());
            async move {
                let Ok(stream) = tls.accept(stream).await else {
                    return record.change(|seen| seen.broken = true);
                };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                record.change(|seen| seen.server_name = name);
                let service = service_fn(|request: Request<Incoming>| {
                    let path = request.uri().path_and_query().map(ToString::to_string);
                    let path = path.unwrap_or_default();
                    record.change(|seen| seen.head.extend(format!("{path}\n").into_bytes()));
                    let (status, headers, body) = reply(&path);
                    let mut response = Response::builder().status(status);
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    let response = response.body(Full::new(body)).expect("a response");
                    std::future::ready(Ok::<_, Infallible>(response))
                });
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _ = served.await;
            }
        })
    }

    fn serve<F>(
        listener: TcpListener,
        serve: impl Fn(TcpStream, Record) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let all = seen.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let record = {
                    let mut seen = all.lock().expect("lock");
                    seen.push(Seen::default());
                    Record(all.clone(), seen.len() - 1)
                };
                let served = serve(stream, record.clone());
                tokio::spawn(async move {
                    served.await;
                    record.change(|seen| seen.ended = true);
                });
            }
        });
        Self {
            address,
            seen,
            accepting: accepting.abort_handle(),
        }
    }

    /// All connections so far, in the order in which they were made.
    pub fn seen(&self) -> Vec<Seen> {
        self.all().clone()
    }

    /// How many connections were made.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// Waits until all its connections have ended.
    pub async fn ended(&self) {
        eventually("its connections end", Duration::from_secs(10), async || {
            self.all().iter().all(|seen| seen.ended)
        })
        .await;
    }

    /// Its only connection, at its end.
    pub async fn only(&self) -> Seen {
        self.ended().await;
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "connections to {}: {seen:?}", self.address);
        seen[0].clone()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().expect("lock")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
