use std::io::ErrorKind;
use std::time::Duration;

use casemate_protocol::egress::carrier_message::Message as CarrierSends;
use casemate_protocol::egress::sandbox_message::Message;
use casemate_protocol::egress::{Carrier, RulesChanged, server_piece};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::super::testing::{PATIENCE, SERVER_FAILURE, Sandbox, TYPE_A, port};

#[tokio::test]
async fn without_a_carrier_nothing_listens() {
    let sandbox = Sandbox::new().await;
    let refused = TcpStream::connect(sandbox.dns).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let _carrier = sandbox.carry("0.1.0", 1).await;
    assert!(TcpStream::connect(sandbox.dns).await.is_ok());
}

#[tokio::test]
async fn a_call_has_to_say_who_carries() {
    let sandbox = Sandbox::new().await;
    let bad_version = Carrier {
        version: "new".to_owned(),
        ..Carrier::default()
    };
    let firsts = [
        CarrierSends::RulesChanged(RulesChanged::default()),
        CarrierSends::Carrier(bad_version),
    ];
    for first in firsts {
        let status = sandbox.carry_with(first).await.err().expect("refused");
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    assert!(
        TcpStream::connect(sandbox.dns).await.is_err(),
        "no server carries"
    );
}

#[tokio::test]
async fn an_older_server_never_carries_and_hands_over_to_a_newer_one() {
    let sandbox = Sandbox::new().await;
    let other = sandbox.another().await;
    let mut first = sandbox.carry("0.2.0", 5).await;
    let mut older = other.carry("0.1.9", 9).await;
    assert!(matches!(older.next().await, Some(Message::Superseded(_))));
    assert_eq!(older.next().await, None);

    let address = sandbox.resolve(&mut first, "a.example.com", &[]).await;
    let mut newer = other.carry("0.2.0", 6).await;
    assert!(matches!(first.next().await, Some(Message::Superseded(_))));
    assert_eq!(first.next().await, None);
    assert_eq!(
        other.resolve(&mut newer, "a.example.com", &[]).await,
        address
    );

    // What the older one says counts no longer.
    let (reply, ()) = tokio::join!(sandbox.ask("b.example.com", TYPE_A), async {
        assert_eq!(newer.question().await, "b.example.com");
        first.allow_if_open("b.example.com").await;
        sleep(Duration::from_millis(100)).await;
        newer.fail("b.example.com").await;
    });
    assert_eq!(reply.code(), SERVER_FAILURE);
}

#[tokio::test]
async fn a_connection_that_waits_is_told_to_the_next_carrier() {
    let sandbox = Sandbox::new().await;
    let other = sandbox.another().await;
    let mut first = sandbox.carry("0.1.0", 1).await;
    let port = port();
    let address = sandbox.resolve(&mut first, "a.example.com", &[port]).await;
    let mut program = TcpStream::connect((address, port)).await.expect("connects");
    let told = first.opened().await;
    let mut second = other.carry("0.1.0", 2).await;
    assert_eq!(second.opened().await, told);
    let connection = other.begin(told.connection).await.expect("waits");
    let data = server_piece::Piece::Data("hello".into());
    connection.send(data).await;
    let mut greeting = [0; 5];
    let read = timeout(PATIENCE, program.read_exact(&mut greeting)).await;
    read.expect("in time").expect("read");
    assert_eq!(&greeting, b"hello");
}

#[tokio::test]
async fn the_connections_of_a_carrier_end_with_it() {
    let sandbox = Sandbox::new().await;
    let other = sandbox.another().await;
    let mut first = sandbox.carry("0.1.0", 1).await;
    let port = port();
    let address = sandbox.resolve(&mut first, "a.example.com", &[port]).await;
    let mut program = TcpStream::connect((address, port)).await.expect("connects");
    let told = first.opened().await;
    let _connection = sandbox.begin(told.connection).await.expect("waits");
    let mut byte = [0];
    let early = timeout(Duration::from_millis(200), program.read(&mut byte)).await;
    assert!(early.is_err(), "it runs");
    let _second = other.carry("0.1.0", 2).await;
    let end = timeout(PATIENCE, program.read(&mut byte))
        .await
        .expect("in time");
    assert_eq!(end.expect_err("reset").kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn when_pid_1_ends_every_call_ends_and_no_other_begins() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let port = port();
    let address = sandbox
        .resolve(&mut carrier, "a.example.com", &[port])
        .await;
    let _program = TcpStream::connect((address, port)).await.expect("connects");
    let told = carrier.opened().await;
    let mut connection = sandbox.begin(told.connection).await.expect("waits");
    sandbox.egress.end();
    assert_eq!(carrier.next().await, None);
    assert_eq!(connection.next().await, None);
    let mut late = sandbox.carry("9.0.0", 9).await;
    assert!(matches!(late.next().await, Some(Message::Superseded(_))));
    assert_eq!(late.next().await, None);
}
