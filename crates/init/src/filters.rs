//! The filters of system calls that PID 1 and the bridge install on themselves, and so on all
//! their descendants. They hold in addition to any profile of the Engine or another runtime.
//!
//! `casemate-seccomp` has the rules and says why; its compiler ran at build time.

use std::io;

use casemate_seccomp::{Probe, probes};

use crate::sys::{self, Instruction};

const fn of(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// In the order in which they are installed: the last one refuses further filters.
static FILTERS: &[&[Instruction]] = include!(concat!(env!("OUT_DIR"), "/filters.rs"));

/// Installs the filters on every thread of the process, for ever. Gives up privileges first, as the
/// kernel asks of those without capabilities.
///
/// # Errors
/// What the kernel says: it has no seccomp, or a filter from outside forbids another one, as ours
/// does to a second casemate-init.
pub fn install() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    FILTERS
        .iter()
        .try_for_each(|filter| sys::install_filter(filter))
}

/// The names of the probes that the kernel answers as the filters do.
pub fn denied() -> Vec<String> {
    let denied = probes().iter().filter(|probe| is_denied(probe));
    denied.map(|probe| probe.name.to_owned()).collect()
}

fn is_denied(probe: &Probe) -> bool {
    let (x86_64, aarch64) = probe.numbers;
    let number = if cfg!(target_arch = "x86_64") {
        x86_64
    } else {
        aarch64
    };
    sys::errno_of(number, probe.args) == Some(i32::from(probe.errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a separate thread, as the filters are installed here on the calling thread only, and the
    /// other tests must run without them.
    #[test]
    fn installed_filters_answer_every_probe_and_nothing_did_before() {
        let tried = std::thread::spawn(|| {
            let before = denied();
            rustix::thread::set_no_new_privs(true).expect("no new privileges");
            for filter in FILTERS {
                sys::install_filter_on_this_thread(filter).expect("a filter");
            }
            let again = sys::install_filter_on_this_thread(FILTERS[0]);
            (
                before,
                denied(),
                again.map_err(|error| error.raw_os_error()),
            )
        });
        let (before, after, again) = tried.join().expect("the probes harm nothing");
        assert_eq!(casemate_seccomp::missing(&after).next(), None);
        assert_eq!(again, Err(Some(libc::EINVAL)));
        // What this kernel, or what the test runs under, denies anyway.
        for name in [
            "packet filters",
            "IPv6 options",
            "project ids",
            "seccomp",
            "asynchronous I/O",
        ] {
            assert!(!before.iter().any(|it| it == name), "{name} tells nothing");
        }
    }
}
