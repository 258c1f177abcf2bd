//! The seccomp profile that the Engine gives to every sandbox, in Docker's own format.
//!
//! Source: `seccomp/default.json` of [moby/profiles] (Apache-2.0) at commit `02e898b1`, resolved for
//! a container without capabilities on x86_64 and aarch64. Left out beyond that:
//!
//! | what | why |
//! |---|---|
//! | the 32-bit ABIs (x86, x32, arm) and their names | `socketcall` passes the address family by a pointer; such a call ends its thread with SIGSYS |
//! | `socket` except UNIX, INET, INET6 | VSOCK reaches the hypervisor and its machines, ALG was a way to root (CVE-2026-31431): moby too leaves out these two; NETLINK holds messages in memory that no cgroup is charged for, without bound (700 MB queued by a sandbox of 512 MB); PACKET and the rest are kernel code that sandboxes do not need |
//! | `socketpair` but for UNIX | moby leaves it open: the kernel makes sockets of the family before it refuses |
//! | `prlimit64` on any process except the caller | the kernel asks only for the same uid: RLIMIT_CPU kills PID 1, RLIMIT_NOFILE blinds it |
//! | `sched_setattr`, `sched_setparam`, `sched_setscheduler`, `setpriority`, `ioprio_set` on any thread except the caller | likewise: SCHED_IDLE or nice 19 on PID 1 lets busy commands starve it |
//! | `io_setup` and its kin | its contexts (`fs.aio-max-nr`) are one pool of the host, which a single sandbox empties |
//!
//! `sched_setscheduler` to SCHED_OTHER stays open for every thread: all have it, and with it PID 1
//! runs as before. `pthread_setschedparam` names its own thread by id; libzmq calls it in each
//! thread, and Jupyter's kernels abort where it fails. `sched_setaffinity` stays open: glibc names
//! every new thread by its id, so OpenMP programs would start none, and PID 1 on one processor
//! still gets its share of it.
//!
//! moby's default already denies without capabilities: io_uring, keyctl, add_key, request_key,
//! userfaultfd, bpf, perf_event_open, mount and its kin, unshare, setns, `clone` into a namespace.
//! An Engine's built-in default may be older (20.10 allows io_uring and VSOCK), so it is never relied on.
//!
//! What to know before changing a rule (seen on Engine 20.10.24, runc 1.1.5, libseccomp 2.5.4):
//!
//! - A comparison sees all 64 bits of an argument, the kernel often only 32. `NE 40` and `GT 40`
//!   pass family `1 << 32 | 40`, which the kernel reads as 40. Allow by `EQ`, or mask.
//! - `MASKED_EQ` passes if `argument & value == valueTwo`. Swapped, the mask is 0 and all pass.
//! - Rules for one name are ORed. Conditions in one rule are ANDed, but runc ORs them when two are
//!   on the same argument.
//! - A name that the Engine's libseccomp does not know is skipped without a word. runc answers
//!   ENOSYS to every number above the highest it resolved from this list, the default EPERM below:
//!   programs fall back from what is newer than the Engine. For this stub the architectures must
//!   be named: without `archMap` newer calls are EPERM too.
//! - `errnoRet` needs Engine 20.10.10 (moby #42836); before, `clone3` is EPERM, and a glibc from
//!   2.34 on starts no thread.
//!   20.10 does not know `defaultErrnoRet` and ignores it; its default is the same EPERM.
//!
//! [moby/profiles]: https://github.com/moby/profiles

use std::sync::LazyLock;

const SOURCE: &str = include_str!("../profile.json");

/// The profile as JSON on one line (6.5 kB), for `security_opt: ["seccomp=<json>"]`: the Engine's API
/// takes the content, not a path.
pub fn engine_profile() -> &'static str {
    // A JSON string holds no raw line break, so joining the lines changes no value.
    static COMPACT: LazyLock<String> = LazyLock::new(|| SOURCE.lines().map(str::trim).collect());
    &COMPACT
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    // `deny_unknown_fields`: the fields below are those that Engine 20.10 reads. It ignores
    // others, and a condition that is ignored allows.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Profile {
        default_action: String,
        default_errno_ret: u32, // the one exception: see the module's documentation
        arch_map: Value,
        syscalls: Vec<Rule>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Rule {
        names: Vec<String>,
        action: String,
        errno_ret: Option<u32>,
        #[serde(default)]
        args: Vec<Value>,
        #[serde(rename = "comment")]
        _comment: Option<String>,
        includes: Option<Includes>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Includes {
        arches: Option<Vec<String>>,
        min_kernel: Option<String>,
    }

    fn parsed() -> Profile {
        serde_json::from_str(engine_profile()).expect("the profile is of Docker's format")
    }

    fn rules_by_name(profile: &Profile) -> BTreeMap<&str, Vec<&Rule>> {
        let mut rules = BTreeMap::<_, Vec<_>>::new();
        for rule in &profile.syscalls {
            for name in &rule.names {
                rules.entry(name.as_str()).or_default().push(rule);
            }
        }
        rules
    }

    fn conditions<'a>(profile: &'a Profile, name: &str) -> Vec<&'a [Value]> {
        rules_by_name(profile)[name]
            .iter()
            .map(|rule| rule.args.as_slice())
            .collect()
    }

    fn equals(value: u64) -> [Value; 1] {
        [json!({ "index": 0, "value": value, "op": "SCMP_CMP_EQ" })]
    }

    fn masked(mask: u64) -> [Value; 1] {
        [masked_equals(0, mask, 0)]
    }

    fn masked_equals(index: u32, mask: u64, value: u64) -> Value {
        json!({ "index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" })
    }

    #[test]
    fn joining_the_lines_changes_no_value() {
        let [source, compact] = [SOURCE, engine_profile()]
            .map(|text| serde_json::from_str::<Value>(text).expect("the profile is JSON"));
        assert_eq!(source, compact);
        assert!(!engine_profile().contains('\n'));
    }

    #[test]
    fn what_no_rule_names_is_denied() {
        let profile = parsed();
        assert_eq!(profile.default_action, "SCMP_ACT_ERRNO");
        assert_eq!(profile.default_errno_ret, 1);
    }

    #[test]
    fn the_kernel_interfaces_left_out_are_named_by_no_rule() {
        let profile = parsed();
        let rules = rules_by_name(&profile);
        let left_out = "io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key \
            userfaultfd bpf perf_event_open unshare setns mount umount umount2 pivot_root chroot \
            fsopen fsmount fsconfig fspick open_tree move_mount mount_setattr open_by_handle_at \
            pidfd_getfd process_madvise kcmp init_module finit_module delete_module kexec_load \
            kexec_file_load reboot swapon swapoff acct quotactl quotactl_fd syslog fanotify_init \
            io_setup io_submit io_getevents io_pgetevents io_cancel io_destroy \
            mbind set_mempolicy get_mempolicy migrate_pages move_pages iopl ioperm settimeofday \
            clock_settime sethostname setdomainname lookup_dcookie vhangup nfsservctl uselib";
        for name in left_out.split_whitespace() {
            assert!(!rules.contains_key(name), "{name} has a rule");
        }
    }

    #[test]
    fn only_the_two_64_bit_abis_are_let_in() {
        let profile = parsed();
        assert_eq!(
            profile.arch_map,
            json!([
                { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] },
                { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": [] },
            ])
        );
        let rules = rules_by_name(&profile);
        for name in ["socketcall", "ipc", "sigreturn", "mmap2", "ugetrlimit"] {
            assert!(!rules.contains_key(name), "{name} is of a 32-bit ABI");
        }
    }

    #[test]
    fn sockets_are_allowed_by_family_and_never_by_what_a_family_is_not() {
        let profile = parsed();
        let families = [1, 2, 10].map(equals); // UNIX, INET, INET6
        assert_eq!(conditions(&profile, "socket"), families);
        assert_eq!(conditions(&profile, "socketpair"), [equals(1)]);
    }

    #[test]
    fn limits_and_scheduling_are_set_where_the_low_half_of_the_pid_is_zero() {
        let profile = parsed();
        for name in ["prlimit64", "sched_setattr", "sched_setparam"] {
            assert_eq!(conditions(&profile, name), [masked(0xffff_ffff)], "{name}");
        }
        // Or for any thread SCHED_OTHER, which is 0.
        let other = [masked_equals(1, 0xffff_ffff, 0)];
        let rules = conditions(&profile, "sched_setscheduler");
        assert_eq!(rules, [masked(0xffff_ffff), other]);
    }

    #[test]
    fn priorities_are_set_for_one_thread_and_that_is_the_caller() {
        let profile = parsed();
        // PRIO_PROCESS is 0, IOPRIO_WHO_PROCESS 1; with a user's id PID 1 would be meant too.
        for (name, process) in [("setpriority", 0), ("ioprio_set", 1)] {
            let caller = [(0, process), (1, 0)]
                .map(|(index, value)| masked_equals(index, 0xffff_ffff, value));
            assert_eq!(conditions(&profile, name), [caller], "{name}");
        }
    }

    #[test]
    fn clone_makes_no_namespace_and_clone3_is_not_there() {
        // NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME is of clone3 only.
        let namespaces = [17, 25, 26, 27, 28, 29, 30]
            .map(|bit| 1 << bit)
            .iter()
            .sum();
        let profile = parsed();
        assert_eq!(conditions(&profile, "clone"), [masked(namespaces)]);

        let clone3 = &rules_by_name(&profile)["clone3"];
        assert_eq!(clone3.len(), 1);
        assert_eq!(clone3[0].action, "SCMP_ACT_ERRNO");
        assert_eq!(clone3[0].errno_ret, Some(38));
        assert!(clone3[0].args.is_empty());
    }

    #[test]
    fn no_two_rules_for_a_name_contradict_or_hide_each_other() {
        let profile = parsed();
        for (name, rules) in rules_by_name(&profile) {
            let conditions: Vec<_> = rules.iter().map(|rule| &rule.args).collect();
            assert!(
                rules.len() == 1 || conditions.iter().all(|args| !args.is_empty()),
                "{name}: a rule without a condition makes the others void"
            );
            assert!(
                rules.iter().all(|rule| rule.action == rules[0].action),
                "{name}: two actions"
            );
            for (i, args) in conditions.iter().enumerate() {
                let indexes: BTreeSet<_> = args.iter().map(|arg| arg["index"].as_u64()).collect();
                assert!(
                    indexes.len() == args.len(),
                    "{name}: runc ORs two conditions on one argument"
                );
                assert!(
                    !conditions[..i].contains(args),
                    "{name}: the same rule twice"
                );
            }
        }
    }

    #[test]
    fn a_rule_depends_on_architecture_or_kernel_but_never_on_a_capability() {
        // `Includes` has no field for capabilities, and `Rule` none for excludes.
        for rule in parsed().syscalls {
            match rule.includes {
                None => assert!(rule.errno_ret.is_none() || rule.action == "SCMP_ACT_ERRNO"),
                Some(Includes {
                    arches: Some(arches),
                    min_kernel: None,
                }) => {
                    assert_eq!(
                        (arches, rule.names[0].as_str()),
                        (vec!["amd64".into()], "arch_prctl")
                    );
                }
                Some(Includes {
                    arches: None,
                    min_kernel: Some(version),
                }) => {
                    assert_eq!(version, "4.8");
                    assert!(rule.names.contains(&"ptrace".into()));
                }
                Some(_) => panic!("{:?} depends on nothing or on two things", rule.names),
            }
        }
    }

    #[test]
    fn what_casemate_init_needs_is_allowed_without_condition() {
        let profile = parsed();
        let rules = rules_by_name(&profile);
        let needed = "openat2 pidfd_open pidfd_send_signal waitid prctl memfd_create epoll_pwait \
            epoll_ctl renameat2 statx close_range execve getrandom vfork kill setrlimit mknodat \
            bind listen accept4 sendmsg recvmsg futex rt_sigaction signalfd4 timerfd_create";
        for name in needed.split_whitespace() {
            assert!(
                rules[name].iter().all(|rule| rule.args.is_empty()),
                "{name} is conditional"
            );
            assert_eq!(rules[name][0].action, "SCMP_ACT_ALLOW", "{name}");
        }
    }
}
