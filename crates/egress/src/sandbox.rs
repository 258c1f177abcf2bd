//! What casemate-init keeps about egress: which loopback address belongs to which name, which
//! questions were asked, which listeners are open. Each is a state machine that is told the time.
//!
//! Nothing here protects anybody: a user may take casemate-init's place and fools only himself.
//! The limits keep what one user costs the server, and casemate-init, in bounds.

mod addresses;
mod listeners;
mod questions;

pub use addresses::{AddressTable, FIRST_ADDRESS, NAME_LIMIT};
pub use listeners::{Key, LISTENER_IDLE_TIMEOUT, LISTENER_LIMIT, Listeners, Opening};
pub use questions::{ANSWER_LIMIT, ANSWER_TTL, Ask, QUESTION_RATE, QUESTION_TIMEOUT, Questions};
