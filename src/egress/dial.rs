//! Connects to a name by addresses that were judged. Nothing is looked up here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use casemate_egress::Reason;
use casemate_egress::address::JudgedAddresses;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Addresses that are tried.
pub const ATTEMPT_LIMIT: usize = 4;

/// The next address is tried so long after the last one, or when that has failed (RFC 8305).
pub const ATTEMPT_INTERVAL: Duration = Duration::from_millis(250);

/// For all attempts together.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The first connection that is made, and its address.
///
/// # Errors
/// [`Reason::Unreachable`] where none is.
pub async fn dial(addresses: &JudgedAddresses, port: u16) -> Result<(TcpStream, IpAddr), Reason> {
    let first = timeout(DIAL_TIMEOUT, first(addresses, port)).await;
    first.ok().flatten().ok_or(Reason::Unreachable)
}

async fn first(addresses: &JudgedAddresses, port: u16) -> Option<(TcpStream, IpAddr)> {
    let mut left = addresses.as_slice().iter().copied().take(ATTEMPT_LIMIT);
    // Dropped, it ends the attempts that are left.
    let mut attempts = JoinSet::new();
    let mut has_more = true;
    loop {
        match left.next() {
            Some(address) => drop(attempts.spawn(connect(address, port))),
            None => has_more = false,
        }
        loop {
            let joined = tokio::select! {
                joined = attempts.join_next() => joined,
                () = sleep(ATTEMPT_INTERVAL), if has_more => break,
            };
            match joined {
                Some(Ok(Some(connected))) => return Some(connected),
                Some(_) if has_more => break,
                Some(_) => {}
                None => return None,
            }
        }
    }
}

async fn connect(address: IpAddr, port: u16) -> Option<(TcpStream, IpAddr)> {
    let stream = TcpStream::connect(SocketAddr::new(address, port))
        .await
        .ok()?;
    Some((stream, address))
}

#[cfg(test)]
mod tests;
