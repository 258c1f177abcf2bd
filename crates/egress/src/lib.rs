//! What a sandbox without a network may reach, and how that is decided: pure values and state
//! machines. Nothing in this crate opens a socket, reads a file or asks for the time.
//! docs/egress.md describes the whole.
//!
//! | module | for | what it is |
//! |---|---|---|
//! | [`name`] | server | the one form of a host name |
//! | [`rules`] | server | what the operator allows, and which rule a connection falls under |
//! | [`address`] | server | which resolved addresses may be dialled |
//! | [`tls`] | server | whether a TLS connection names the host that it was allowed for |
//! | [`reason`] | server | why something was refused, as a code and as a sentence |
//! | [`dns`] | casemate-init | questions and answers on the wire |
//! | [`sandbox`] | casemate-init | loopback addresses, questions and listeners, and their limits |
//!
//! The server decides. casemate-init runs with the user's own uid, so that nothing in its two
//! modules is a protection: they bound what a user can ask of the server and of casemate-init.
//! They need no other crate; casemate-init takes this one without the feature `server`.

pub mod dns;
pub mod sandbox;

#[cfg(feature = "server")]
pub mod address;
#[cfg(feature = "server")]
pub mod name;
#[cfg(feature = "server")]
pub mod reason;
#[cfg(feature = "server")]
pub mod rules;
#[cfg(feature = "server")]
pub mod tls;
#[cfg(feature = "server")]
pub use name::{HostName, NameError};
#[cfg(feature = "server")]
pub use reason::Reason;
