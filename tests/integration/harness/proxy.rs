//! A connection to an Engine that tests can break.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::Engine;

/// How the request for a removal begins.
const DELETE: &[u8] = b"DELETE /";

/// A socket whose connections go on to an Engine's. Dropping it closes it.
#[derive(Debug)]
pub struct Proxy {
    socket: PathBuf,
    accepting: AbortHandle,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Proxy {
    /// In front of `engine`.
    pub fn to(engine: &Engine) -> Self {
        let target = engine.uri().trim_start_matches("unix://").to_owned();
        let socket = PathBuf::from(format!("{target}.proxy"));
        let listener = UnixListener::bind(&socket).expect("a socket");
        let connections: Arc<Mutex<JoinSet<()>>> = Arc::default();
        let accepted = connections.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let target = target.clone();
                accepted.lock().expect("lock").spawn(async move {
                    if let Ok(mut there) = UnixStream::connect(target).await {
                        // However it ends, both sides see it.
                        let _ = copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Self {
            socket,
            accepting: accepting.abort_handle(),
            connections,
        }
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Breaks all connections; the next ones work.
    pub fn cut(&self) {
        self.connections.lock().expect("lock").abort_all();
    }
}

/// A socket in front of an Engine that passes on only some removals. Dropping it closes it.
#[derive(Debug)]
pub struct Withholding {
    socket: PathBuf,
    removals: watch::Receiver<usize>,
    most: usize,
    accepting: AbortHandle,
}

impl Withholding {
    /// Listens at `socket`, in front of the Engine at the socket `target`, which gets the first `most`
    /// removals and no later ones.
    pub fn new(socket: PathBuf, target: String, most: usize) -> Self {
        let listener = UnixListener::bind(&socket).expect("a socket");
        let (count, removals) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((here, _)) = listener.accept().await {
                let there = UnixStream::connect(&target).await.expect("an Engine");
                connections.spawn(pass(here, there, count.clone(), most));
            }
        });
        Self {
            socket,
            removals,
            most,
            accepting: accepting.abort_handle(),
        }
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Waits until one was held back.
    pub async fn until_withheld(&mut self) {
        let most = self.most;
        let more = self.removals.wait_for(|count| *count > most).await;
        more.expect("it accepts");
    }
}

impl Drop for Withholding {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The client waits for each answer, so a request is where a read begins.
async fn pass(here: UnixStream, there: UnixStream, count: watch::Sender<usize>, most: usize) {
    let ((mut requests, mut answers), (mut back, mut on)) = (here.into_split(), there.into_split());
    let forward = async {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = requests.read(&mut chunk).await {
            if chunk.starts_with(DELETE) {
                count.send_modify(|count| *count += 1);
                if *count.borrow() > most {
                    return std::future::pending().await;
                }
            }
            if on.write_all(&chunk[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        _ = copy(&mut back, &mut answers) => {}
    }
}

/// A socket in front of an Engine that holds the making of containers back until it is told to pass
/// it on. Dropping it closes it.
#[derive(Debug)]
pub struct HoldingCreates {
    socket: PathBuf,
    held: watch::Receiver<usize>,
    passes: watch::Sender<bool>,
    accepting: AbortHandle,
}

/// Part of the request for a container with a name, in its first line.
const CREATE: &[u8] = b"/containers/create?name=";

impl HoldingCreates {
    /// Listens at `socket`, in front of the Engine at the socket `target`.
    pub fn new(socket: PathBuf, target: String) -> Self {
        let listener = UnixListener::bind(&socket).expect("a socket");
        let (count, held) = watch::channel(0);
        let (passes, is_passed) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let mut there = UnixStream::connect(&target).await.expect("an Engine");
                let (count, is_passed) = (count.clone(), is_passed.clone());
                connections.spawn(async move {
                    let (mut requests, mut answers) = here.split();
                    let (mut back, mut on) = there.split();
                    tokio::select! {
                        () = hold(&mut requests, &mut on, count, is_passed) => {}
                        _ = copy(&mut back, &mut answers) => {}
                    }
                });
            }
        });
        Self {
            socket,
            held,
            passes,
            accepting: accepting.abort_handle(),
        }
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Waits until one is held back.
    pub async fn until_held(&mut self) {
        let held = self.held.wait_for(|count| *count > 0).await;
        held.expect("it accepts");
    }

    /// Passes on what it holds, and all later ones at once.
    pub fn pass(&self) {
        self.passes.send_replace(true);
    }
}

impl Drop for HoldingCreates {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The client waits for each answer, so a request is where a read begins.
async fn hold(
    requests: &mut ReadHalf<'_>,
    on: &mut WriteHalf<'_>,
    count: watch::Sender<usize>,
    mut is_passed: watch::Receiver<bool>,
) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = requests.read(&mut chunk).await {
        let line = chunk[..length].split(|byte| *byte == b'\r').next();
        if line.is_some_and(|line| line.windows(CREATE.len()).any(|part| part == CREATE)) {
            count.send_modify(|count| *count += 1);
            if is_passed.wait_for(|passed| *passed).await.is_err() {
                return;
            }
        }
        if on.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

/// A socket in front of an Engine that says of its host that it cannot limit memory, as one of a
/// user without privileges on cgroup v1 does. Dropping it closes it.
#[derive(Debug)]
pub struct WithoutMemoryLimit {
    socket: PathBuf,
    accepting: AbortHandle,
}

/// In the answer to `info`; and as long, because the answer has its length before it.
const LIMITED: &[u8] = br#""MemoryLimit":true"#;
const UNLIMITED: &[u8] = br#""MemoryLimit":null"#;

impl WithoutMemoryLimit {
    /// Listens at `socket`, in front of the Engine at the socket `target`.
    pub fn new(socket: PathBuf, target: String) -> Self {
        let listener = UnixListener::bind(&socket).expect("a socket");
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let mut there = UnixStream::connect(&target).await.expect("an Engine");
                connections.spawn(async move {
                    let (mut requests, mut answers) = here.split();
                    let (mut back, mut on) = there.split();
                    tokio::select! {
                        _ = copy(&mut requests, &mut on) => {}
                        () = replace(&mut back, &mut answers) => {}
                    }
                });
            }
        });
        Self {
            socket,
            accepting: accepting.abort_handle(),
        }
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl Drop for WithoutMemoryLimit {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes everything on, with [`UNLIMITED`] for [`LIMITED`]. What may be the beginning of it waits
/// for the rest.
async fn replace(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) {
    let mut held = Vec::new();
    while let Ok(1..) = from.read_buf(&mut held).await {
        if let Some(at) = held.windows(LIMITED.len()).position(|it| it == LIMITED) {
            held[at..at + LIMITED.len()].copy_from_slice(UNLIMITED);
        }
        let may_begin = |length: &usize| held.ends_with(&LIMITED[..*length]);
        let kept = (2..LIMITED.len()).rev().find(may_begin).unwrap_or(0);
        let rest = held.split_off(held.len() - kept);
        if to.write_all(&held).await.is_err() {
            return;
        }
        held = rest;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}
