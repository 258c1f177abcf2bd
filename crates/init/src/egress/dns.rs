//! The sandbox's DNS server, over UDP and TCP.

use std::io;
use std::net::{SocketAddrV4, TcpListener as StdListener, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

use casemate_egress::dns::{Answer, MESSAGE_LIMIT, Malformed, Question, TcpMessages, to_tcp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::resolver::{Progress, Resolver};

/// Questions over UDP that wait for the server. Those above it are answered that it failed.
const WAITING_LIMIT: usize = 256;

/// Connections over TCP; more wait in the backlog.
const TCP_CONNECTION_LIMIT: usize = 16;

/// How long a connection over TCP may be silent, and take to read an answer.
const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two attempts to bind a port that a program of the user's has.
const BIND_INTERVAL: Duration = Duration::from_secs(5);

/// After an error of a socket, which may be one of every call.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Bytes that are read from a connection at a time.
const READ_BUFFER: usize = 512;

/// Binds both ports, or goes on trying, and serves them.
pub fn start(address: SocketAddrV4, resolver: &Arc<Resolver>, descriptors: &Arc<Semaphore>) {
    let of_resolver = resolver.clone();
    start_one(
        move || bind_udp(address),
        "UDP",
        move |socket| serve_udp(Arc::new(socket), of_resolver),
    );
    let (resolver, descriptors) = (resolver.clone(), descriptors.clone());
    start_one(
        move || bind_tcp(address),
        "TCP",
        move |listener| serve_tcp(listener, resolver, descriptors),
    );
}

/// The first attempt is made at once, before the server's call is answered: commands that it starts
/// after that find their resolver.
fn start_one<S: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    bind: impl Fn() -> io::Result<S> + Send + 'static,
    protocol: &'static str,
    serve: impl FnOnce(S) -> F + Send + 'static,
) {
    let mut bound = bind();
    tokio::spawn(async move {
        if let Err(error) = &bound {
            crate::report_error(&format!("cannot serve DNS over {protocol}: {error}"));
        }
        let socket = loop {
            match bound {
                Ok(socket) => break socket,
                Err(_) => sleep(BIND_INTERVAL).await,
            }
            bound = bind();
        };
        serve(socket).await;
    });
}

fn bind_udp(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = StdUdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

fn bind_tcp(address: SocketAddrV4) -> io::Result<TcpListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve_udp(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) {
    let waiting = Arc::new(Semaphore::new(WAITING_LIMIT));
    let mut buffer = vec![0; MESSAGE_LIMIT];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            sleep(ERROR_PAUSE).await;
            continue;
        };
        let question = match Question::parse(&buffer[..length]) {
            Ok(question) => question,
            Err(Malformed::Silent) => continue,
            Err(Malformed::Reply(reply)) => {
                let _ = socket.send_to(&reply, peer).await;
                continue;
            }
        };
        let answer = match resolver.ask(&question) {
            Progress::Answered(answer) => answer,
            Progress::Waiting(answer) => match waiting.clone().try_acquire_owned() {
                Ok(permit) => {
                    let (socket, resolver) = (socket.clone(), resolver.clone());
                    tokio::spawn(async move {
                        let _permit = permit;
                        let answer = resolver.wait(answer).await;
                        let _ = socket.send_to(&question.reply(answer), peer).await;
                    });
                    continue;
                }
                Err(_) => Answer::ServerFailure,
            },
        };
        let _ = socket.send_to(&question.reply(answer), peer).await;
    }
}

async fn serve_tcp(listener: TcpListener, resolver: Arc<Resolver>, descriptors: Arc<Semaphore>) {
    let places = Arc::new(Semaphore::new(TCP_CONNECTION_LIMIT));
    loop {
        // Neither semaphore is ever closed.
        let place = places.clone().acquire_owned().await;
        let descriptor = descriptors.clone().acquire_owned().await;
        let (Ok(place), Ok(descriptor)) = (place, descriptor) else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let held = [place, descriptor];
                tokio::spawn(serve_connection(stream, resolver.clone(), held));
            }
            Err(_) => sleep(ERROR_PAUSE).await,
        }
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    resolver: Arc<Resolver>,
    _held: [OwnedSemaphorePermit; 2],
) {
    let mut messages = TcpMessages::default();
    let mut buffer = [0; READ_BUFFER];
    loop {
        let message = match messages.take() {
            Ok(Some(message)) => message,
            Ok(None) => {
                match timeout(TCP_IDLE_TIMEOUT, stream.read(&mut buffer)).await {
                    Ok(Ok(length @ 1..)) => messages.push(&buffer[..length]),
                    _ => return,
                }
                continue;
            }
            Err(_) => return,
        };
        let Some(reply) = reply(&message, &resolver).await else {
            continue;
        };
        let written = timeout(TCP_IDLE_TIMEOUT, stream.write_all(&to_tcp(&reply))).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

async fn reply(message: &[u8], resolver: &Resolver) -> Option<Vec<u8>> {
    let question = match Question::parse(message) {
        Ok(question) => question,
        Err(Malformed::Silent) => return None,
        Err(Malformed::Reply(reply)) => return Some(reply.to_vec()),
    };
    let answer = match resolver.ask(&question) {
        Progress::Answered(answer) => answer,
        Progress::Waiting(answer) => resolver.wait(answer).await,
    };
    Some(question.reply(answer))
}
