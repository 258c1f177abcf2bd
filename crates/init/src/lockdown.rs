//! The first thing every role does: be closed to processes of the same uid.
//!
//! Without it user code writes forged answers through `/proc/1/fd` and reads
//! `/proc/1/mem` (measured). The kernel already does this for an execute-only
//! binary; a container made in another way would lack that, so this is the
//! second lock.

use rustix::io;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::sys;

/// Makes the process non-dumpable and takes away the signal handlers that the
/// Rust runtime installs.
///
/// A PID 1 without a handler never sees a signal that a process inside its
/// namespace sends (`kill(2)`, NOTES), so the fewer handlers, the less user
/// code can reach.
pub fn apply() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    sys::default_signal_handlers();
    Ok(())
}
