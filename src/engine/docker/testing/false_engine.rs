//! An Engine that says what a test wants it to.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::engine::EngineAddress;
use crate::engine::docker::DockerEngine;

/// A directory that is gone when the test ends.
pub(in crate::engine) struct TempDir(PathBuf);

impl TempDir {
    pub(in crate::engine) fn new() -> Self {
        let random = RandomState::new().hash_one(0);
        let path = std::env::temp_dir().join(format!("casemate-test-{random:016x}"));
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    pub(in crate::engine) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An Engine that answers each connection with what `answer` makes of its request line; with
/// `None` it says nothing and holds the connection.
pub(in crate::engine) fn false_engine(
    dir: &TempDir,
    answer: impl Fn(&str) -> Option<String> + Send + 'static,
) -> (DockerEngine, impl Future<Output = ()> + Send + 'static) {
    let path = dir.path().join("docker.sock");
    let uri = format!("unix://{}", path.display());
    let engine = DockerEngine::new(EngineAddress {
        uri,
        found_by: "a test".to_owned(),
    });
    let serve = async move {
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]);
            match answer(request.lines().next().unwrap_or_default()) {
                Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                None => held.push(stream),
            }
        }
    };
    (engine.expect("an address"), serve)
}

/// A whole answer with this JSON.
pub(in crate::engine) fn ok(json: &str) -> String {
    let length = json.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
    )
}
