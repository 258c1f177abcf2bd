//! How PID 1 is kept apart from the user's code on a kernel that does not protect it: gVisor's delivers
//! any signal to PID 1 of the same uid, and does not close `/proc` of an unreadable program from its
//! first instruction.
//!
//! There PID 1, its threads and its supervisors are of another *real* user than the code that they run:
//!
//! | process | real uid | effective uid | saved uid | capabilities |
//! |---|---|---|---|---|
//! | PID 1 | 0 | the user's | 0 | none in effect; for its supervisors [`NEEDED`] |
//! | a supervisor | 0 | the user's | 0 | none, and none to gain |
//! | a command | the user's | the user's | the user's | none, and none to gain |
//!
//! So files are opened and made as the user; the kernel's rules let a supervisor signal the user's
//! processes and become the user without a capability (kill(2), setresuid(2)); and they refuse the
//! user's code every signal, limit and look at both, because those ask for the real and the saved uid.
//! Under `no_new_privs` an `execve` makes all three the real one, so each supervisor begins as PID 1 does.
//!
//! On Linux PID 1 is of the user's own uid, and the kernel protects it.

use std::io;

use casemate_protocol::shield;
use rustix::process::{Gid, Pid, PidfdFlags, Resource, Rlimit, Uid, pidfd_open, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::procfs::{self, ExecState};
use crate::sys;

/// Whom the commands run as, where that is not PID 1's own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// `UID:GID`, as [`Self::text`] makes it. Neither may be root's.
    pub fn parse(text: &str) -> Option<Self> {
        let (uid, gid) = text.split_once(':')?;
        let id = |text: &str| text.parse().ok().filter(|id| *id != 0 && *id != u32::MAX);
        let (uid, gid) = (id(uid)?, id(gid)?);
        Some(Self { uid, gid })
    }

    pub fn text(self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }
}

/// The capabilities that [`put_up`] needs, which the server asks the Engine for.
const NEEDED: CapabilitySet = CapabilitySet::SETGID
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETUID);

/// What a process keeps of [`NEEDED`], without any effect in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// All: it starts supervisors.
    ForSupervisors,
    /// Nothing, for ever.
    Nothing,
}

/// Makes the effective user this one, of the only thread.
///
/// # Errors
/// The process does not have [`NEEDED`].
pub fn put_up(account: Account, keeps: Keeps) -> io::Result<()> {
    let kept = match keeps {
        Keeps::ForSupervisors => NEEDED,
        Keeps::Nothing => CapabilitySet::empty(),
    };
    set_capabilities(None, permitted(NEEDED, NEEDED))?;
    set_thread_groups(&[])?;
    let (root, group) = (Gid::ROOT, Gid::from_raw(account.gid));
    set_thread_res_gid(root, group, root)?;
    for capability in CapabilitySet::all().difference(kept) {
        // A kernel refuses the numbers that it does not have.
        let _ = remove_capability_from_bounding_set(capability);
    }
    set_thread_res_uid(Uid::ROOT, Uid::from_raw(account.uid), Uid::ROOT)?;
    Ok(set_capabilities(
        None,
        permitted(kept, CapabilitySet::empty()),
    )?)
}

/// Whether this process is of another real user than its effective one: it runs on gVisor.
pub fn is_up() -> bool {
    rustix::process::getuid() != rustix::process::geteuid()
}

fn permitted(permitted: CapabilitySet, effective: CapabilitySet) -> CapabilitySets {
    CapabilitySets {
        effective,
        permitted,
        inheritable: CapabilitySet::empty(),
    }
}

/// Leaves the shield for good: the process becomes one of the user's alone, with at most `processes` of
/// that user beside it.
///
/// # Errors
/// What the kernel says; nothing of the user's may run then.
pub fn leave(account: Account, processes: Option<u64>) -> io::Result<()> {
    if let Some(most) = processes {
        let (current, maximum) = (Some(most), Some(most));
        setrlimit(Resource::Nproc, Rlimit { current, maximum })?;
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(set_capabilities(
        None,
        permitted(CapabilitySet::empty(), CapabilitySet::empty()),
    )?)
}

/// The names of what holds, for `HelloReply.shielded`. With a shield each is tried by a process of the
/// user's; without one the kernel is asked whether it is one that protects PID 1.
///
/// Must be called while the process has one thread.
pub fn tried(account: Option<Account>) -> Vec<String> {
    let mut holds = Vec::new();
    if let Some(account) = account {
        let attacks = attack(account);
        let refused = ATTACKS.iter().zip(0_u32..);
        holds.extend(
            refused
                .filter(|(_, bit)| attacks & (1 << bit) != 0)
                .map(|((name, _), _)| *name),
        );
        if !tells_what_ran() {
            holds.push(shield::KERNEL);
        }
        if has_subreaper() {
            holds.push(shield::SUBREAPER);
        }
        if pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).is_ok() {
            holds.push(shield::PIDFD);
        }
    } else if tells_what_ran() {
        holds.push(shield::SIGNALS);
    }
    holds.into_iter().map(str::to_owned).collect()
}

/// Linux drops signals for PID 1 of its namespace, and notes in every process whether it became another
/// program. gVisor does neither.
fn tells_what_ran() -> bool {
    let own = procfs::process(rustix::process::getpid());
    own.is_some_and(|own| own.execed != ExecState::Unknown)
}

fn has_subreaper() -> bool {
    rustix::process::child_subreaper().is_ok()
}

/// Tries something; true: it was refused.
type IsRefused = fn() -> bool;

/// What user code could do to PID 1, each harmless where it is possible.
const ATTACKS: [(&str, IsRefused); 6] = [
    (shield::SIGNALS, sys::may_not_signal_init),
    (shield::LIMITS, sys::may_not_limit_init),
    (shield::TRACING, sys::may_not_trace_init),
    (shield::MEMORY, || {
        is_closed("/proc/1/mem") && is_closed("/proc/1/maps")
    }),
    (shield::DESCRIPTORS, || {
        (0..3).all(|fd| is_closed(&format!("/proc/1/fd/{fd}")))
    }),
    (shield::ENVIRONMENT, || is_closed("/proc/1/environ")),
];

/// A file that is not there is not refused.
fn is_closed(path: &str) -> bool {
    let opened = std::fs::File::open(path);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// A process of the user's tries all of [`ATTACKS`] and says by its exit code what was refused; 0 if it
/// could not be had.
fn attack(account: Account) -> u32 {
    #[allow(unsafe_code)]
    // SAFETY: the caller promises that there is one thread.
    let Ok(forked) = (unsafe { sys::fork() }) else {
        return 0;
    };
    let Some(attacker) = forked else {
        let refused = match leave(account, None) {
            Ok(()) => ATTACKS.iter().zip(0_u32..),
            Err(_) => sys::exit_now(0),
        };
        let bits = refused.filter(|((_, is_refused), _)| is_refused());
        let bits = bits.fold(0, |bits, (_, bit)| bits | (1_i32 << bit));
        sys::exit_now(bits)
    };
    exit_code(attacker).unwrap_or(0)
}

fn exit_code(child: Pid) -> Option<u32> {
    loop {
        match sys::wait_any(sys::Wait::PeekExit) {
            Ok(Some(event)) if event.pid == child => {
                sys::reap(child).ok()?;
                return match event.change {
                    sys::Change::Exited(code) => u32::try_from(code).ok(),
                    _ => None,
                };
            }
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_two_ids_and_never_roots() {
        let parsed = Account::parse("65536:65537");
        let account = Account {
            uid: 65_536,
            gid: 65_537,
        };
        assert_eq!(parsed, Some(account));
        for wrong in [
            "",
            "1",
            "0:1",
            "1:0",
            "1:x",
            "1:2:3",
            "-1:5",
            "4294967295:1",
        ] {
            assert_eq!(Account::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn without_a_shield_linux_is_known_by_what_it_notes() {
        assert_eq!(tried(None), [shield::SIGNALS]);
    }

    #[test]
    fn an_account_is_parsed_from_its_own_text() {
        let account = Account { uid: 1, gid: 2 };
        assert_eq!(Account::parse(&account.text()), Some(account));
    }
}
