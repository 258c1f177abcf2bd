use casemate_egress::address::AddressPolicy;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use super::*;

/// Addresses of loopback, as a rule with `allow_cidrs` lets them pass.
fn judged(addresses: &[&str]) -> JudgedAddresses {
    let loopback = ["127.0.0.0/8".parse().expect("a network")];
    let addresses = addresses
        .iter()
        .map(|text| text.parse().expect("an address"));
    let judged = AddressPolicy::default().judge(addresses, 1, &loopback);
    judged.expect("they pass")
}

async fn listener(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, 0)).await.expect("bind");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

#[tokio::test]
async fn a_dead_address_is_passed_over_at_once() {
    let (_listener, port) = listener("127.7.0.3").await;
    let begin = Instant::now();
    let addresses = judged(&["127.7.0.1", "127.7.0.2", "127.7.0.3"]);
    let connected = dial(&addresses, port).await.expect("connects");
    assert_eq!(connected.address, "127.7.0.3".parse().ok());
    assert!(begin.elapsed() < 2 * ATTEMPT_INTERVAL);
}

#[tokio::test]
async fn after_a_silent_address_the_next_one_is_tried_in_a_quarter_of_a_second() {
    let (_listener, port) = listener("127.7.1.2").await;
    let silent = TcpSocket::new_v4().expect("a socket");
    silent.set_reuseaddr(true).expect("set");
    let silent_address = format!("127.7.1.1:{port}").parse().expect("an address");
    silent.bind(silent_address).expect("bind");
    // Its backlog is full: the kernel drops what else comes.
    let _silent = silent.listen(0).expect("listen");
    let mut full = Vec::new();
    while let Ok(stream) = timeout(
        Duration::from_millis(200),
        TcpStream::connect(silent_address),
    )
    .await
    {
        full.push(stream.expect("connects"));
    }
    let begin = Instant::now();
    let connected = dial(&judged(&["127.7.1.1", "127.7.1.2"]), port)
        .await
        .expect("connects");
    assert_eq!(connected.address, "127.7.1.2".parse().ok());
    let took = begin.elapsed();
    assert!(
        (ATTEMPT_INTERVAL..8 * ATTEMPT_INTERVAL).contains(&took),
        "{took:?}"
    );
}

#[tokio::test]
async fn four_addresses_are_tried_and_no_fifth() {
    let (_listener, port) = listener("127.7.2.5").await;
    let all = [
        "127.7.2.1",
        "127.7.2.2",
        "127.7.2.3",
        "127.7.2.4",
        "127.7.2.5",
    ];
    assert_eq!(
        dial(&judged(&all), port).await.err(),
        Some(Reason::Unreachable)
    );
    let connected = dial(&judged(&all[1..]), port).await.expect("connects");
    assert_eq!(connected.address, "127.7.2.5".parse().ok());
}
