//! A way to an Engine that breaks when the test wants it to.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use super::Engine;

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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}
