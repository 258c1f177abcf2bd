use std::io;

use casemate_egress::HostName;
use casemate_protocol::egress::Finish;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::pause;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a connection in these tests.
const BUDGET: u64 = 64 << 20;

const HOST: &str = "packages.example.com";

/// What OpenSSL sent for it, and its server's answer.
const HELLO: &[u8] = turn(include_bytes!(
    "../../../crates/egress/hellos/openssl-tls13.client"
));
const ANSWER: &[u8] = turn(include_bytes!(
    "../../../crates/egress/hellos/openssl-tls13.peer"
));

/// The only turn of a recorded handshake, which has its length before it.
const fn turn(recorded: &'static [u8]) -> &'static [u8] {
    recorded.split_at(4).1
}

/// A connection that is relayed: what casemate-init sends and gets, and the target's side.
struct Relayed {
    program: Option<mpsc::Sender<Result<SandboxPiece, Status>>>,
    pieces: mpsc::Receiver<ServerPiece>,
    listener: TcpListener,
    revoked: CancellationToken,
    report: JoinHandle<RelayReport>,
}

impl Relayed {
    async fn new(gate: Option<HelloGate>) -> Self {
        let (program, from_program) = mpsc::channel(1);
        let (out, pieces) = mpsc::channel(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("an address");
        let revoked = CancellationToken::new();
        let sandbox = SandboxStream {
            pieces: ReceiverStream::new(from_program),
            out,
        };
        let dial = move || async move {
            let stream = TcpStream::connect(address).await;
            Ok(Connected {
                stream: stream.map_err(|_| Reason::Unreachable)?,
                address: Some(address.ip()),
                early: Bytes::new(),
            })
        };
        let token = revoked.clone();
        let ended = async move {
            token.cancelled().await;
            RelayEnd::Refused(Reason::RulesChanged)
        };
        let budget = DayBudget::new(Some(BUDGET));
        let report = tokio::spawn(async move { relay(sandbox, gate, &budget, dial, ended).await });
        Self {
            program: Some(program),
            pieces,
            listener,
            revoked,
            report,
        }
    }

    async fn tls(host: &str) -> Self {
        let host = HostName::parse(host).expect("a name");
        Self::new(Some(HelloGate::new(host))).await
    }

    async fn target(&self) -> TcpStream {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        accepted.expect("in time").expect("accepted").0
    }

    async fn send(&self, piece: sandbox_piece::Piece) {
        let piece = SandboxPiece { piece: Some(piece) };
        let program = self.program.as_ref().expect("it is there");
        // An error: it is over.
        let _ = timeout(PATIENCE, program.send(Ok(piece)))
            .await
            .expect("in time");
    }

    async fn data(&self, data: &[u8]) {
        self.send(sandbox_piece::Piece::Data(Bytes::copy_from_slice(data)))
            .await;
    }

    async fn finish(&self) {
        self.send(sandbox_piece::Piece::Finish(Finish {})).await;
    }

    /// The last message of casemate-init.
    async fn outcome(&self, kind: Kind) {
        let kind = kind.into();
        let reason = String::new();
        self.send(sandbox_piece::Piece::Outcome(Outcome { kind, reason }))
            .await;
    }

    async fn next(&mut self) -> Option<server_piece::Piece> {
        let piece = timeout(PATIENCE, self.pieces.recv())
            .await
            .expect("in time");
        piece.map(|piece| piece.piece.expect("a known one"))
    }

    /// The end, as the sandbox is told it and as it is recorded.
    async fn ended(mut self) -> (Outcome, RelayReport) {
        let outcome = loop {
            match self.next().await {
                Some(server_piece::Piece::Outcome(outcome)) => break outcome,
                Some(_) => {}
                None => panic!("no outcome"),
            }
        };
        let report = timeout(PATIENCE, self.report).await.expect("in time");
        (outcome, report.expect("no panic"))
    }

    /// It ends refused, and nothing was dialled.
    async fn expect_refusal_without_a_dial(self, reason: Reason) {
        let early = timeout(Duration::from_millis(100), self.listener.accept()).await;
        assert!(early.is_err(), "dialled");
        let (outcome, report) = self.ended().await;
        assert_eq!(
            (outcome.kind(), &*outcome.reason),
            (Kind::Refused, reason.as_str())
        );
        assert_eq!(report.end, RelayEnd::Refused(reason));
        assert_eq!((report.address, report.sent, report.received), (None, 0, 0));
    }
}

#[tokio::test]
async fn bytes_pass_in_both_directions_with_their_ends_and_are_counted() {
    let mut relayed = Relayed::new(None).await;
    let mut target = relayed.target().await;
    target.write_all(b"220 ready").await.expect("written");
    assert_eq!(
        relayed.next().await,
        Some(server_piece::Piece::Data("220 ready".into()))
    );
    relayed.data(b"QUIT").await;
    relayed.finish().await;
    let mut all = Vec::new();
    let read = timeout(PATIENCE, target.read_to_end(&mut all)).await;
    read.expect("in time").expect("the end");
    assert_eq!(all, b"QUIT");
    // The program's direction has ended, the target's goes on.
    target.write_all(b"221 bye").await.expect("written");
    assert_eq!(
        relayed.next().await,
        Some(server_piece::Piece::Data("221 bye".into()))
    );
    drop(target);
    assert_eq!(
        relayed.next().await,
        Some(server_piece::Piece::Finish(Finish {}))
    );
    // Both directions have ended, and the program may still have to read.
    let early = timeout(Duration::from_millis(100), relayed.pieces.recv()).await;
    assert!(early.is_err(), "{early:?}");
    relayed.outcome(Kind::Closed).await;
    let (outcome, report) = relayed.ended().await;
    assert_eq!(outcome.kind(), Kind::Closed);
    assert_eq!(
        (report.end, report.sent, report.received),
        (RelayEnd::Closed, 4, 16)
    );
    assert!(report.address.is_some_and(|address| address.is_loopback()));
}

#[tokio::test]
async fn a_handshake_for_the_host_passes_byte_for_byte() {
    let mut relayed = Relayed::tls(HOST).await;
    for byte in HELLO {
        relayed.data(&[*byte]).await;
    }
    let mut target = relayed.target().await;
    let mut read = vec![0; HELLO.len()];
    timeout(PATIENCE, target.read_exact(&mut read))
        .await
        .expect("in time")
        .expect("read");
    assert!(read == HELLO);
    target.write_all(ANSWER).await.expect("written");
    let mut answer = Vec::new();
    while answer.len() < ANSWER.len() {
        match relayed.next().await {
            Some(server_piece::Piece::Data(data)) => answer.extend_from_slice(&data),
            other => panic!("{other:?}"),
        }
    }
    assert!(answer == ANSWER);
    relayed.data(b"anything").await;
    let mut rest = [0; 8];
    timeout(PATIENCE, target.read_exact(&mut rest))
        .await
        .expect("in time")
        .expect("read");
    assert_eq!(&rest, b"anything");
}

#[tokio::test]
async fn a_handshake_for_another_host_never_reaches_anybody() {
    let relayed = Relayed::tls("other.example").await;
    relayed.data(HELLO).await;
    relayed
        .expect_refusal_without_a_dial(Reason::NameMismatch)
        .await;
    let relayed = Relayed::tls(HOST).await;
    relayed.data(b"SSH-2.0-OpenSSH_9.9\r\n").await;
    relayed.expect_refusal_without_a_dial(Reason::NotTls).await;
    let relayed = Relayed::tls(HOST).await;
    relayed.data(&HELLO[..HELLO.len() - 1]).await;
    relayed.finish().await;
    relayed.expect_refusal_without_a_dial(Reason::NotTls).await;
}

#[tokio::test]
async fn a_second_handshake_for_another_host_ends_the_connection() {
    let relayed = Relayed::tls(HOST).await;
    relayed.data(HELLO).await;
    let _target = relayed.target().await;
    let mut other = HELLO.to_vec();
    let at = HELLO
        .windows(HOST.len())
        .position(|bytes| bytes == HOST.as_bytes());
    other[at.expect("the server name")] ^= 1;
    relayed.data(&other).await;
    let (outcome, report) = relayed.ended().await;
    assert_eq!(outcome.reason, Reason::NameMismatch.as_str());
    assert_eq!(report.sent, HELLO.len() as u64);
}

#[tokio::test]
async fn a_handshake_has_to_come_in_10_s() {
    let relayed = Relayed::tls(HOST).await;
    relayed.data(&HELLO[..10]).await;
    let begin = Instant::now();
    pause();
    let (outcome, _) = relayed.ended().await;
    assert_eq!(outcome.reason, Reason::HandshakeTimeout.as_str());
    assert_eq!(begin.elapsed().as_secs(), HELLO_TIMEOUT.as_secs());
}

#[tokio::test]
async fn what_breaks_off_one_direction_ends_the_other() {
    // The target.
    let mut relayed = Relayed::new(None).await;
    let mut target = relayed.target().await;
    target.write_all(b"x").await.expect("written");
    assert_eq!(
        relayed.next().await,
        Some(server_piece::Piece::Data("x".into()))
    );
    rustix::net::sockopt::set_socket_linger(&target, Some(Duration::ZERO)).expect("set");
    drop(target);
    let (outcome, report) = relayed.ended().await;
    assert_eq!((outcome.kind(), report.end), (Kind::Reset, RelayEnd::Reset));
    // The program; the channel.
    for is_told in [true, false] {
        let mut relayed = Relayed::new(None).await;
        let mut target = relayed.target().await;
        if is_told {
            relayed.outcome(Kind::Reset).await;
        } else {
            relayed.program = None;
        }
        let read = timeout(PATIENCE, target.read(&mut [0]))
            .await
            .expect("in time");
        assert_eq!(
            read.expect_err("reset").kind(),
            io::ErrorKind::ConnectionReset
        );
        assert_eq!(relayed.ended().await.1.end, RelayEnd::Reset);
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_rule() {
    let relayed = Relayed::new(None).await;
    let mut target = relayed.target().await;
    relayed.data(b"x").await;
    assert_eq!(target.read_u8().await.expect("passed"), b'x');
    relayed.revoked.cancel();
    let read = timeout(PATIENCE, target.read(&mut [0]))
        .await
        .expect("in time");
    let error = read.expect_err("reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let (outcome, report) = relayed.ended().await;
    assert_eq!(outcome.reason, Reason::RulesChanged.as_str());
    assert_eq!(report.end, RelayEnd::Refused(Reason::RulesChanged));
}

#[tokio::test]
async fn a_silent_connection_ends_after_300_s() {
    let relayed = Relayed::new(None).await;
    let _target = relayed.target().await;
    let begin = Instant::now();
    pause();
    let piece = timeout(2 * IDLE_TIMEOUT, relayed.report).await;
    assert_eq!(
        piece.expect("in time").expect("no panic").end,
        RelayEnd::Reset
    );
    let took = begin.elapsed().as_secs();
    assert!((298..303).contains(&took), "{took} s");
}

#[tokio::test]
async fn a_sandbox_that_does_not_read_holds_the_target_back() {
    const ON_THE_WAY: usize = 16 << 20;
    let relayed = Relayed::new(None).await;
    let mut target = relayed.target().await;
    let mut sent = 0;
    loop {
        let piece = [7; MAX_PIECE];
        match timeout(Duration::from_millis(500), target.write(&piece)).await {
            Ok(written) => sent += written.expect("written"),
            Err(_) => break,
        }
        assert!(sent < ON_THE_WAY, "nothing holds it back");
    }
    drop(relayed);
}

#[tokio::test]
async fn a_connection_ends_when_the_bytes_of_the_day_have_passed() {
    let relayed = Relayed::new(None).await;
    let mut target = relayed.target().await;
    let sent = tokio::spawn(async move {
        let piece = [7; MAX_PIECE];
        while target.write_all(&piece).await.is_ok() {}
    });
    let (outcome, report) = relayed.ended().await;
    assert_eq!(outcome.reason, Reason::BytesPerDay.as_str());
    assert_eq!(report.end, RelayEnd::Refused(Reason::BytesPerDay));
    assert!(
        (BUDGET..BUDGET + MAX_PIECE as u64).contains(&report.received),
        "{report:?}"
    );
    sent.await.expect("no panic");
}
