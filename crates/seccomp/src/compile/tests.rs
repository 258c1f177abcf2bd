//! The filters as the kernel reads them, on both architectures: every answer is the simulator's.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::simulator::{Answer, Call, answer};
use super::*;
use crate::errno::ENOSYS;
use crate::{Probe, probes};

pub(super) const ARCHITECTURES: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

pub(super) fn made(arch: Architecture, number: u32, args: [u64; 3]) -> Call {
    let [first, second, third] = args;
    Call {
        number,
        arch: arch.audit(),
        args: [first, second, third, 0, 0, 0],
    }
}

fn of(probe: &Probe, arch: Architecture) -> Call {
    let (x86_64, aarch64) = probe.numbers;
    let number = match arch {
        Architecture::X86_64 => x86_64,
        Architecture::Aarch64 => aarch64,
    };
    made(arch, number, probe.args)
}

/// The filters as they are installed, made once.
pub(super) fn installed(arch: Architecture) -> &'static [BpfProgram] {
    static MADE: LazyLock<[Vec<BpfProgram>; 2]> =
        LazyLock::new(|| ARCHITECTURES.map(|arch| filters(arch).expect("filters")));
    &MADE[usize::from(arch == Architecture::Aarch64)]
}

/// The probes that the filters let through, or answer with another errno.
fn unanswered(filters: &[BpfProgram], arch: Architecture) -> Vec<&'static str> {
    let wrong = |probe: &&Probe| answer(filters, of(probe, arch)) != Answer::Errno(probe.errno);
    probes()
        .iter()
        .filter(wrong)
        .map(|probe| probe.name)
        .collect()
}

#[test]
fn every_probe_is_answered_with_its_errno() {
    for arch in ARCHITECTURES {
        let filters = installed(arch);
        assert_eq!(unanswered(filters, arch), [""; 0], "{arch:?}");
    }
}

#[test]
fn a_probe_has_the_number_of_its_call() {
    for probe in probes() {
        // io_setup is 0 on aarch64.
        let numbers = ARCHITECTURES.map(|arch| arch.number(probe.call).expect(probe.call));
        assert_eq!(
            numbers,
            [probe.numbers.0, probe.numbers.1],
            "{}",
            probe.name
        );
    }
}

#[test]
fn a_filter_without_any_one_of_the_rules_fails_a_probe() {
    let profile = Profile::ours().expect("the profile");
    for arch in ARCHITECTURES {
        for left_out in rules() {
            let others = rules().iter().filter(|rule| rule.name != left_out.name);
            let others: Vec<_> = others.copied().collect();
            let filters = filters_of(arch, &profile, &others).expect("filters");
            assert_ne!(
                unanswered(&filters, arch),
                [""; 0],
                "without {}",
                left_out.name
            );
        }
    }
}

#[test]
fn a_profile_without_any_one_of_the_conditions_fails_a_probe() {
    let whole = Profile::ours().expect("the profile");
    let conditional = whole.syscalls.iter().enumerate();
    let conditional = conditional.filter(|(_, group)| !group.args.is_empty());
    for (index, group) in conditional {
        // No probe changes the caller's personality.
        if group.names == ["personality"] || group.names == ["socket"] {
            continue;
        }
        for condition in 0..group.args.len() {
            for name in &group.names {
                let mut weaker = whole.clone();
                let group = &mut weaker.syscalls[index];
                let mut open = group.clone();
                open.names = vec![name.clone()];
                open.args.remove(condition);
                group.names.retain(|it| it != name);
                // A rule without a condition makes the others of the name void.
                if open.args.is_empty() {
                    for group in &mut weaker.syscalls {
                        group.names.retain(|it| it != name);
                    }
                }
                weaker.syscalls.push(open);
                let arch = Architecture::X86_64;
                let filters = filters_of(arch, &weaker, rules()).expect("filters");
                assert_ne!(unanswered(&filters, arch), [""; 0], "{name}: {condition}");
            }
        }
    }
}

#[test]
fn a_profile_that_names_a_call_more_fails_a_probe() {
    let whole = Profile::ours().expect("the profile");
    let denied: BTreeSet<_> = probes().iter().map(|probe| probe.call).collect();
    for arch in ARCHITECTURES {
        let allowed = whole.allowed(arch).expect("numbers");
        let denied = denied.iter().filter(|call| {
            let number = arch.number(call).expect("a number");
            !allowed.contains_key(&number.into())
        });
        for call in denied {
            let mut weaker = whole.clone();
            weaker.syscalls[0].names.push((*call).to_owned());
            let filters = filters_of(arch, &weaker, rules()).expect("filters");
            // clone3 is denied by its own rule, which stays.
            if *call != "clone3" {
                assert_ne!(unanswered(&filters, arch), [""; 0], "with {call}");
            }
        }
    }
}

#[test]
fn programs_get_what_they_need() {
    const HIGH: u64 = 1 << 32;
    let calls: &[(&str, [u64; 3])] = &[
        ("socket", [1, 1, 0]),
        ("socket", [2, 1, 6]),
        ("socket", [2, 2, 17]),
        ("socket", [10, 1, 0]),
        ("socket", [2, 2, 1]),
        ("socketpair", [1, 1, 0]),
        ("setsockopt", [3, 1, 2]),  // SO_REUSEADDR
        ("setsockopt", [3, 1, 15]), // SO_REUSEPORT
        ("setsockopt", [3, 1, 16]), // SO_PASSCRED
        ("setsockopt", [3, HIGH | 1, HIGH | 9]),
        ("setsockopt", [3, 6, 1]),      // TCP_NODELAY
        ("setsockopt", [3, 41, 26]),    // IPV6_V6ONLY
        ("setsockopt", [3, 0, 11]),     // IP_RECVERR
        ("ioctl", [0, 0x5401, 0]),      // TCGETS
        ("ioctl", [0, 0x5421, 0]),      // FIONBIO
        ("ioctl", [0, 0x8008_6601, 0]), // FS_IOC_GETFLAGS
        ("ioctl", [0, 0x801c_581f, 0]), // FS_IOC_FSGETXATTR
        ("ioctl", [0, 0x4004_9409, 0]), // FICLONE
        ("prctl", [15, 0, 0]),          // PR_SET_NAME
        ("prctl", [21, 0, 0]),          // PR_GET_SECCOMP
        ("prctl", [38, 1, 0]),          // PR_SET_NO_NEW_PRIVS
        ("prlimit64", [0, 7, 0]),
        ("sched_setscheduler", [0, 3, 0]),
        ("sched_setscheduler", [77, 0, 0]), // SCHED_OTHER, as libzmq sets it
        ("setpriority", [0, 0, 10]),
        ("ioprio_set", [1, 0, 0]),
        ("sched_setaffinity", [77, 8, 0]),
        ("clone", [0x003d_0f00, 0, 0]), // a thread
        ("execve", [0; 3]),
        ("newfstatat", [0; 3]),
        ("openat2", [0; 3]),
        ("mseal", [0; 3]),
    ];
    for arch in ARCHITECTURES {
        let filters = installed(arch);
        for (name, args) in calls {
            let number = arch.number(name).expect(name);
            let answer = answer(filters, made(arch, number, *args));
            assert_eq!(answer, Answer::Allow, "{name} {args:x?}");
        }
    }
}

#[test]
fn what_is_not_named_is_denied_and_what_is_newer_is_not_there() {
    for arch in ARCHITECTURES {
        let filters = installed(arch);
        let allowed = Profile::ours()
            .expect("the profile")
            .allowed(arch)
            .expect("numbers");
        let highest = u32::try_from(*allowed.keys().max().expect("some")).expect("a number");
        let clone3 = arch.number("clone3").expect("a number");
        let numbers = (0..1024).chain([u32::MAX, 1 << 30, (1 << 30) | 41, (1 << 30) | 520]);
        for number in numbers.filter(|number| !allowed.contains_key(&i64::from(*number))) {
            let there = arch.has(number) && number <= highest && number != clone3;
            let errno = if there { EPERM } else { ENOSYS };
            let answer = answer(filters, made(arch, number, [0; 3]));
            assert_eq!(answer, Answer::Errno(errno), "{arch:?} {number}");
        }
    }
}

#[test]
fn every_name_of_the_profile_is_a_call_somewhere() {
    for group in &Profile::ours().expect("the profile").syscalls {
        for name in &group.names {
            let anywhere = ARCHITECTURES.iter().any(|arch| arch.number(name).is_some());
            assert!(anywhere, "{name}");
        }
    }
}

#[test]
fn a_call_of_another_abi_ends_its_process() {
    for arch in ARCHITECTURES {
        let filters = installed(arch);
        // i386, arm, and the other of ours.
        for foreign in [
            0x4000_0003,
            0x4000_0028,
            ARCHITECTURES[0].audit(),
            ARCHITECTURES[1].audit(),
        ] {
            let call = Call {
                arch: foreign,
                ..made(arch, 1, [0; 3])
            };
            let answer = answer(filters, call);
            assert_eq!(
                answer == Answer::KillProcess,
                foreign != arch.audit(),
                "{foreign:x}"
            );
        }
    }
}

#[test]
fn only_the_last_filter_refuses_the_next_and_the_kernel_takes_each() {
    /// `BPF_MAXINSNS`.
    const LONGEST: usize = 4096;
    for arch in ARCHITECTURES {
        let filters = installed(arch);
        let install = made(arch, arch.number("seccomp").expect("a number"), [1, 1, 0]);
        let (last, before) = filters.split_last().expect("filters");
        assert_eq!(answer(before, install), Answer::Allow);
        assert_eq!(
            answer(std::slice::from_ref(last), install),
            Answer::Errno(EINVAL)
        );
        assert!(
            filters
                .iter()
                .all(|filter| (1..=LONGEST).contains(&filter.len()))
        );
    }
}
