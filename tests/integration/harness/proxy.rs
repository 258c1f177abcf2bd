//! A connection to an Engine that tests can break.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}
