use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket as StdUdpSocket};
use std::time::Duration;

use casemate_egress::dns::MESSAGE_LIMIT;
use casemate_egress::sandbox::{FIRST_ADDRESS, QUESTION_RATE, QUESTION_TIMEOUT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

use super::super::testing::{
    NO_ERROR, NO_SUCH_NAME, PATIENCE, Reply, SERVER_FAILURE, Sandbox, TYPE_A, TYPE_AAAA, port,
    query,
};

#[tokio::test]
async fn an_allowed_name_has_an_address_of_its_own() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let ports = [port()];
    let asked = sandbox.ask("Packages.Example.COM", TYPE_A);
    let decided = async {
        let name = carrier.question().await;
        assert_eq!(name, "packages.example.com", "in lower case");
        carrier.allow(&name, "packages.example.com", &ports).await;
    };
    let (reply, ()) = tokio::join!(asked, decided);
    assert_eq!(reply.address(), Some(FIRST_ADDRESS));
    assert!((50..=60).contains(&reply.ttl()), "{}", reply.ttl());
    let question = &query("Packages.Example.COM", TYPE_A)[12..];
    assert_eq!(&reply.0[12..12 + question.len()], question, "byte for byte");

    let again = sandbox.ask("packages.example.com", TYPE_A).await;
    assert_eq!(again.address(), Some(FIRST_ADDRESS));
    for kind in [TYPE_AAAA, 65, 16, 255] {
        let reply = sandbox.ask("packages.example.com", kind).await;
        assert_eq!((reply.code(), reply.records()), (NO_ERROR, 0), "{kind}");
    }
    assert!(carrier.is_silent().await, "the answer was known");

    let other = sandbox
        .resolve(&mut carrier, "other.example.com", &ports)
        .await;
    assert_eq!(other, Ipv4Addr::new(127, 64, 0, 2));
}

#[tokio::test]
async fn two_spellings_of_a_name_share_its_address() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let first = sandbox
        .resolve(&mut carrier, "xn--bcher-kva.example", &[])
        .await;
    let asked = sandbox.ask("bücher.example", TYPE_A);
    let decided = async {
        assert_eq!(carrier.question().await, "bücher.example");
        carrier
            .allow("bücher.example", "xn--bcher-kva.example", &[])
            .await;
    };
    let (reply, ()) = tokio::join!(asked, decided);
    assert_eq!(reply.address(), Some(first));
}

#[tokio::test]
async fn a_refusal_is_kept_and_a_failure_is_not() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let (reply, ()) = tokio::join!(sandbox.ask("evil.test", TYPE_A), async {
        assert_eq!(carrier.question().await, "evil.test");
        carrier.refuse("evil.test").await;
    });
    assert_eq!(reply.code(), NO_SUCH_NAME);
    assert_eq!(sandbox.ask("evil.test", TYPE_A).await.code(), NO_SUCH_NAME);
    for _ in 0..2 {
        let (reply, ()) = tokio::join!(sandbox.ask("slow.test", TYPE_A), async {
            assert_eq!(
                carrier.question().await,
                "slow.test",
                "and nothing before it"
            );
            carrier.fail("slow.test").await;
        });
        assert_eq!(reply.code(), SERVER_FAILURE);
    }
}

#[tokio::test]
async fn names_of_this_machine_are_no_business_of_the_server() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    for name in ["localhost", "a.localhost", own.trim_end()] {
        let reply = sandbox.ask(name, TYPE_A).await;
        assert_eq!(reply.address(), Some(Ipv4Addr::LOCALHOST), "{name}");
    }
    let nowhere = [
        "printer",
        "printer.local",
        "metadata.google.internal",
        "wpad.example.com",
        "1.0.0.127.in-addr.arpa",
    ];
    for name in nowhere {
        assert_eq!(
            sandbox.ask(name, TYPE_A).await.code(),
            NO_SUCH_NAME,
            "{name}"
        );
    }
    assert!(carrier.is_silent().await);
}

#[tokio::test]
async fn the_same_answers_come_over_tcp() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let address = sandbox.resolve(&mut carrier, "a.example.com", &[]).await;
    let mut stream = TcpStream::connect(sandbox.dns).await.expect("connects");
    stream.set_nodelay(true).expect("set");
    let message = query("a.example.com", TYPE_A);
    let length = u16::try_from(message.len()).expect("short").to_be_bytes();
    let framed = [&length[..], &message].concat();
    // Two questions, in pieces of a byte.
    for byte in [&framed[..], &framed].concat() {
        stream.write_all(&[byte]).await.expect("written");
    }
    for _ in 0..2 {
        let length = timeout(PATIENCE, stream.read_u16()).await.expect("in time");
        let mut reply = vec![0; length.expect("a length").into()];
        stream.read_exact(&mut reply).await.expect("the reply");
        assert_eq!(Reply(reply).address(), Some(address));
    }
    let too_long = u16::try_from(MESSAGE_LIMIT + 1).expect("fits");
    stream.write_u16(too_long).await.expect("written");
    let end = timeout(PATIENCE, stream.read_u8()).await.expect("in time");
    assert_eq!(end.expect_err("closed").kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_flood_of_questions_is_bounded_and_harms_no_other() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let known = sandbox
        .resolve(&mut carrier, "known.example.com", &[])
        .await;
    sleep(Duration::from_secs(1)).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("bind");
    let begin = Instant::now();
    for number in 0..QUESTION_RATE {
        let query = query(&format!("{number}.example.com"), TYPE_A);
        socket.send_to(&query, sandbox.dns).await.expect("sent");
        assert_eq!(carrier.question().await, format!("{number}.example.com"));
    }
    let more = sandbox.ask("more.example.com", TYPE_A).await;
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "this machine is too slow for this test"
    );
    assert_eq!(more.code(), SERVER_FAILURE);
    // More of them than may wait for one verdict.
    for _ in 0..300 {
        let query = query("0.example.com", TYPE_A);
        socket.send_to(&query, sandbox.dns).await.expect("sent");
    }
    let reply = sandbox.ask("known.example.com", TYPE_A).await;
    assert_eq!(reply.address(), Some(known));
    assert!(carrier.is_silent().await, "no name twice");
}

#[tokio::test]
async fn what_is_no_question_is_rejected_or_dropped() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("bind");
    let good = query("a.example.com", TYPE_A);
    for length in 0..12 {
        socket
            .send_to(&good[..length], sandbox.dns)
            .await
            .expect("sent");
    }
    let mut answer = good.clone();
    answer[2] |= 0x80;
    socket.send_to(&answer, sandbox.dns).await.expect("sent");
    // The first answer is the one to this.
    let mut two = good.clone();
    two[5] = 2;
    two[0] = 0x77;
    let reply = sandbox.ask_from(&socket, &two).await;
    assert_eq!((reply.0[0], reply.code(), reply.0.len()), (0x77, 1, 12));
    assert!(carrier.is_silent().await);
    let address = sandbox.resolve(&mut carrier, "a.example.com", &[]).await;
    assert_eq!(address, FIRST_ADDRESS);
}

#[tokio::test]
async fn without_an_answer_of_the_server_a_question_fails_after_3_s() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    let begin = Instant::now();
    let reply = sandbox.ask("a.example.com", TYPE_A).await;
    assert_eq!(reply.code(), SERVER_FAILURE);
    let took = begin.elapsed();
    assert!(
        (QUESTION_TIMEOUT..QUESTION_TIMEOUT + PATIENCE).contains(&took),
        "{took:?}"
    );
    assert_eq!(carrier.question().await, "a.example.com");
    // Too late: it is not kept.
    carrier.allow("a.example.com", "a.example.com", &[]).await;
    let address = sandbox.resolve(&mut carrier, "a.example.com", &[]).await;
    assert_eq!(address, FIRST_ADDRESS);
}

#[tokio::test]
async fn a_question_waits_for_a_carrier() {
    let sandbox = Sandbox::new().await;
    drop(sandbox.carry("0.1.0", 1).await);
    while sandbox.egress.carriers.current().is_some() {
        sleep(Duration::from_millis(5)).await;
    }
    let (reply, _carrier) = tokio::join!(sandbox.ask("a.example.com", TYPE_A), async {
        sleep(Duration::from_millis(300)).await;
        let mut carrier = sandbox.carry("0.1.0", 1).await;
        assert_eq!(carrier.question().await, "a.example.com");
        carrier.allow("a.example.com", "a.example.com", &[]).await;
        carrier
    });
    assert_eq!(reply.address(), Some(FIRST_ADDRESS));
}

#[tokio::test]
async fn other_rules_and_another_carrier_are_asked_again() {
    let sandbox = Sandbox::new().await;
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    sandbox.resolve(&mut carrier, "a.example.com", &[]).await;
    carrier.change_rules().await;
    // After the change, which is read in order.
    sandbox.resolve(&mut carrier, "b.example.com", &[]).await;
    let (reply, ()) = tokio::join!(sandbox.ask("a.example.com", TYPE_A), async {
        assert_eq!(carrier.question().await, "a.example.com");
        carrier.refuse("a.example.com").await;
    });
    assert_eq!(reply.code(), NO_SUCH_NAME);
    let mut newer = sandbox.carry("0.1.0", 2).await;
    let address = sandbox.resolve(&mut newer, "a.example.com", &[]).await;
    assert_eq!(address, FIRST_ADDRESS, "its own, as before");
}

#[tokio::test]
async fn a_program_that_has_the_dns_port_has_it_until_it_ends() {
    let sandbox = Sandbox::new().await;
    let squatter = StdUdpSocket::bind(sandbox.dns).expect("bind");
    let mut carrier = sandbox.carry("0.1.0", 1).await;
    assert!(
        TcpStream::connect(sandbox.dns).await.is_ok(),
        "TCP is PID 1's"
    );
    drop(squatter);
    let mut answered = None;
    for _ in 0..40 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bind");
        socket.connect(sandbox.dns).await.expect("connected");
        let _ = socket.send(&query("localhost", TYPE_A)).await;
        let mut buffer = [0; 600];
        if let Ok(Ok(length)) = timeout(Duration::from_millis(250), socket.recv(&mut buffer)).await
        {
            answered = Reply(buffer[..length].to_vec()).address();
            break;
        }
        sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(answered, Some(Ipv4Addr::LOCALHOST));
    assert!(carrier.is_silent().await);
}
