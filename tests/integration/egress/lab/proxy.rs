//! An HTTP proxy among the targets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::namespace::Namespace;

/// Connects to addresses, and to the one name that it knows. Dropping it closes its socket.
#[derive(Debug)]
pub struct TestProxy {
    asked: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
}

impl TestProxy {
    /// `known`: a name with its port, and its address. A request without credentials gets a 403.
    pub fn start(
        there: &Arc<Namespace>,
        listener: TcpListener,
        known: (&'static str, SocketAddr),
    ) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (there, all) = (there.clone(), asked.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (there, all) = (there.clone(), all.clone());
                tokio::spawn(async move { serve(stream, &there, &all, known).await });
            }
        });
        Self {
            asked,
            accepting: accepting.abort_handle(),
        }
    }

    /// The request lines' targets and the credentials, in the order in which they came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    there: &Namespace,
    all: &Mutex<Vec<String>>,
    (name, address): (&str, SocketAddr),
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("a head");
    let target = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    let target = target.expect("CONNECT").to_owned();
    let is_known = head
        .to_ascii_lowercase()
        .contains("proxy-authorization: basic ");
    all.lock().expect("lock").push(target.clone());
    let address = match target == name {
        true => Some(address),
        false => target.parse().ok(),
    };
    let Some(address) = address.filter(|_| is_known) else {
        let _ = stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            .await;
        return;
    };
    let Ok(mut target) = there.connect(address).await else {
        return;
    };
    let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await;
    let _ = copy_bidirectional(&mut stream, &mut target).await;
}
