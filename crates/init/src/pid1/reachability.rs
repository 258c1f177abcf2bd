//! Whether the network reaches from here what it must not: Kubernetes accepts a network policy also
//! where nothing enforces it, so PID 1 tries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::exit;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::lifecycle::Lifecycle;

/// How long an answer may take: one in the cluster takes a millisecond, and a sandbox begins only
/// after this, for a policy drops packets without a word.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);

/// Between two looks: a policy may be removed while the sandbox runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The first that answers, by whatever: one that refuses the connection is reached too.
pub async fn reached(targets: &[SocketAddr]) -> Option<SocketAddr> {
    let mut tries = JoinSet::new();
    for target in targets.iter().copied() {
        tries.spawn(async move { answers(target).await.then_some(target) });
    }
    while let Some(tried) = tries.join_next().await {
        if let Ok(Some(target)) = tried {
            return Some(target);
        }
    }
    None
}

async fn answers(target: SocketAddr) -> bool {
    match timeout(ANSWER_TIMEOUT, TcpStream::connect(target)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

/// Says what was reached.
pub fn report(target: SocketAddr) {
    crate::report_error(&format!(
        "the network reaches {target}: no policy that denies it is enforced here"
    ));
}

/// Looks again and again, and ends PID 1 when something is reached.
pub async fn watch(targets: Vec<SocketAddr>, lifecycle: Arc<Lifecycle>) {
    while !targets.is_empty() {
        tokio::time::sleep(LOOK_INTERVAL).await;
        if let Some(target) = reached(&targets).await {
            report(target);
            lifecycle.end(exit::REACHABLE);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address at which the kernel drops what begins a connection: more wait there than it accepts.
    async fn silent() -> (SocketAddr, (tokio::net::TcpListener, Vec<TcpStream>)) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        let any = "127.0.0.1:0".parse().expect("an address");
        socket.bind(any).expect("a port");
        let listener = socket.listen(0).expect("listens");
        let address = listener.local_addr().expect("its address");
        let mut waiting = Vec::new();
        while let Ok(connected) = timeout(ANSWER_TIMEOUT, TcpStream::connect(address)).await {
            waiting.push(connected.expect("a connection"));
        }
        (address, (listener, waiting))
    }

    #[tokio::test]
    async fn what_accepts_and_what_refuses_is_reached_and_what_is_silent_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let open = listener.local_addr().expect("its address");
        assert_eq!(reached(&[open]).await, Some(open));
        drop(listener);
        assert_eq!(reached(&[open]).await, Some(open), "it refuses");
        let (silent, _full) = silent().await;
        assert_eq!(reached(&[silent]).await, None);
        let open = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = open.local_addr().expect("its address");
        assert_eq!(reached(&[silent, address]).await, Some(address));
        assert_eq!(reached(&[]).await, None);
    }
}
