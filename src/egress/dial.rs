//! Connects to a name by addresses that were judged, or through the operator's proxy. Nothing is
//! looked up here, except the proxy.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use casemate_egress::Reason;
use casemate_egress::address::JudgedAddresses;
use casemate_egress::rules::Proxy;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::proxy;

/// Addresses that are tried.
pub const ATTEMPT_LIMIT: usize = 4;

/// The next address is tried so long after the last one, or when that has failed (RFC 8305).
pub const ATTEMPT_INTERVAL: Duration = Duration::from_millis(250);

/// For all attempts together.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a host.
#[derive(Debug)]
pub struct Connected {
    /// To the host, or through the proxy to it.
    pub stream: TcpStream,
    /// The judged address; `None`: the proxy has resolved the name.
    pub address: Option<IpAddr>,
    /// Bytes that have already come from the host.
    pub early: Bytes,
}

/// The first connection that is made to one of the addresses.
///
/// # Errors
/// [`Reason::Unreachable`] where none is.
pub async fn dial(addresses: &JudgedAddresses, port: u16) -> Result<Connected, Reason> {
    let first = timeout(DIAL_TIMEOUT, first(addresses, port)).await;
    let (stream, address) = first.ok().flatten().ok_or(Reason::Unreachable)?;
    Ok(Connected {
        stream,
        address: Some(address),
        early: Bytes::new(),
    })
}

/// A connection through the operator's proxy: to the first of the addresses that it connects to,
/// or to `host` where it resolves names.
///
/// # Errors
/// [`Reason::Unreachable`], or [`Reason::ProxyRefused`].
pub async fn dial_through(
    proxy: &Proxy,
    host: &str,
    addresses: Option<&JudgedAddresses>,
    port: u16,
) -> Result<Connected, Reason> {
    let each = async {
        let Some(addresses) = addresses else {
            let (stream, early) = proxy::connect(proxy, &format!("{host}:{port}")).await?;
            return Ok(Connected {
                stream,
                address: None,
                early,
            });
        };
        let mut failed = Reason::Unreachable;
        for address in addresses.as_slice().iter().take(ATTEMPT_LIMIT) {
            let target = SocketAddr::new(*address, port).to_string();
            match proxy::connect(proxy, &target).await {
                Ok((stream, early)) => {
                    return Ok(Connected {
                        stream,
                        address: Some(*address),
                        early,
                    });
                }
                Err(reason) => failed = reason,
            }
        }
        Err(failed)
    };
    let made = timeout(DIAL_TIMEOUT, each).await;
    made.unwrap_or(Err(Reason::Unreachable))
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
