//! Which system calls a sandbox may make. Two walls, either of which holds alone:
//!
//! | wall | installed by | what it is for |
//! |---|---|---|
//! | [`engine_profile`] | the Engine, at each start and exec | few, cheap rules: runc compiles them for every bridge (100 more rules on `ioctl` and `setsockopt` cost 10 ms) |
//! | the filters of `compile` (a feature) | PID 1 and the bridge, first of all | the same profile, and the [`rules`] on arguments; BPF since the build, so that it loads in microseconds |
//!
//! PID 1 tries every rule once when it has installed them ([`probes`]) and says in its Hello which
//! hold. A server uses no container whose PID 1 does not name all of [`required`].
//!
//! Most rules are about memory that the kernel does not charge to a cgroup: `docs/seccomp.md` lists
//! it for all that the profile allows.

#[cfg(feature = "compile")]
pub mod compile;
mod engine;
mod probe;
mod rule;

pub use engine::engine_profile;
pub use probe::{Probe, missing, probes, required};
pub use rule::{Argument, Rule, Test, rules};

/// Error numbers that the filters answer with: the same on every architecture of Linux.
pub mod errno {
    /// Operation not permitted: the answer to what the profile does not name.
    pub const EPERM: u16 = 1;
    /// No such device.
    pub const ENODEV: u16 = 19;
    /// Invalid argument.
    pub const EINVAL: u16 = 22;
    /// Not a request of this file.
    pub const ENOTTY: u16 = 25;
    /// No such system call: programs go another way.
    pub const ENOSYS: u16 = 38;
    /// No such socket option.
    pub const ENOPROTOOPT: u16 = 92;
    /// No such protocol.
    pub const EPROTONOSUPPORT: u16 = 93;
    /// No such family of sockets.
    pub const EAFNOSUPPORT: u16 = 97;
}
