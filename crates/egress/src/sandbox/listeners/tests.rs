use std::net::Ipv4Addr;

use super::*;

fn key(low: u8, port: u16) -> Key {
    SocketAddrV4::new(Ipv4Addr::new(127, 64, 0, low), port)
}

#[test]
fn a_listener_closes_two_minutes_after_its_last_answer() {
    let start = Instant::now();
    let after = |secs| start + Duration::from_secs(secs);
    let mut listeners = Listeners::default();
    assert_eq!(listeners.answered(key(1, 443), start), Opening::Open);
    assert_eq!(listeners.answered(key(1, 443), after(100)), Opening::IsOpen);
    assert_eq!(listeners.answered(key(1, 22), after(100)), Opening::Open);
    assert!(listeners.expire(after(219)).is_empty());
    let mut closed = listeners.expire(after(220));
    closed.sort();
    assert_eq!(closed, [key(1, 22), key(1, 443)]);
    assert!(listeners.is_empty());
}

#[test]
fn a_listener_with_connections_stays() {
    let start = Instant::now();
    let after = |secs| start + Duration::from_secs(secs);
    let mut listeners = Listeners::default();
    listeners.answered(key(1, 443), start);
    listeners.connected(key(1, 443));
    listeners.connected(key(1, 443));
    listeners.disconnected(key(1, 443), after(10));
    assert!(listeners.expire(after(100_000)).is_empty());
    listeners.disconnected(key(1, 443), after(100_000));
    assert!(listeners.expire(after(100_119)).is_empty());
    assert_eq!(listeners.expire(after(100_120)), [key(1, 443)]);
}

#[test]
fn the_256th_is_the_last() {
    let now = Instant::now();
    let mut listeners = Listeners::default();
    for port in 1..=256 {
        assert_eq!(listeners.answered(key(1, port), now), Opening::Open);
    }
    assert_eq!(listeners.answered(key(1, 257), now), Opening::Full);
    assert_eq!(listeners.answered(key(1, 256), now), Opening::IsOpen);
    listeners.close(key(1, 1));
    assert_eq!(listeners.answered(key(1, 257), now), Opening::Open);
    assert_eq!(listeners.len(), LISTENER_LIMIT);
}
