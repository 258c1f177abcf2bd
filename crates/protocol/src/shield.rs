//! What must keep the user's code from PID 1, by the names of `HelloReply.shielded`.
//!
//! Linux protects the first process of a container, so there PID 1 is of the user's own uid. A kernel
//! that does not (gVisor) is used only with a PID 1 of another real user, which then tries all of it.

/// Signals: nothing of the user's ends or stops PID 1.
pub const SIGNALS: &str = "signals to PID 1";
/// Resource limits: nothing of the user's blinds it.
pub const LIMITS: &str = "limits of PID 1";
/// ptrace.
pub const TRACING: &str = "tracing of PID 1";
/// Its memory.
pub const MEMORY: &str = "memory of PID 1";
/// What it has open: answers could be forged there.
pub const DESCRIPTORS: &str = "descriptors of PID 1";
/// Its environment.
pub const ENVIRONMENT: &str = "environment of PID 1";
/// Without it a process could leave the tree of its command.
pub const SUBREAPER: &str = "subreapers";
/// Without it a signal could meet another process.
pub const PIDFD: &str = "pidfds";

/// The sandbox has a kernel of its own. On the host's, a PID 1 of another real user would be its root.
pub const KERNEL: &str = "the host's kernel";

/// With a PID 1 of another real user.
const SEPARATE: &[&str] = &[
    SIGNALS,
    KERNEL,
    LIMITS,
    TRACING,
    MEMORY,
    DESCRIPTORS,
    ENVIRONMENT,
    SUBREAPER,
    PIDFD,
];

/// With a PID 1 of the user's own uid: what only the kernel can promise.
const OWN: &[&str] = &[SIGNALS];

/// What of this is not among `reported`: a container without it is not used.
pub fn missing(separate: bool, reported: &[String]) -> impl Iterator<Item = &'static str> + '_ {
    let required = if separate { SEPARATE } else { OWN };
    let is_missing = |name: &&str| !reported.iter().any(|reported| reported == name);
    required.iter().copied().filter(is_missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_reported_is_missing_and_named() {
        let all: Vec<String> = SEPARATE.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(missing(true, &all).next(), None);
        assert_eq!(missing(false, &all).next(), None);
        for (index, name) in SEPARATE.iter().enumerate() {
            let mut reported = all.clone();
            reported.remove(index);
            assert_eq!(missing(true, &reported).collect::<Vec<_>>(), [*name]);
        }
        assert_eq!(missing(false, &all[1..]).collect::<Vec<_>>(), [SIGNALS]);
        assert_eq!(missing(true, &[]).count(), SEPARATE.len());
    }
}
