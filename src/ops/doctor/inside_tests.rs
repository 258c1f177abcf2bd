use super::super::Severity;
use super::*;

/// What a sandbox on cgroup v1 prints, shortened.
const GOOD: &str = "\
== status
Name:\tsh
Uid:\t70001\t70001\t70001\t70001
Gid:\t70001\t70001\t70001\t70001
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t1
== mounts
631 512 0:52 / / ro,relatime - overlay overlay rw,lowerdir=/a
632 631 0:55 / /proc rw,nosuid - proc proc rw
== interfaces
Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame |bytes    packets
    lo:       0       0    0    0    0     0        0       0
== routes
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
== routes6
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000001 00000000 80200001       lo
== addresses6
00000000000000000000000000000001 01 80 10 80       lo
== memory
536870912
== pids
256
== cpu
50000
== cpu
100000
== root
== workspace
written
";

const WANTED: ExpectedLimits = ExpectedLimits {
    memory: 512 << 20,
    pids: 256,
    nano_cpus: NANO_CPUS / 2,
    other_kernel: None,
    apparmor: false,
    uids: UidRange::new(70_000, 2),
};

#[test]
fn where_users_share_a_uid_it_is_1000() {
    let shared = ExpectedLimits {
        uids: UidRange::NONE,
        ..WANTED
    };
    let is_bad = |text: &str| {
        let found = judge(text, &shared);
        found
            .iter()
            .any(|it| it.check == "uid" && it.level == Severity::Error)
    };
    assert!(is_bad(GOOD) && !is_bad(&GOOD.replace("70001", "1000")));
}

fn bad(text: &str) -> Vec<&'static str> {
    let found = judge(text, &WANTED);
    assert_eq!(found.len(), 8);
    assert!(
        found
            .iter()
            .all(|finding| (finding.level == Severity::Ok) != finding.fix.is_some())
    );
    let bad = found
        .iter()
        .filter(|finding| finding.level == Severity::Error);
    bad.map(|finding| finding.check).collect()
}

#[test]
fn a_sandbox_as_it_should_be_has_no_fault() {
    assert!(bad(GOOD).is_empty(), "{:#?}", judge(GOOD, &WANTED));
    let v2 = GOOD.replace("50000\n== cpu\n100000", "50000 100000");
    assert!(bad(&v2).is_empty());
}

#[test]
fn each_property_that_is_weaker_is_found_alone() {
    for (check, good, weaker) in [
        (
            "capabilities",
            "CapBnd:\t0000000000000000",
            "CapBnd:\t00000000a80425fb",
        ),
        ("capabilities", "CapAmb:\t0000000000000000\n", ""),
        ("privileges", "NoNewPrivs:\t1", "NoNewPrivs:\t0"),
        ("filter", "Seccomp:\t2", "Seccomp:\t0"),
        ("uid", "Uid:\t70001\t70001", "Uid:\t70001\t0"),
        ("uid", "Gid:\t70001", "Gid:\t0"),
        // The one before the first, and the one of volumes without a uid.
        ("uid", "70001", "69999"),
        ("uid", "70001", "1000"),
        ("network", "    lo:", "    lo:\n  eth0:"),
        ("network", "    lo:", "    lo:\n  tun0:"),
        ("network", "    lo:", " sit0:"),
        (
            "network",
            "IRTT\n",
            "IRTT\nsit0\t00000000\t0101A8C0\t0003\n",
        ),
        ("network", " 80200001       lo", " 80200001     sit0"),
        (
            "network",
            "01 80 10 80       lo",
            "01 80 10 80       lo\nfe80 02 40 20 80 gre0",
        ),
        ("limits", "536870912", "536870913"),
        ("limits", "536870912", "536805376"),
        ("limits", "536870912", "9223372036854771712"),
        ("limits", "256\n", "max\n"),
        ("limits", "50000", "-1"),
        ("limits", "50000", "60000"),
        ("root", "/ / ro,", "/ / rw,"),
        ("root", "== root", "== root\nwritable"),
        ("workspace", "written\n", ""),
    ] {
        let text = GOOD.replacen(good, weaker, 1);
        assert_ne!(text, GOOD, "{check}: {good}");
        assert_eq!(bad(&text), [check], "{weaker}");
    }
}

/// As on a host with the modules of tunnels, which Docker Desktop's and WSL's are.
#[test]
fn tunnels_that_the_kernel_puts_into_every_namespace_lead_nowhere() {
    let names = FALLBACKS.map(|name| format!("{name:>6}:  0 0 0\n"));
    let text = GOOD.replace("    lo:", &format!("{}    lo:", names.concat()));
    assert_ne!(text, GOOD);
    assert!(bad(&text).is_empty(), "{:#?}", judge(&text, &WANTED));
}

/// CASEMATE_MEMORY=500000000 is 499998720 on a machine with pages of 4 KiB.
#[test]
fn a_limit_of_memory_may_be_rounded_down_to_a_page() {
    for given in ["536866816", "536805377"] {
        assert!(bad(&GOOD.replace("536870912", given)).is_empty(), "{given}");
    }
}

#[test]
fn what_says_nothing_is_believed_nothing() {
    for text in ["", "== status", "garbage\n== == ==\n:::"] {
        assert_eq!(bad(text).len(), 8, "{text:?}");
    }
}

#[test]
fn a_host_with_fewer_cpus_than_were_asked_for_gives_what_it_has() {
    let config = crate::config::RawConfig::gather(
        crate::config::SettingsArgs {
            config: None,
            given: [("cpus", "64".into())].into(),
        },
        &crate::config::MapEnvironment {
            os_user: "a".to_owned(),
            ..Default::default()
        },
    );
    let config = crate::config::Config::from_raw(config.expect("given")).expect("valid");
    let settings = config.for_identity(&config.user.clone().into());
    let of = |cpus: u32, runtime: &str| {
        let mut host = super::super::host::good();
        (host.cpus, host.default_runtime) = (cpus, runtime.to_owned());
        ExpectedLimits::of(&settings, &host, UidRange::NONE, runtime)
    };
    assert_eq!(of(2, "runc").nano_cpus, 2 * NANO_CPUS);
    assert_eq!(of(128, "runc").nano_cpus, 64 * NANO_CPUS);
    for (runtime, is_other) in [
        ("runc", false),
        ("io.containerd.runc.v2", false),
        ("crun", false),
        ("runsc", true),
        ("kata-runtime", true),
    ] {
        assert_eq!(of(2, runtime).other_kernel.is_some(), is_other, "{runtime}");
    }
}

/// gVisor and Kata, which doctor itself advises: they are no reason to keep users out.
#[test]
fn filter_and_limits_are_not_judged_under_a_kernel_of_its_own() {
    let text = GOOD.replace("Seccomp:\t2", "Seccomp:\t0");
    let text = text.replace("50000", "-1");
    assert_eq!(bad(&text), ["filter", "limits"]);
    let other = ExpectedLimits {
        other_kernel: Some("runsc".to_owned()),
        ..WANTED
    };
    let found = judge(&text, &other);
    let notes = found
        .iter()
        .filter(|finding| finding.level == Severity::Note);
    let notes: Vec<_> = notes.collect();
    assert_eq!(notes.len(), 2, "{found:#?}");
    assert!(notes.iter().all(|it| it.found.contains("under runsc")));
    assert!(
        found
            .iter()
            .all(|finding| finding.level < Severity::Warning)
    );
    let writable = text.replace("/ / ro,", "/ / rw,");
    let found = judge(&writable, &other);
    assert!(
        found.iter().any(|it| it.level == Severity::Error),
        "{found:?}"
    );
}

#[test]
fn terminals_are_judged_where_the_kernel_is_the_hosts() {
    let terminals = "== terminals\n3000\n== terminals\n1024\n== terminals\n4096\n";
    let text = format!("{GOOD}{terminals}");
    let found = judge(&text, &WANTED);
    let last = found.last().expect("findings");
    assert_eq!((last.check, last.level), ("terminals", Severity::Warning));
    assert!(last.found.starts_with("3000 "), "{last:?}");
    let other = ExpectedLimits {
        other_kernel: Some("runsc".to_owned()),
        ..WANTED
    };
    let has = |text: &str, wanted: &ExpectedLimits| {
        let found = judge(text, wanted);
        found.iter().any(|it| it.check == "terminals")
    };
    assert!(!has(&text, &other));
    assert!(!has(&text.replace("\n4096", ""), &WANTED));
}

#[test]
fn apparmor_is_believed_when_the_sandbox_says_it() {
    let wanted = ExpectedLimits {
        apparmor: true,
        ..WANTED
    };
    let level = |label: &str| {
        let text = format!("{GOOD}== label\n{label}");
        let found = judge(&text, &wanted);
        assert_eq!(found.len(), 9);
        found[8].level
    };
    assert_eq!(level("docker-default (enforce)\n"), Severity::Ok);
    for label in ["unconfined\n", "docker-default (complain)\n", ""] {
        assert_eq!(level(label), Severity::Warning, "{label}");
    }
}
