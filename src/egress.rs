//! What leaves a sandbox that has no network: docs/egress.md. The crate `casemate-egress` decides;
//! this module asks the resolver, dials and copies.
//!
//! | module | what it does |
//! |---|---|
//! | `session` | carries for one sandbox: questions, connections, records |
//! | `link` | the calls to casemate-init |
//! | `names` | a name's rules, its addresses, and which of them may be dialled |
//! | `record` | what is told of it, and to whom |
//! | `resolver` | asks the machine's resolver |
//! | `denials` | what a sandbox was refused while a command ran |
//! | `budget` | how many bytes a user has in a day |
//! | `limits` | how many connections a user has, and how fast they begin |
//! | `dial`, `proxy` | connects to a judged address, directly or through the operator's proxy |
//! | `relay` | one connection: handshake, target, bytes, ends |

mod budget;
mod denials;
mod dial;
mod limits;
mod link;
mod names;
mod proxy;
mod record;
mod relay;
mod resolver;
mod session;

pub use budget::DayBudget;
pub use denials::{Denials, Denied, DeniedHost, Refusal};
pub use dial::{ATTEMPT_INTERVAL, ATTEMPT_LIMIT, Connected, DIAL_TIMEOUT, dial};
pub use limits::{
    CONNECTION_LIMIT, ConnectionLimits, ConnectionPermit, START_LIMIT, UserLimits, WAIT_TIMEOUT,
};
pub use link::Link;
pub use names::{AllowedName, DialTarget, Names, QuestionError};
pub use record::{ConnectionRecord, Record};
pub use relay::{CONNECTION_TIMEOUT, IDLE_TIMEOUT, RelayEnd, RelayReport, SandboxStream, relay};
pub use resolver::{LOOKUP_LIMIT, LOOKUP_TIMEOUT, Resolve, SystemResolver};
pub use session::{Carriage, CarrierIdentity, CarryEnd, UserEgress};
