//! Whether the network reaches from here what it must not: Kubernetes accepts a network policy also
//! where nothing enforces it, so PID 1 tries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::{io, iter};

use casemate_protocol::exit;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::lifecycle::Lifecycle;

/// How long an answer may take: one in the cluster takes a millisecond, and a sandbox begins only
/// after this, for a policy drops packets without a word.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);

/// From one look to the next. A network plugin may enforce a policy late, and lets all pass until then;
/// the last interval repeats, as a policy may be removed while the sandbox runs.
const LOOK_INTERVALS: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(5 * 60),
];

/// The port of DNS, which is asked over UDP too: a policy may deny TCP alone.
const DNS: u16 = 53;

/// A question for the name servers of the root (RFC 1035, section 4), which every resolver answers, if
/// only with a refusal.
const DNS_QUESTION: [u8; 17] = [
    0xca, 0x5e, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, // one question; recursion is desired
    0, 0, 2, 0, 1, // the root, NS, IN
];

/// The first that answers, by whatever: one that refuses the connection is reached too.
pub async fn reached(targets: &[SocketAddr]) -> Option<SocketAddr> {
    let mut tries = JoinSet::new();
    for target in targets.iter().copied() {
        tries.spawn(async move { accepts(target).await.then_some(target) });
        if target.port() == DNS {
            tries.spawn(async move { resolves(target).await.then_some(target) });
        }
    }
    while let Some(tried) = tries.join_next().await {
        if let Ok(Some(target)) = tried {
            return Some(target);
        }
    }
    None
}

/// Whether a TCP connection is answered.
async fn accepts(target: SocketAddr) -> bool {
    is_answer(timeout(ANSWER_TIMEOUT, TcpStream::connect(target)).await)
}

/// Whether a question over UDP is answered.
async fn resolves(target: SocketAddr) -> bool {
    let asked = async {
        let any: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(target).await?;
        socket.send(&DNS_QUESTION).await?;
        socket.recv(&mut [0; 1]).await
    };
    is_answer(timeout(ANSWER_TIMEOUT, asked).await)
}

fn is_answer<T>(tried: Result<io::Result<T>, Elapsed>) -> bool {
    match tried {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
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
    let [.., last] = LOOK_INTERVALS;
    let intervals = LOOK_INTERVALS.into_iter().chain(iter::repeat(last));
    for interval in intervals.take_while(|_| !targets.is_empty()) {
        tokio::time::sleep(interval).await;
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

    #[tokio::test]
    async fn a_question_over_udp_is_answered_refused_or_lost() {
        let resolver = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = resolver.local_addr().expect("its address");
        assert!(!resolves(address).await, "nobody reads it");
        let answers = tokio::spawn(async move {
            let mut question = [0; 64];
            loop {
                let (length, from) = resolver.recv_from(&mut question).await.expect("asked");
                assert_eq!(question[..length], DNS_QUESTION);
                resolver.send_to(b"x", from).await.expect("answered");
            }
        });
        assert!(resolves(address).await);
        answers.abort();
        let _ = answers.await;
        assert!(resolves(address).await, "it refuses");
    }
}
