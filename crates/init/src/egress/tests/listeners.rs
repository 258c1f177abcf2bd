use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use casemate_egress::sandbox::{LISTENER_IDLE_TIMEOUT, LISTENER_LIMIT};
use casemate_protocol::egress::NotListening;
use casemate_protocol::egress::not_listening::Cause;
use casemate_protocol::egress::sandbox_message::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{advance, pause, resume, sleep};

use super::super::testing::{NO_SUCH_NAME, Sandbox, TYPE_A, TestCarrier, port};

async fn not_listening(
    sandbox: &Sandbox,
    carrier: &mut TestCarrier,
    ports: &[u16],
) -> NotListening {
    let name = "taken.example.com";
    let (reply, told) = tokio::join!(sandbox.ask(name, TYPE_A), async {
        assert_eq!(carrier.question().await, name);
        carrier.allow(name, name, ports).await;
        match carrier.next().await {
            Some(Message::NotListening(told)) => told,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(reply.code(), NO_SUCH_NAME);
    assert_eq!(told.host, name);
    told
}

#[tokio::test]
async fn a_port_that_a_program_has_is_told_and_the_name_does_not_exist() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let users = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        .await
        .expect("bind");
    let taken = users.local_addr().expect("an address").port();
    let free = port();
    let told = not_listening(&sandbox, &mut carrier, &[free, taken]).await;
    assert_eq!((told.port, told.cause()), (taken.into(), Cause::PortInUse));
    let other = TcpStream::connect((Ipv4Addr::new(127, 64, 0, 1), free)).await;
    assert_eq!(
        other.expect_err("closed").kind(),
        ErrorKind::ConnectionRefused
    );
    // It is asked, and told, once a minute.
    let again = sandbox.ask("taken.example.com", TYPE_A).await;
    assert_eq!(again.code(), NO_SUCH_NAME);
    assert!(carrier.is_silent().await);
}

#[tokio::test]
async fn half_of_the_descriptors_are_left_for_commands() {
    // One for the next connection over TCP to the DNS server, two for each listener.
    let sandbox = Sandbox::with_descriptors(5).await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let (first, second) = (port(), port());
    let address = sandbox
        .resolve(&mut carrier, "a.example.com", &[first])
        .await;
    let told = not_listening(&sandbox, &mut carrier, &[port(), second]).await;
    assert_eq!(
        (told.port, told.cause()),
        (second.into(), Cause::Descriptors)
    );

    // Two connections have one each, the third waits until one of them ends.
    let mut programs = Vec::new();
    for _ in 0..3 {
        programs.push(
            TcpStream::connect((address, first))
                .await
                .expect("connects"),
        );
    }
    let opened = carrier.opened().await;
    carrier.opened().await;
    assert!(carrier.is_silent().await);
    let connection = sandbox.begin(opened.connection).await.expect("waits");
    drop(connection);
    carrier.opened().await;
}

#[tokio::test]
async fn so_many_listeners_are_open_and_no_more() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let mut ports: Vec<u16> = Vec::new();
    let address = Ipv4Addr::new(127, 64, 0, 1);
    while ports.len() < LISTENER_LIMIT {
        let listener = TcpListener::bind((address, 0)).await.expect("bind");
        let port = listener.local_addr().expect("an address").port();
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    assert_eq!(
        sandbox.resolve(&mut carrier, "a.example.com", &ports).await,
        address
    );
    let told = not_listening(&sandbox, &mut carrier, &[port()]).await;
    assert_eq!(told.cause(), Cause::Listeners);
}

#[tokio::test]
async fn a_listener_closes_when_nothing_used_it_for_two_minutes() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let (used, unused) = (port(), port());
    let address = sandbox
        .resolve(&mut carrier, "a.example.com", &[used, unused])
        .await;
    let _program = TcpStream::connect((address, used)).await.expect("connects");
    let opened = carrier.opened().await;
    let _connection = sandbox.begin(opened.connection).await.expect("waits");

    let reaches = async |port| {
        TcpStream::connect(SocketAddr::from((address, port)))
            .await
            .is_ok()
    };
    pass(LISTENER_IDLE_TIMEOUT - Duration::from_secs(10)).await;
    assert!(reaches(used).await);
    pass(Duration::from_secs(20)).await;
    assert!(reaches(used).await, "its connection runs");
    assert!(!reaches(unused).await);
}

/// Lets the clock of this test go on.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    // The sweep.
    sleep(Duration::from_secs(6)).await;
    resume();
}
