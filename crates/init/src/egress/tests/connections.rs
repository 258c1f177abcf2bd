use std::io::ErrorKind;
use std::time::Duration;

use casemate_protocol::MAX_PIECE;
use casemate_protocol::egress::outcome::Kind;
use casemate_protocol::egress::{Finish, Outcome, ServerPiece, sandbox_piece, server_piece};
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, pause, timeout};
use tonic::Code;

use super::super::testing::{PATIENCE, Sandbox, TestCarrier, TestConnection, port};

/// A program's connection, and the server's side of it.
struct Pair {
    sandbox: Sandbox,
    _carrier: TestCarrier,
    program: TcpStream,
    server: TestConnection,
}

impl Pair {
    async fn new() -> Self {
        let (sandbox, mut carrier, program) = waiting().await;
        let opened = carrier.opened().await;
        let server = sandbox.begin(opened.connection).await.expect("waits");
        Self {
            sandbox,
            _carrier: carrier,
            program,
            server,
        }
    }

    /// What the program reads next is the end, or an error.
    async fn program_ends(&mut self) -> Result<(), ErrorKind> {
        let read = timeout(PATIENCE, self.program.read(&mut [0; 16])).await;
        match read.expect("in time") {
            Ok(length) => {
                assert_eq!(length, 0);
                Ok(())
            }
            Err(error) => Err(error.kind()),
        }
    }
}

/// A program has connected.
async fn waiting() -> (Sandbox, TestCarrier, TcpStream) {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let port = port();
    let address = sandbox
        .resolve(&mut carrier, "a.example.com", &[port])
        .await;
    let program = TcpStream::connect((address, port)).await.expect("connects");
    (sandbox, carrier, program)
}

/// Bytes that differ at every place where pieces could be mixed up.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| byte()).collect()
}

fn finish() -> server_piece::Piece {
    server_piece::Piece::Finish(Finish {})
}

fn outcome(kind: Kind) -> server_piece::Piece {
    server_piece::Piece::Outcome(Outcome {
        kind: kind.into(),
        reason: String::new(),
    })
}

fn ended(piece: Option<sandbox_piece::Piece>) -> Option<Kind> {
    match piece {
        Some(sandbox_piece::Piece::Outcome(outcome)) => Some(outcome.kind()),
        _ => None,
    }
}

#[tokio::test]
async fn the_server_is_told_host_and_port() {
    let (_sandbox, mut carrier, program) = waiting().await;
    let opened = carrier.opened().await;
    let port = program.peer_addr().expect("an address").port();
    assert_eq!((&*opened.host, opened.port), ("a.example.com", port.into()));
}

#[tokio::test]
async fn bytes_pass_unchanged_in_both_directions_at_once_with_their_ends() {
    let Pair {
        sandbox: _sandbox,
        _carrier,
        program,
        mut server,
    } = Pair::new().await;
    let (up, down) = (content(5_000_001), content(7_000_003));
    let (mut reader, mut writer) = program.into_split();
    let program_sends = async {
        writer.write_all(&up).await.expect("written");
        writer.shutdown().await.expect("ended");
    };
    let program_reads = async {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.expect("the end");
        all
    };
    let out = server.out.clone();
    let server_sends = async {
        for piece in down.chunks(MAX_PIECE) {
            let piece = server_piece::Piece::Data(piece.to_vec().into());
            out.send(ServerPiece { piece: Some(piece) })
                .await
                .expect("sent");
        }
        let piece = Some(finish());
        out.send(ServerPiece { piece }).await.expect("sent");
    };
    let server_reads = async {
        let mut all = Vec::new();
        loop {
            match server.next().await {
                Some(sandbox_piece::Piece::Data(data)) => {
                    assert!(!data.is_empty() && data.len() <= MAX_PIECE);
                    all.extend_from_slice(&data);
                }
                Some(sandbox_piece::Piece::Finish(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        (all, ended(server.next().await), server.next().await)
    };
    let all = async { tokio::join!(program_sends, server_sends, program_reads, server_reads) };
    let ((), (), read, (received, outcome, end)) = timeout(PATIENCE, all).await.expect("in time");
    assert!(received == up && read == down);
    assert_eq!((outcome, end), (Some(Kind::Closed), None));
}

#[tokio::test]
async fn the_host_may_end_its_direction_first() {
    let mut pair = Pair::new().await;
    pair.server
        .send(server_piece::Piece::Data("bye".into()))
        .await;
    pair.server.send(finish()).await;
    let mut all = Vec::new();
    let read = timeout(PATIENCE, pair.program.read_to_end(&mut all)).await;
    read.expect("in time").expect("the end");
    assert_eq!(all, b"bye");
    pair.program.write_all(b"more").await.expect("written");
    let data = pair.server.next().await;
    assert_eq!(data, Some(sandbox_piece::Piece::Data("more".into())));
    drop(pair.program);
    let end = pair.server.next().await;
    assert_eq!(end, Some(sandbox_piece::Piece::Finish(Finish {})));
    assert_eq!(ended(pair.server.next().await), Some(Kind::Closed));
    assert_eq!(pair.server.next().await, None);
}

#[tokio::test]
async fn a_program_sees_whether_its_connection_was_closed_or_broken() {
    for (kind, seen) in [
        (Kind::Closed, Ok(())),
        (Kind::Reset, Err(ErrorKind::ConnectionReset)),
        (Kind::Refused, Err(ErrorKind::ConnectionReset)),
    ] {
        let mut pair = Pair::new().await;
        pair.server.send(outcome(kind)).await;
        assert_eq!(pair.program_ends().await, seen, "{kind:?}");
        assert_eq!(pair.server.next().await, None);
    }
    // After the end of the host's direction too.
    let mut pair = Pair::new().await;
    pair.server.send(finish()).await;
    assert_eq!(pair.program_ends().await, Ok(()));
    pair.server.send(outcome(Kind::Reset)).await;
    assert_eq!(pair.server.next().await, None);
    let written = async {
        while pair.program.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, written).await.expect("it is over");

    let mut pair = Pair::new().await;
    drop(pair.server);
    let read = timeout(PATIENCE, pair.program.read(&mut [0]))
        .await
        .expect("in time");
    assert_eq!(read.expect_err("reset").kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_server_sees_that_a_program_broke_off() {
    let mut pair = Pair::new().await;
    set_socket_linger(&pair.program, Some(Duration::ZERO)).expect("set");
    drop(pair.program);
    assert_eq!(ended(pair.server.next().await), Some(Kind::Reset));
    assert_eq!(pair.server.next().await, None);
}

#[tokio::test]
async fn each_connection_is_called_for_once() {
    let (sandbox, mut carrier, _program) = waiting().await;
    let opened = carrier.opened().await;
    let code = async |id| sandbox.begin(id).await.err().map(|status| status.code());
    assert_eq!(code(opened.connection + 1).await, Some(Code::NotFound));
    let _server = sandbox.begin(opened.connection).await.expect("waits");
    assert_eq!(code(opened.connection).await, Some(Code::NotFound));
}

#[tokio::test]
async fn a_connection_that_the_server_does_not_call_for_is_reset_after_10_s() {
    let (sandbox, mut carrier, mut program) = waiting().await;
    let opened = carrier.opened().await;
    let begin = Instant::now();
    pause();
    let read = timeout(Duration::from_secs(60), program.read(&mut [0])).await;
    assert_eq!(
        read.expect("in time").expect_err("reset").kind(),
        ErrorKind::ConnectionReset
    );
    let took = begin.elapsed().as_millis();
    assert!((9_000..11_000).contains(&took), "{took} ms");
    let late = sandbox
        .begin(opened.connection)
        .await
        .err()
        .expect("too late");
    assert_eq!(late.code(), Code::NotFound);
}

/// A program that does not read: fills what is on the way until nothing more is taken.
async fn fill(server: &TestConnection) {
    // What HTTP/2, PID 1 and the kernel hold, on a machine whose sockets grow to 6 MiB.
    const ON_THE_WAY: usize = 16 << 20;
    let mut sent = 0;
    loop {
        let data = server_piece::Piece::Data(vec![7; MAX_PIECE].into());
        let piece = ServerPiece { piece: Some(data) };
        let taken = timeout(Duration::from_millis(500), server.out.send(piece)).await;
        if taken.is_err() {
            return;
        }
        sent += MAX_PIECE;
        assert!(sent < ON_THE_WAY, "nothing holds the server back");
    }
}

/// Waits until the connection's descriptor is given back.
async fn freed(sandbox: &Sandbox, before: usize, within: Duration) {
    let freed = async {
        while sandbox.egress.descriptors.available_permits() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(within, freed)
        .await
        .expect("the descriptor is given back");
}

#[tokio::test]
async fn a_program_that_does_not_read_holds_the_server_back_and_is_reset_after_300_s() {
    let mut pair = Pair::new().await;
    fill(&pair.server).await;
    let before = pair.sandbox.egress.descriptors.available_permits();
    let begin = Instant::now();
    pause();
    freed(&pair.sandbox, before, Duration::from_secs(400)).await;
    let took = begin.elapsed().as_secs();
    assert!((298..310).contains(&took), "{took} s");
    assert_eq!(ended(pair.server.next().await), Some(Kind::Reset));
}

#[tokio::test]
async fn a_channel_that_is_gone_is_seen_although_the_program_does_not_read() {
    let (sandbox, mut carrier, _program) = waiting().await;
    let other = sandbox.another().await;
    let opened = carrier.opened().await;
    let server = other.begin(opened.connection).await.expect("waits");
    fill(&server).await;
    let before = sandbox.egress.descriptors.available_permits();
    other.cut();
    freed(&sandbox, before, PATIENCE).await;
}
