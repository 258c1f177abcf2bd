//! How PID 1 ends: the container's exit code. Only that outlives the container, so each kind of
//! end has a separate code here, with a name and a sentence.

/// The arguments of PID 1 are not what it takes: another version made them.
pub const USAGE: i64 = 64;
/// PID 1 panicked: a bug.
pub const PANIC: i64 = 70;
/// PID 1 could not begin to serve: the image or the kernel lacks something.
pub const NOT_SERVING: i64 = 71;
/// PID 1 could not install its seccomp filters, and does not serve without them.
pub const UNFILTERED: i64 = 72;
/// PID 1 could not open the workspace.
pub const NO_WORKSPACE: i64 = 73;
/// PID 1 did not begin: the workspace's top directory is not its user's.
pub const NOT_OWNER: i64 = 74;
/// PID 1 was asked to end by `Retire`.
pub const RETIRED: i64 = 75;
/// Nothing ran and no call came for the idle timeout.
pub const IDLE_TIMEOUT: i64 = 76;
/// What a command had started could not be ended: the kernel still shows it.
pub const STUCK: i64 = 77;
/// No server was connected for too long.
pub const ORPHANED: i64 = 78;
/// The user's programs held too much memory that the kernel charges to no cgroup.
pub const UNCHARGED: i64 = 79;
/// PID 1 did not begin: shared data could be written.
pub const SHARED_WRITABLE: i64 = 80;
/// The network reaches what it must not: nothing enforces the cluster's network policies.
pub const REACHABLE: i64 = 81;
/// 128 + SIGKILL: PID 1 was killed.
pub const KILLED: i64 = 137;

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The code.
    pub code: i64,
    /// For programs and logs.
    pub name: &'static str,
    /// Half a sentence for people: what PID 1 did.
    pub sentence: &'static str,
    /// The same container made again would end the same way at its start.
    pub at_start: bool,
}

/// All codes.
pub const ALL: &[Meaning] = &[
    meaning(USAGE, "usage", "it does not take its arguments, which another version made").at_start(),
    meaning(PANIC, "panic", "it panicked, which is a bug").at_start(),
    meaning(
        NOT_SERVING,
        "not_serving",
        "it could not begin to serve: the image or the kernel lacks something that it needs",
    )
    .at_start(),
    meaning(
        UNFILTERED,
        "unfiltered",
        "it could not install its seccomp filters, and does not serve without them: its kernel \
         or runtime lacks seccomp",
    )
    .at_start(),
    meaning(
        NO_WORKSPACE,
        "no_workspace",
        "it could not open /workspace: the directory is not its user's own, or its file system fails",
    )
    .at_start(),
    meaning(
        NOT_OWNER,
        "not_owner",
        "it did not begin: /workspace belongs to another user than it runs as",
    )
    .at_start(),
    meaning(RETIRED, "retired", "it was asked to end"),
    meaning(IDLE_TIMEOUT, "idle", "nothing ran and no call came for the idle timeout"),
    meaning(STUCK, "stuck", "processes in the container could not be ended"),
    meaning(ORPHANED, "orphaned", "no server was connected for too long"),
    meaning(
        UNCHARGED,
        "uncharged",
        "programs in the container held more file locks or connections than they may, which fill \
         the host's memory",
    ),
    meaning(
        SHARED_WRITABLE,
        "shared_writable",
        "it did not begin: shared data, which must be read-only, could be written",
    )
    .at_start(),
    meaning(
        REACHABLE,
        "reachable",
        "the network let it reach what it must not, such as the API server: the cluster does not \
         enforce the network policy",
    )
    .at_start(),
    meaning(KILLED, "killed", "it was killed, from outside or for memory"),
];

/// What this code means; `None` for one that PID 1 never ends with.
pub fn meaning_of(code: i64) -> Option<&'static Meaning> {
    ALL.iter().find(|meaning| meaning.code == code)
}

const fn meaning(code: i64, name: &'static str, sentence: &'static str) -> Meaning {
    Meaning {
        code,
        name,
        sentence,
        at_start: false,
    }
}

impl Meaning {
    const fn at_start(self) -> Self {
        Self {
            at_start: true,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_and_each_name_stands_for_one_end() {
        for (at, one) in ALL.iter().enumerate() {
            assert_eq!(meaning_of(one.code), Some(one));
            assert!((1..=255).contains(&one.code), "{}", one.code);
            for other in &ALL[at + 1..] {
                assert_ne!((one.code, one.name), (other.code, other.name));
                assert!(one.code < other.code && one.name != other.name);
            }
        }
        assert_eq!(meaning_of(1), None);
    }
}
