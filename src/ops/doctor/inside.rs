//! Compares a sandbox, as the kernel shows it to code inside, with the settings.

use std::collections::BTreeMap;

use super::host::is_other_kernel;
use super::{Finding, Severity, pools};
use crate::config::SandboxSettings;
use crate::engine::{Capabilities, UidRange};

/// Prints the facts to check, using only what is built into every shell: an image may have no other
/// programs.
pub const SCRIPT: &str = r#"
show() { echo "== $1"; while IFS= read -r line || [ -n "$line" ]; do echo "$line"; done <"$2"; }
{
    show status /proc/self/status
    show mounts /proc/self/mountinfo
    show label /proc/self/attr/current
    show interfaces /proc/net/dev
    show routes /proc/net/route
    show routes6 /proc/net/ipv6_route
    show addresses6 /proc/net/if_inet6
    show memory /sys/fs/cgroup/memory.max
    show memory /sys/fs/cgroup/memory/memory.limit_in_bytes
    show pids /sys/fs/cgroup/pids.max
    show pids /sys/fs/cgroup/pids/pids.max
    show cpu /sys/fs/cgroup/cpu.max
    show cpu /sys/fs/cgroup/cpu/cpu.cfs_quota_us
    show cpu /sys/fs/cgroup/cpu/cpu.cfs_period_us
    show terminals /proc/sys/kernel/pty/nr
    show terminals /proc/sys/kernel/pty/reserve
    show terminals /proc/sys/kernel/pty/max
    echo "== root"
    (echo written >/casemate-doctor) && echo writable
    (echo written >/workspace/casemate-doctor)
    show workspace /workspace/casemate-doctor
} 2>/dev/null
"#;

/// The settings that the sandbox must have.
#[derive(Debug)]
pub struct ExpectedLimits {
    memory: u64,
    pids: u64,
    nano_cpus: u64,
    /// The runtime, if it runs another kernel between the code and the host's.
    other_kernel: Option<String>,
    apparmor: bool,
    /// The range of uids for users.
    uids: UidRange,
}

/// One CPU, in the setting's unit.
const NANO_CPUS: u64 = 1_000_000_000;

impl ExpectedLimits {
    /// From these settings on this host: never more CPUs than the host has.
    pub fn of(
        settings: &SandboxSettings,
        host: &Capabilities,
        uids: UidRange,
        runtime: &str,
    ) -> Self {
        Self {
            memory: settings.memory.0,
            pids: settings.pids.into(),
            nano_cpus: settings.cpus.0.min(u64::from(host.cpus) * NANO_CPUS),
            other_kernel: is_other_kernel(runtime).then(|| runtime.to_owned()),
            apparmor: host.apparmor,
            uids,
        }
    }

    /// Whether all ids of a process are the same one from the range, or the shared one if there is
    /// no range.
    fn is_a_users(&self, ids: [&str; 2]) -> bool {
        let all = ids.iter().flat_map(|ids| ids.split_whitespace());
        let mut all: Vec<&str> = all.collect();
        all.dedup();
        let [only] = all[..] else { return false };
        let shared = self.uids.count() == 0 && only == "1000";
        shared || only.parse().is_ok_and(|uid| self.uids.contains(uid))
    }

    /// Another kernel may hide the property, so a failed check of it is only a note.
    fn judged(&self, finding: Finding) -> Finding {
        match &self.other_kernel {
            Some(runtime) if finding.level == Severity::Error => Finding::note(
                finding.check,
                format!("not checked under {runtime}: {}", finding.found),
            ),
            _ => finding,
        }
    }
}

/// The output of the script, by section.
struct InsideReport<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> InsideReport<'a> {
    fn parse(text: &'a str) -> Self {
        let mut sections = BTreeMap::<_, Vec<_>>::new();
        let mut section = "";
        for line in text.lines() {
            match line.strip_prefix("== ") {
                Some(name) => section = name,
                None => sections.entry(section).or_default().push(line),
            }
        }
        Self(sections)
    }

    fn lines(&self, section: &str) -> &[&'a str] {
        self.0.get(section).map_or(&[], Vec::as_slice)
    }

    /// A field of /proc/self/status (proc(5)).
    fn status(&self, name: &str) -> Option<&'a str> {
        let fields = self
            .lines("status")
            .iter()
            .filter_map(|line| line.split_once(':'));
        let (_, value) = fields.into_iter().find(|(field, _)| *field == name)?;
        Some(value.trim())
    }

    fn numbers(&self, section: &str) -> Vec<u64> {
        let words = self
            .lines(section)
            .iter()
            .flat_map(|line| line.split_whitespace());
        words.filter_map(|word| word.parse().ok()).collect()
    }
}

/// A finding for each property of the sandbox, good or bad.
pub fn judge(text: &str, wanted: &ExpectedLimits) -> Vec<Finding> {
    let inside = InsideReport::parse(text);
    let privileges = field(
        &inside,
        "privileges",
        "NoNewPrivs",
        "1",
        "no new privileges",
    );
    let filter = field(
        &inside,
        "filter",
        "Seccomp",
        "2",
        "system calls are filtered",
    );
    let mut found = vec![
        capabilities(&inside),
        privileges,
        wanted.judged(filter),
        ids(&inside, wanted),
        network(&inside),
        wanted.judged(limits(&inside, wanted)),
        root(&inside),
        check(
            "workspace",
            inside.lines("workspace") == ["written"],
            "the workspace can be written, in a sandbox".to_owned(),
            "a file was not written, or could not be read back",
        ),
    ];
    if wanted.apparmor && wanted.other_kernel.is_none() {
        found.push(confinement(&inside));
    }
    // Another kernel has other terminals.
    if wanted.other_kernel.is_none()
        && let [open, reserved, most] = inside.numbers("terminals")[..]
    {
        found.push(pools::terminals(open, reserved, most));
    }
    found
}

fn capabilities(inside: &InsideReport<'_>) -> Finding {
    let is_empty = |set: &&str| {
        let bits = inside.status(set);
        bits.is_some_and(|bits| bits.chars().all(|bit| bit == '0'))
    };
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let has: Vec<_> = sets.into_iter().filter(|set| !is_empty(set)).collect();
    let good = "no capabilities, in a sandbox".to_owned();
    check("capabilities", has.is_empty(), good, &has.join(", "))
}

fn ids(inside: &InsideReport<'_>, wanted: &ExpectedLimits) -> Finding {
    let ids = ["Uid", "Gid"].map(|ids| inside.status(ids).unwrap_or("unknown"));
    let whose = match wanted.uids.count() {
        0 => "user and group 1000",
        _ => "user and group are the user's own",
    };
    let good = format!("{whose}, in a sandbox");
    check("uid", wanted.is_a_users(ids), good, &ids.join(" and "))
}

/// An Engine that has AppArmor can confine a sandbox; only the label shows that it does.
fn confinement(inside: &InsideReport<'_>) -> Finding {
    // `docker-default (enforce)`
    let label = inside.lines("label").first().copied().unwrap_or("nothing");
    let found = format!("AppArmor says of a sandbox: {label}");
    if label.ends_with(" (enforce)") {
        return Finding::ok("confinement", found);
    }
    let fix = "the Engine has AppArmor and does not use it: `aa-status` and its log say why";
    Finding::warning("confinement", found).fix(fix)
}

fn check(name: &'static str, holds: bool, good: String, but: &str) -> Finding {
    if holds {
        return Finding::ok(name, good);
    }
    let fix = "do not let users in: the Engine or its runtime ignores what it was asked to do";
    Finding::error(name, format!("not so: {good} (found: {but})")).fix(fix)
}

fn field(
    inside: &InsideReport<'_>,
    name: &'static str,
    field: &str,
    wanted: &str,
    good: &str,
) -> Finding {
    let found = inside.status(field);
    let but = format!("{field} {}", found.unwrap_or("unknown"));
    check(
        name,
        found == Some(wanted),
        format!("{good}, in a sandbox"),
        &but,
    )
}

/// Names of the tunnels that the kernel puts into every new network namespace where their modules
/// are loaded, as on WSL and in the virtual machine of Docker Desktop: down, without an address,
/// and only a process with capabilities can bring them up (net/ipv4/ip_tunnel.c,
/// `fb_tunnels_only_for_init_net` in networking/sysctl of the kernel's documentation).
const FALLBACKS: [&str; 9] = [
    "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0",
];

/// Nothing may lead out: no interface except loopback and those that the kernel always adds, no
/// route and no IPv6 address except on loopback. (An IPv4 address leads nowhere without a route.)
fn network(inside: &InsideReport<'_>) -> Finding {
    // The first two lines are headings.
    let lines = inside.lines("interfaces").iter().skip(2);
    let mut out: Vec<_> = lines
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect();
    let has_loopback = out.contains(&"lo");
    out.retain(|name| *name != "lo" && !FALLBACKS.contains(name));
    // The first line is a heading, and the first field the interface.
    let routes = inside.lines("routes").iter().skip(1);
    let routes = routes.filter_map(|line| line.split_whitespace().next());
    // No headings, and the interface last.
    let six = ["routes6", "addresses6"].map(|section| inside.lines(section));
    let six = six.into_iter().flatten();
    let six = six.filter_map(|line| line.split_whitespace().next_back());
    let leads: Vec<_> = routes.chain(six).filter(|name| *name != "lo").collect();
    let good = "no network except loopback, in a sandbox".to_owned();
    let but = match has_loopback {
        true => format!("interfaces {out:?}, routes and addresses on {leads:?}"),
        false => "no list of interfaces".to_owned(),
    };
    let holds = has_loopback && out.is_empty() && leads.is_empty();
    check("network", holds, good, &but)
}

/// The kernel keeps the limit of memory in pages and rounds it down; the largest pages of Linux
/// have 64 KiB.
const PAGE: u64 = 64 << 10;

fn limits(inside: &InsideReport<'_>, wanted: &ExpectedLimits) -> Finding {
    let [memory, pids, cpu] = ["memory", "pids", "cpu"].map(|section| inside.numbers(section));
    // Quota and period in microseconds, to which the kernel rounds.
    let cpus = |quota: u64, period: u64| {
        u128::from(quota) * u128::from(NANO_CPUS) / u128::from(period.max(1))
    };
    let given = match cpu[..] {
        [quota, period] => {
            cpus(quota, period).abs_diff(wanted.nano_cpus.into()) <= u128::from(NANO_CPUS / 10_000)
        }
        _ => false,
    };
    let rounded =
        matches!(memory[..], [given] if given <= wanted.memory && wanted.memory - given < PAGE);
    // On gVisor PID 1 limits processes, and the kernel shows no limit.
    let by_pid_1 = wanted.other_kernel.is_some() && pids.is_empty();
    let holds = rounded && (by_pid_1 || pids == [wanted.pids]) && given;
    let good = format!(
        "limits as set: {} bytes of memory, {} processes{}, {}.{:02} CPUs",
        wanted.memory,
        wanted.pids,
        if by_pid_1 { " by PID 1" } else { "" },
        wanted.nano_cpus / NANO_CPUS,
        wanted.nano_cpus % NANO_CPUS / 10_000_000,
    );
    let but = format!("memory {memory:?}, processes {pids:?}, CPU quota and period {cpu:?}");
    check("limits", holds, good, &but)
}

/// Mount point and options are the fifth and sixth field of a line (proc(5)).
fn root(inside: &InsideReport<'_>) -> Finding {
    let mounts = inside
        .lines("mounts")
        .iter()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    // Of several mounts at one place the last is on top.
    let options = mounts
        .filter(|fields| fields.get(4) == Some(&"/"))
        .filter_map(|fields| fields.get(5).copied())
        .next_back();
    let read_only = options.is_some_and(|options| options.split(',').any(|option| option == "ro"));
    let writable = inside.lines("root").contains(&"writable");
    let good = "the root file system is read-only, in a sandbox".to_owned();
    check(
        "root",
        read_only && !writable,
        good,
        options.unwrap_or("no mount"),
    )
}

#[cfg(test)]
#[path = "inside_tests.rs"]
mod tests;
