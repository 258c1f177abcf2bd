//! Which addresses of a resolved name may be dialled.
//!
//! ```text
//!  resolved ─► unwrap (IPv4 in IPv6) ─► deny, metadata, the server's own sockets   never
//!                                     ─► not public, this machine                  only by allow_cidrs
//!                                     ─► dialled, in the order of the resolver
//! ```
//!
//! Both the address that would be dialled and the one wrapped in it are judged: whichever of them
//! is refused refuses both.

mod ranges;
mod unwrap;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::Reason;
pub use ranges::{METADATA, NOT_PUBLIC, NotPublic};
pub use unwrap::unwrap;

/// Addresses of one name that are kept, and so the most that a connection can try.
pub const ADDRESS_LIMIT: usize = 16;

/// What the addresses of every rule are judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    deny: Vec<IpNet>,
    own: OwnAddresses,
}

/// Addresses of the server and its machine. The caller reads them from the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Every address of this machine: its interfaces; in a container also its default gateway
    /// and `host.docker.internal`; what the host of the public URL resolves to.
    pub machine: Vec<IpAddr>,
    /// The server's own listeners, and the Engine's socket where it is TCP. A listener on the
    /// unspecified address listens on all of `machine` and on loopback.
    pub sockets: Vec<SocketAddr>,
}

/// The addresses of a name that may be dialled, in the resolver's order and each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedAddresses(Vec<IpAddr>);

impl JudgedAddresses {
    /// At least one, at most [`ADDRESS_LIMIT`].
    #[must_use]
    pub fn as_slice(&self) -> &[IpAddr] {
        &self.0
    }
}

impl AddressPolicy {
    /// `deny` is lifted by no rule. Networks of IPv4-mapped IPv6 count as the IPv4 they hold.
    #[must_use]
    pub fn new(deny: Vec<IpNet>, own: OwnAddresses) -> Self {
        let deny = deny.into_iter().map(unwrap::unwrap_net).collect();
        Self { deny, own }
    }

    /// Judges what a name resolved to, for a connection to `port` by a rule with `allow_cidrs`.
    ///
    /// # Errors
    ///
    /// If no address is left: the reason of the first refused address, or [`Reason::Unresolved`]
    /// if the name has no address.
    pub fn judge(
        &self,
        resolved: impl IntoIterator<Item = IpAddr>,
        port: u16,
        allow_cidrs: &[IpNet],
    ) -> Result<JudgedAddresses, Reason> {
        let mut passed = Vec::new();
        let mut refused = None;
        for address in resolved {
            match self.judge_one(address, port, allow_cidrs) {
                Ok(()) if passed.contains(&address) || passed.len() == ADDRESS_LIMIT => {}
                Ok(()) => passed.push(address),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        if passed.is_empty() {
            return Err(refused.unwrap_or(Reason::Unresolved));
        }
        Ok(JudgedAddresses(passed))
    }

    fn judge_one(&self, dialled: IpAddr, port: u16, allow_cidrs: &[IpNet]) -> Result<(), Reason> {
        let inner = unwrap(dialled);
        let both = [dialled, inner];
        if both.iter().any(|address| is_in(&self.deny, *address)) {
            return Err(Reason::DeniedAddress);
        }
        if both.iter().any(|address| METADATA.contains(address)) {
            return Err(Reason::MetadataAddress);
        }
        if both
            .iter()
            .any(|address| self.own.has_socket(*address, port))
        {
            return Err(Reason::OwnAddress);
        }
        // A wrapper that a rule allows says nothing about what it wraps.
        if is_in(allow_cidrs, inner) {
            return Ok(());
        }
        if both.iter().any(|address| self.own.has_address(*address)) {
            return Err(Reason::OwnAddress);
        }
        // A wrapper is in a special range itself; what counts is what it wraps.
        match ranges::not_public(inner) {
            Some(_) => Err(Reason::PrivateAddress),
            None => Ok(()),
        }
    }
}

impl OwnAddresses {
    fn has_address(&self, address: IpAddr) -> bool {
        self.machine.iter().any(|own| unwrap(*own) == address)
    }

    fn has_socket(&self, address: IpAddr, port: u16) -> bool {
        let is_here =
            address.is_loopback() || address.is_unspecified() || self.has_address(address);
        self.sockets.iter().any(|socket| {
            let bound = unwrap(socket.ip());
            socket.port() == port && (bound == address || bound.is_unspecified() && is_here)
        })
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests;
